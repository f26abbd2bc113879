"""Write ``docs/decisions.md``: were the bands right, of losses and of what is decided? ``python docs/make_decisions.py FOLDER``.

Every hold-out is forecast with the prior of discrepancy that the other labs teach (``make_discrepancy.py``), beside one whose discrepancy is
common to all expert counts. Fits are kept in ``build/backtests``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from make_backtests import HOLD_OUTS, OTHER_PRIORS, HoldOut, changed, forecasts_of_hold_out, kept
from make_discrepancy import prior_without

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "decisions.md"

A0 = "group == 'olmoe3-a0'"
LABS = {
    "clark 1.3B": "deepmind",
    "clark N >= 370M": "deepmind",
    "clark E >= 256": "deepmind",
    "chinchilla, top decile of FLOP": "deepmind",
    "steplaw dense, largest N": "stepfun",
    "flame 3e19": "flame",
    "olmoe3-a0 1.2B": "ai2",
    "olmoe3-a0 two largest token multiples": "ai2",
    "olmoe3-a0 192 experts": "ai2",
    "gemstones, largest size": "gemstones",
}
"""Hold-outs of this page, and whose tables they are."""

OTHERS = (
    HoldOut("olmoe3-a0 1.2B", "olmoe3_tuned", "n_active > 8e8", A0),
    HoldOut("olmoe3-a0 two largest token multiples", "olmoe3_tuned", "cx >= 4", A0),
    HoldOut("olmoe3-a0 192 experts", "olmoe3_tuned", "num_experts == 192", A0),
    HoldOut("gemstones, largest size", "gemstones", "n_active >= n_active.quantile(0.85)", None),
)


def rows(folder: Path) -> list[dict[str, Any]]:
    """One a hold-out."""
    from bayesmoe.forecasting.backtest import AVERAGE, BASELINE, baseline_draws, judged, with_baseline
    from bayesmoe.forecasting.weights import average_of

    found = []
    for hold_out in (one for one in (*HOLD_OUTS, *OTHERS) if one.name in LABS):
        forecasts = forecasts_of_hold_out(folder, hold_out)
        prior = prior_without(folder, LABS[hold_out.name])
        common = changed(prior, **OTHER_PRIORS["common to all expert counts"])
        ours, twin = (
            judged(forecasts, average_of(forecasts.forward, forecasts.axes, seed=0, prior=one), seed=0)
            for one in (prior, common)
        )
        alone = kept(f"{hold_out.name}, baseline", lambda f=forecasts, o=ours: baseline_draws(f, o.loo_pick, seed=0))
        ours = with_baseline(ours, alone)
        found.append(
            {
                "hold_out": hold_out.name,
                "runs": len(ours.observed),
                "beyond": float(np.median(ours.budget_beyond)),
                "average": ours.scores[AVERAGE],
                "baseline": ours.scores[BASELINE],
                "weights": ours.weights,
                "decisions": ours.decisions,
                "common": twin.decisions,
            }
        )
    return found


def shares(coverage: Any) -> str:
    """Coverage at every level."""
    return "/".join(f"{100 * share:.0f}" for share in coverage.values)


def written(found: list[dict[str, Any]], folder: Path) -> str:
    """The page."""
    counts = np.array([row["runs"] for row in found])
    pooled = {
        name: np.average([row[name]["coverage"].values for row in found], axis=0, weights=counts)
        for name in ("average", "baseline")
    }
    ratio = np.exp(np.mean([np.log(float(row["average"]["crps"]) / float(row["baseline"]["crps"])) for row in found]))
    below = sum(float(row["average"]["crps"]) < float(row["baseline"]["crps"]) for row in found)
    lines = [
        "# Decisions",
        "",
        f"Made by `python docs/make_decisions.py {folder.name}`. A hold-out's larger runs are forecast from its smaller ones with defaults, and with the",
        "prior of discrepancy that the tables of **other labs** teach. Coverage is that of the central 50, 80, 90 and 95% bands.",
        "",
        "## Losses",
        "",
        f"- Pooled over {counts.sum()} runs of {len(found)} hold-outs the average's bands cover {'/'.join(f'{100 * one:.0f}' for one in pooled['average'])}%, "
        f"those of Huber + bootstrap {'/'.join(f'{100 * one:.0f}' for one in pooled['baseline'])}%.",
        f"- CRPS is {ratio:.2f} times that of Huber + bootstrap in the geometric mean, and below it in {below} of {len(found)}.",
        "",
        "| hold-out | runs | training compute over the largest seen | coverage | CRPS | bias | Huber + bootstrap: coverage | CRPS | weights |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        average, baseline = row["average"], row["baseline"]
        weights = ", ".join(
            f"{law} {100 * w:.0f}%" for law, w in sorted(row["weights"].items(), key=lambda one: -one[1]) if w > 0.05
        )
        lines.append(
            f"| {row['hold_out']} | {row['runs']} | {row['beyond']:.2g}x | {shares(average['coverage'])} | {float(average['crps']):.4f} | "
            f"{100 * float(average['bias']):+.1f}% | {shares(baseline['coverage'])} | {float(baseline['crps']):.4f} | {weights} |"
        )
    lines += [
        "",
        "## Expert counts",
        "",
        "Differences of ln loss between neighboring expert counts of runs held out that differ in nothing else, forecast without noise (the runs have some).",
        "Then the best count at each of 25 prices of a doubling of experts, from nothing to the most that a doubling is expected to bring: the mean",
        "probability that was stated of the count chosen, how often it was the best, the slope of being best on the stated probability (1: dependable),",
        "the mean log of the probability that the best count was given, and the regret in ln loss that was stated and suffered. In italics the same with a",
        "discrepancy that is common to all counts.",
        "",
        "| hold-out | differences | coverage | predicted sd | error | stated / right | slope | log score | regret stated / suffered |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        for name, mark in (("decisions", ""), ("common", "*")):
            if (one := row[name]) is None:
                continue
            said = f"{mark}{row['hold_out'] if not mark else 'common to all counts'}{mark}"
            lines.append(
                f"| {said} | {int(one['differences'])} | {shares(one['coverage'])} | {float(one['predicted_sd']):.4f} | {float(one['error']):.4f} | "
                f"{float(one['stated']):.2f} / {float(one['right']):.2f} | {float(one['slope']):.2f} | {float(one['log_score']):.2f} | "
                f"{float(one['regret_stated']):.4f} / {float(one['regret_suffered']):.4f} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    """Forecast and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    from bayesmoe.cli.runtime import configure

    configure()
    OUT.write_text(written(rows(folder), folder), encoding="utf-8")


if __name__ == "__main__":
    main()
