"""Write ``docs/decisions.md``: were the bands right, of losses and of what is decided? ``python docs/make_decisions.py FOLDER``.

Every hold-out is forecast with the prior of discrepancy that the other labs teach (``make_discrepancy.py``), beside one whose discrepancy is
common to all expert counts. Fits are kept in ``build/backtests``.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from make_backtests import OTHER_PRIORS, changed, forecasts_of_hold_out, kept
from make_discrepancy import FAR, NEAR, of_labs, prior_without

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "decisions.md"
DISTANCES = (0.0, 2.0, 10.0, np.inf)
"""Where runs are pooled by training compute over the largest seen."""


def rows(folder: Path) -> list[dict[str, Any]]:
    """One a hold-out."""
    from bayesmoe.forecasting.backtest import AVERAGE, BASELINE, baseline_draws, judged, with_baseline
    from bayesmoe.forecasting.scores import LEVELS, inside
    from bayesmoe.forecasting.weights import average_of

    far, found = {hold_out.name for _, hold_out in of_labs(FAR)}, []
    for lab, hold_out in of_labs(NEAR, FAR):
        forecasts = forecasts_of_hold_out(folder, hold_out)
        prior = prior_without(folder, lab)
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
                "lab": lab,
                "far": hold_out.name in far,
                "runs": len(ours.observed),
                "beyond": ours.budget_beyond,
                "inside": np.array([inside(ours.draws[AVERAGE], ours.observed, level) for level in LEVELS]),
                "error": np.log(ours.observed) - np.log(np.median(ours.draws[AVERAGE], axis=0)),
                "average": ours.scores[AVERAGE],
                "baseline": ours.scores[BASELINE],
                "weights": ours.weights,
                "decisions": ours.decisions,
                "common": twin.decisions,
            }
        )
    return found


def percent(covered: Any) -> str:
    """Coverage at every level, shape (level,)."""
    return "/".join(f"{100 * share:.0f}" for share in covered)


def pooled(found: list[dict[str, Any]]) -> list[str]:
    """Coverage by lab and by distance, and whether errors drift with it."""
    labs = {lab: [row for row in found if row["lab"] == lab] for lab in dict.fromkeys(row["lab"] for row in found)}
    of_labs = {lab: np.concatenate([row["inside"] for row in of_lab], axis=1) for lab, of_lab in labs.items()}
    beyond, error = (np.concatenate([row[key] for row in found]) for key in ("beyond", "error"))
    covered, lab = (
        np.concatenate([row["inside"] for row in found], axis=1),
        np.repeat([r["lab"] for r in found], [r["runs"] for r in found]),
    )
    lines = [
        "",
        f"The mean over {len(labs)} labs is {percent(np.mean([one.mean(axis=1) for one in of_labs.values()], axis=0))}%.",
        "",
        "| lab | runs | coverage |",
        "|---|---|---|",
        *(f"| {name} | {one.shape[1]} | {percent(one.mean(axis=1))} |" for name, one in of_labs.items()),
        "",
        "| training compute over the largest seen | runs | labs | coverage | mean error of ln loss | mean of labs ± standard error |",
        "|---|---|---|---|---|---|",
    ]
    for low, high in itertools.pairwise(DISTANCES):
        here = (beyond > low) & (beyond <= high)
        of_lab = np.array([error[here & (lab == name)].mean() for name in labs if (here & (lab == name)).any()])
        lines.append(
            f"| {f'{low:g}x to {high:g}x' if np.isfinite(high) else f'beyond {low:g}x'} | {here.sum()} | {len(of_lab)} | {percent(covered[:, here].mean(axis=1))} | {100 * error[here].mean():+.1f}% | "
            f"{100 * of_lab.mean():+.1f} ± {100 * of_lab.std(ddof=1) / np.sqrt(len(of_lab)):.1f}% |"
        )
    slopes = np.array(
        [
            np.polyfit(np.log10(r["beyond"]), r["error"], 1)[0]
            for r in found
            if r["far"] and np.ptp(np.log10(r["beyond"])) > 0.3
        ]
    )
    return [
        *lines,
        "",
        f"Within the far cuts the error of ln loss moves by {100 * slopes.mean():+.2f} ± {100 * slopes.std(ddof=1) / np.sqrt(len(slopes)):.2f}% a factor of ten of compute "
        f"(mean and standard error over {len(slopes)} cuts, which share runs).",
    ]


def of_losses(found: list[dict[str, Any]]) -> list[str]:
    """A row a hold-out."""
    lines = [
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
            f"| {row['hold_out']} | {row['runs']} | {np.median(row['beyond']):.2g}x | {percent(average['coverage'].values)} | {float(average['crps']):.4f} | "
            f"{100 * float(average['bias']):+.1f}% | {percent(baseline['coverage'].values)} | {float(baseline['crps']):.4f} | {weights} |"
        )
    return lines


def written(found: list[dict[str, Any]], folder: Path) -> str:
    """The page."""
    counts = np.array([row["runs"] for row in found])
    covered, theirs = (
        np.average([row[name]["coverage"].values for row in found], axis=0, weights=counts)
        for name in ("average", "baseline")
    )
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
        f"- Over {counts.sum()} runs of {len(found)} hold-outs (a run may be in several) the average's bands cover {percent(covered)}%, those of",
        f"  Huber + bootstrap {percent(theirs)}%.",
        f"- CRPS is {ratio:.2f} times that of Huber + bootstrap in the geometric mean, and below it in {below} of {len(found)}.",
        *pooled(found),
        "",
        "The largest sizes, counts, tokens or budgets of a table held out:",
        *of_losses([row for row in found if not row["far"]]),
        "",
        "All runs above a share of the largest compute held out:",
        *of_losses([row for row in found if row["far"]]),
    ]
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
                f"| {said} | {int(one['differences'])} | {percent(one['coverage'].values)} | {float(one['predicted_sd']):.4f} | {float(one['error']):.4f} | "
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
