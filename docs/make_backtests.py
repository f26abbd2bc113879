"""Write ``docs/backtests.md``: nine hold-outs of public tables, forecast by each law, by their average and by today's practice.

``python docs/make_backtests.py FOLDER`` reads the tidy tables from FOLDER (see the data cards for what they are). Nothing is set per
table but its grouping and the rows that its data card leaves out. Fits are kept in ``build/backtests``, so that an interrupted run
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "backtests.md"
KEPT = ROOT / "build" / "backtests"
"""Fits of hold-outs that are done; what is made of them can change without fitting again."""

OTHER_PRIORS = {
    "all scales halved": {"times": 0.5},
    "all scales doubled": {"times": 2.0},
    "common to all expert counts": {"products": 1e-3},
    "log-sd 0.4": {"log_sd": 0.4},
    "log-sd 1.2": {"log_sd": 1.2},
    "correlation 0": {"correlation": 0.0},
    "correlation 0.7": {"correlation": 0.7},
}
"""Other priors of a discrepancy: what is changed in the shipped one."""

ONE_NOISE = ("steplaw dense, largest N", "chinchilla, top decile of FLOP", "flame 3e19")
"""Hold-outs fitted once more with one noise for all runs: those whose ratio of tokens to parameters varies and whose fits take minutes."""

CLARK = {"column": "group", "dense": "Dense"}
BY_GROUP = {"column": "group"}


@dataclass(frozen=True)
class HoldOut:
    """A hold-out of a table: rows used, runs held out, groups."""

    name: str
    file: str
    held: str
    select: str | None = None
    groups: dict[str, Any] = field(default_factory=dict)


HOLD_OUTS = (
    HoldOut("clark 1.3B", "clark2022_final", "n_dense > 1e9", "main_grid == 1 and suspect == 0", CLARK),
    HoldOut("clark N >= 370M", "clark2022_final", "n_dense > 3e8", "main_grid == 1 and suspect == 0", CLARK),
    HoldOut("clark E >= 256", "clark2022_final", "num_experts >= 256", "main_grid == 1 and suspect == 0", CLARK),
    HoldOut("olmoe3 1.2B", "olmoe3_tuned", "n_active > 8e8", None, BY_GROUP),
    HoldOut("olmoe3 two largest token multiples", "olmoe3_tuned", "cx >= 4", None, BY_GROUP),
    HoldOut("olmoe3 192 experts", "olmoe3_tuned", "num_experts == 192 and group == 'olmoe3-a0'", None, BY_GROUP),
    HoldOut("steplaw dense, largest N", "steplaw_dense_tuned", "n_active > 1e9"),
    HoldOut(
        "chinchilla, top decile of FLOP", "dense_chinchilla_epoch", "train_flop >= train_flop.quantile(0.9)", "outlier == 0"
    ),
    HoldOut("flame 3e19", "flame_moe_isoflop", "train_flop > 2e19", "few_steps == 0"),
)


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, made once."""
    from bayesmoe.files import written_whole

    file = KEPT / f"{''.join(letter if letter.isalnum() else '_' for letter in name)}.pkl"
    if not file.exists():
        made = make()
        with written_whole(file) as path:
            path.write_bytes(pickle.dumps(made))
    return pickle.loads(file.read_bytes())


def table_of(folder: Path, hold_out: HoldOut, *, one_noise: bool = False) -> tuple[Any, Any]:
    """Spec and runs of a hold-out's table."""
    from bayesmoe.inference.spec import FitSpec, load_table
    from bayesmoe.specs import from_mapping

    mapping = {
        "name": hold_out.name,
        "data": {"file": str(folder / f"{hold_out.file}.csv"), "select": hold_out.select},
        "groups": hold_out.groups or None,
        "noise": {"depends_on": []} if one_noise else None,
    }
    spec = from_mapping(mapping, FitSpec)
    return spec, load_table(spec.data, spec.groups)


def forecasts_of_hold_out(folder: Path, hold_out: HoldOut, *, one_noise: bool = False) -> Any:
    """Fits of a hold-out, kept."""
    import pandas as pd

    from bayesmoe.forecasting.backtest import forecasts_of

    spec, table = table_of(folder, hold_out, one_noise=one_noise)
    # Columns that only one source has do not survive into a run table.
    every = pd.read_csv(folder / f"{hold_out.file}.csv")
    every = every.query(hold_out.select) if hold_out.select else every
    held = table.frame["run_id"].isin(every.loc[every.eval(hold_out.held), "run_id"]).to_numpy()
    name = f"{hold_out.name}, one noise" if one_noise else hold_out.name
    return kept(
        name,
        lambda: forecasts_of(spec, table, held, on_progress=lambda step: print(f"{name}: {step.stage}", file=sys.stderr)),
    )


def measured(folder: Path, hold_out: HoldOut) -> dict[str, Any]:
    """One row: the backtest's document and what other designs would have made of it."""
    from bayesmoe.documents import BacktestDocument
    from bayesmoe.forecasting.backtest import AVERAGE, baseline_draws, judged, with_baseline
    from bayesmoe.forecasting.weights import average_of

    forecasts = forecasts_of_hold_out(folder, hold_out)
    average = average_of(forecasts.forward, forecasts.axes, seed=0)
    alone = judged(forecasts, average, seed=0)
    found = with_baseline(
        alone, kept(f"{hold_out.name}, baseline", lambda: baseline_draws(forecasts, alone.loo_pick, seed=0))
    )
    one_noise = None
    if hold_out.name in ONE_NOISE:
        other = forecasts_of_hold_out(folder, hold_out, one_noise=True)
        score = judged(other, average_of(other.forward, other.axes, seed=0), seed=0).scores[AVERAGE]
        one_noise = {"coverage": float(score["coverage"].sel(level=0.9)), "crps": float(score["crps"])}
    return {
        "hold_out": hold_out.name,
        "designs": designs(forecasts, average),
        "one_noise": one_noise,
        **BacktestDocument.of({hold_out.held: found}).as_dict()["backtests"][0],
    }


def changed(prior: Any, *, times: float = 1.0, products: float = 1.0, **fields: float) -> Any:
    """A prior with its scales multiplied, those of products by more, and other fields."""
    from bayesmoe.inference.extrapolation import is_axis

    scale = {kind: value * times * (1.0 if is_axis(kind) else products) for kind, value in prior.scale.items()}
    return dataclasses.replace(prior, scale=scale, **fields)


def designs(forecasts: Any, average: Any) -> dict[str, dict[str, float]]:
    """The average as shipped and as it might have been: what each forecasts inside the runs seen, and of the runs held out."""
    from bayesmoe.forecasting.backtest import asked_of, averaged_draws
    from bayesmoe.forecasting.discrepancy import discrepancy
    from bayesmoe.forecasting.discrepancy_prior import shipped_prior
    from bayesmoe.forecasting.scores import scores
    from bayesmoe.forecasting.weights import average_of

    asked = asked_of(forecasts)
    observed = next(iter(asked.values()))["observed"].values

    def scored(weights: dict[str, float], discrepancies: dict[str, Any]) -> dict[str, float]:
        score = scores(averaged_draws(asked, weights, discrepancies, seed=0), observed)
        return {"coverage": float(score["coverage"].sel(level=0.9)), "crps": float(score["crps"])}

    def learned(one: Any) -> dict[str, float]:
        evidence = {law: own.attrs["log_evidence"] for law, own in one.discrepancies.items()}
        # Weights are those of the average as shipped: a prior that moved weights to laws that miss more would be paid for it.
        weighed = sum(average.weights[law] * found for law, found in evidence.items())
        return {"evidence": weighed, "unweighed": sum(evidence.values())}

    even = dict.fromkeys(average.weights, 1.0 / len(average.weights))
    untaught = dict.fromkeys(average.weights, discrepancy([], forecasts.axes, seed=0))
    found = {
        "as shipped": {
            **learned(average),
            **scored(average.weights, average.discrepancies),
        },
        "even weights": scored(even, average.discrepancies),
        "discrepancy not learned from splits": scored(average.weights, untaught),
        "no discrepancy": scored(average.weights, {}),
    }
    for name, change in OTHER_PRIORS.items():
        other = average_of(forecasts.forward, forecasts.axes, seed=0, prior=changed(shipped_prior(), **change))
        found[name] = {**learned(other), **scored(other.weights, other.discrepancies)}
    return found


def written(rows: list[dict[str, Any]], folder: Path) -> str:
    """The page."""
    from bayesmoe.forecasting.backtest import AVERAGE, BASELINE
    from bayesmoe.forecasting.discrepancy import discrepancy
    from bayesmoe.inference.ensemble import discrepancy_draws

    def cell(row: dict[str, Any], forecaster: str) -> str:
        found = row["forecasts"][forecaster]
        return f"{100 * found['coverage']['0.9']:.0f}% / {found['crps_nats_per_token']:.4f} / {100 * found['bias_ln']:+.1f}%"

    counts = np.array([len(row["runs"]) for row in rows])

    def pooled(forecaster: Any) -> float:
        return float(np.average([row["forecasts"][forecaster(row)]["coverage"]["0.9"] for row in rows], weights=counts))

    def crps_below(other: Any) -> int:
        return sum(
            row["forecasts"][AVERAGE]["crps_nats_per_token"] < row["forecasts"][other(row)]["crps_nats_per_token"]
            for row in rows
        )

    every = [miss for row in rows for law in row["relative_error_per_distance"].values() for miss in law if miss is not None]
    misses = np.abs(every)
    prior = np.abs(discrepancy_draws(discrepancy([], ["n_active"], seed=0), 100_000, np.random.default_rng(0)))
    good = sum(row["forecasts"][AVERAGE]["coverage"]["0.9"] >= 0.8 for row in rows)
    lines = [
        "# Backtests",
        "",
        f"Made by `python docs/make_backtests.py {folder.name}` with one set of defaults: fit the smaller runs of a public table, forecast the",
        "larger. Cells are coverage of the 90% band, mean CRPS in nats per token, and bias (mean of ln observed over the median",
        "forecast; negative: the runs were better than forecast).",
        "",
        f"- The average's 90% band covers at least 80% in {good} of {len(rows)} hold-outs, and {100 * pooled(lambda row: AVERAGE):.0f}% of all "
        f"{counts.sum()} runs pooled. The law that PSIS-LOO picks covers {100 * pooled(lambda row: row['loo_pick']):.0f}%, {BASELINE} "
        f"{100 * pooled(lambda row: BASELINE):.0f}%.",
        f"- Its CRPS is below that of {BASELINE} in {crps_below(lambda row: BASELINE)}, and below that of the law that LOO picks in "
        f"{crps_below(lambda row: row['loo_pick'])} of {len(rows)}.",
        f"- Alone, the laws miss runs beyond those seen by {100 * np.median(misses):.0f}% of their extrapolation distance in the median ({len(misses)} laws and splits;"
        f" 90% of them by less than {100 * np.quantile(misses, 0.9):.0f}%): the distance is by how much a law says the log loss would move from the"
        f" nearest run seen. The prior of the discrepancy term says {100 * np.median(prior):.0f}% and {100 * np.quantile(prior, 0.9):.0f}%.",
        "",
        "| hold-out | runs | largest against the largest seen | average of laws | law that LOO picks, alone | Huber + bootstrap of that law | weights |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        beyond = ", ".join(f"{axis} {times:.2g}x" for axis, times in row["extrapolation_factors"].items() if times > 1.01)
        weights = ", ".join(
            f"{law} {100 * w:.0f}%" for law, w in sorted(row["weights"].items(), key=lambda item: -item[1]) if w > 0.05
        )
        lines.append(
            f"| {row['hold_out']} | {len(row['runs'])} | {beyond or 'the same'} | {cell(row, AVERAGE)} | {row['loo_pick']}: "
            f"{cell(row, row['loo_pick'])} | {cell(row, BASELINE)} | {weights} |"
        )
    lines += [
        "",
        "## Designs tried",
        "",
        "Inside the runs seen: the evidence, in nats, of the laws' misses at all splits of all tables over that without discrepancy, the runs of a split",
        "missing together, for the shipped prior of discrepancy (learned from these and other tables by `make_discrepancy.py`) and what is near it. Each law",
        "counts by its weight in the average as shipped; beside it, each law counts as one. The rest is of the runs held out.",
        "",
        "| design | evidence, by weight | evidence, every law | 90% band covers, of all runs | covers at least 80% | mean CRPS over that of the shipped |",
        "|---|---|---|---|---|---|",
    ]
    for design in rows[0]["designs"]:
        each = [row["designs"][design] for row in rows]
        evidence, unweighed = (
            f"{sum(one[key] for one in each):.1f}" if key in each[0] else "–" for key in ("evidence", "unweighed")
        )
        covered = np.array([one["coverage"] for one in each])
        ratio = np.mean(
            [one["crps"] / next(iter(row["designs"].values()))["crps"] for one, row in zip(each, rows, strict=True)]
        )
        lines.append(
            f"| {design} | {evidence} | {unweighed} | {100 * np.average(covered, weights=counts):.0f}% | {(covered >= 0.8).sum()} of {len(rows)} | {ratio:.2f} |"
        )
    lines += [
        "",
        "One noise for all runs of a law, instead of noise that grows with distance from the usual tokens per parameter. Not measured on OLMoE's",
        "hold-outs, whose fits take longest; Clark's runs all saw the same tokens.",
        "",
        "| hold-out | noise as shipped | one noise |",
        "|---|---|---|",
    ]
    for row in rows:
        if (other := row["one_noise"]) is not None:
            found = row["forecasts"][AVERAGE]
            lines.append(
                f"| {row['hold_out']} | {100 * found['coverage']['0.9']:.0f}% / {found['crps_nats_per_token']:.4f} "
                f"| {100 * other['coverage']:.0f}% / {other['crps']:.4f} |"
            )
    lines += [
        "",
        "## Each law",
        "",
        "Alone, and with its discrepancy term. Bias and scale are shares of each part of the distance.",
        "",
    ]
    for row in rows:
        lines += [
            f"### {row['hold_out']}",
            "",
            "| law | alone | with discrepancy | bias | scale |",
            "|---|---|---|---|---|",
        ]
        for law in row["weights"]:
            own = row["discrepancies"][law]
            bias = ", ".join(f"{axis} {found['bias']:+.2f} ± {found['bias_sd']:.2f}" for axis, found in own.items())
            scale = ", ".join(f"{axis} {found['scale_median']:.2f}" for axis, found in own.items())
            lines.append(f"| {law} | {cell(row, law)} | {cell(row, f'{law} with discrepancy')} | {bias} | {scale} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, then write the page."""
    import jax

    from bayesmoe.files import write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="Fit only the hold-outs whose name holds this, and write no page.")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    KEPT.mkdir(parents=True, exist_ok=True)
    rows = []
    for hold_out in HOLD_OUTS:
        if given.only is not None and given.only not in hold_out.name:
            continue
        if given.only is None:
            rows.append(measured(given.folder, hold_out))
        else:
            forecasts_of_hold_out(given.folder, hold_out)
        # Compiled programs are never freed.
        jax.clear_caches()
    if rows:
        write_text(OUT, written(rows, given.folder))


if __name__ == "__main__":
    main()
