"""Write ``docs/forward.md``: coverage and bias against how far beyond the runs seen, at several splits of public tables.

``python docs/make_forward.py FOLDER`` reads the tidy tables from FOLDER (see the data cards for what they are).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "forward.md"
FIGURE = ROOT / "docs" / "forward.png"
KEPT = ROOT / "build" / "forward.jsonl"

TABLES = {
    "chinchilla": ("dense_chinchilla_epoch", "outlier == 0", None),
    "flame": ("flame_moe_isoflop", "few_steps == 0", None),
    "olmoe3": ("olmoe3_tuned", None, {"column": "group"}),
}
BINS = ((1.0, 3.0), (3.0, 10.0), (10.0, 30.0), (30.0, np.inf))
LIMITS = (0.03, 0.1, 0.3)
"""Splits, as shares of the largest training compute of the table: runs above are held out."""


def measured(folder: Path, name: str, limit: float) -> dict[str, Any] | None:
    """Percentiles and distances of the runs above one split; None where too few are left."""
    from bayesmoe.errors import InputError
    from bayesmoe.forecasting.backtest import AVERAGE, AVERAGE_ALONE, BASELINE, backtest, size_of
    from bayesmoe.forecasting.forward_validation import training_compute
    from bayesmoe.inference.spec import FitSpec, load_table
    from bayesmoe.specs import from_mapping

    file, select, groups = TABLES[name]
    mapping = {"name": name, "data": {"file": str(folder / f"{file}.csv"), "select": select}, "groups": groups}
    spec = from_mapping(mapping, FitSpec)
    table = load_table(spec.data, spec.groups)
    budget = training_compute(table.frame, size_of(spec, table.frame))
    held = budget > limit * budget.max()
    if (~held).sum() < 12:
        return None
    try:
        found = backtest(spec, table, held, on_progress=lambda step: print(f"{name} {limit}: {step.stage}", file=sys.stderr))
    except InputError:
        return None
    kinds = {"law that LOO picks": found.loo_pick, AVERAGE_ALONE: AVERAGE_ALONE, AVERAGE: AVERAGE, BASELINE: BASELINE}
    return {
        "table": name,
        "limit": limit,
        "seen": int((~held).sum()),
        "beyond": found.budget_beyond.tolist(),
        "pit": {kind: found.scores[forecaster]["pit"].values.tolist() for kind, forecaster in kinds.items()},
        "bias": {
            kind: np.log(found.observed / np.median(found.draws[forecaster], axis=0)).tolist()
            for kind, forecaster in kinds.items()
        },
    }


def by_distance(rows: list[dict[str, Any]]) -> Any:
    """Coverage and bias of every forecaster over all tables and splits, by distance."""
    import xarray as xr

    beyond = np.concatenate([row["beyond"] for row in rows])
    bins = [(low, high) for low, high in BINS if ((beyond > low) & (beyond <= high)).any()]
    kinds = list(rows[0]["pit"])
    coverage, bias = np.zeros((len(kinds), len(bins))), np.zeros((len(kinds), len(bins)))
    for i, kind in enumerate(kinds):
        pit, miss = (np.concatenate([row[key][kind] for row in rows]) for key in ("pit", "bias"))
        for j, (low, high) in enumerate(bins):
            here = (beyond > low) & (beyond <= high)
            coverage[i, j] = np.mean((pit[here] >= 0.05) & (pit[here] <= 0.95))
            bias[i, j] = miss[here].mean()
    runs = [int(((beyond > low) & (beyond <= high)).sum()) for low, high in bins]
    labels = [f"{low:g} to {high:g}x" if np.isfinite(high) else f"over {low:g}x" for low, high in bins]
    dims = ("forecaster", "distance")
    return xr.Dataset(
        {"coverage": (dims, coverage), "bias": (dims, bias), "runs": ("distance", runs)},
        coords={"forecaster": kinds, "distance": labels},
    )


def written(rows: list[dict[str, Any]], folder: Path) -> str:
    """The page."""
    from scipy import stats

    kinds = list(rows[0]["pit"])
    lines = [
        "# Forward validation by distance",
        "",
        f"Made by `python docs/make_forward.py {folder.name}` ({', '.join(dict.fromkeys(row['table'] for row in rows))}): each table is split at {', '.join(f'{100 * limit:g}%' for limit in LIMITS)} of its largest",
        "training compute; the runs above are forecast from those below. Cells: coverage of the 90% band, and bias (mean of ln",
        "observed over the median forecast), by a run's training compute over the largest seen.",
        "",
        "![Coverage and bias by distance](forward.png)",
        "",
        "| table | beyond | runs | " + " | ".join(kinds) + " |",
        "|---|---|---|" + "---|" * len(kinds),
    ]
    for name in [*dict.fromkeys(row["table"] for row in rows), "all"]:
        here = [row for row in rows if name in (row["table"], "all")]
        beyond = np.concatenate([row["beyond"] for row in here])
        for low, high in BINS:
            inside = (beyond > low) & (beyond <= high)
            if not inside.any():
                continue
            cells = []
            for kind in kinds:
                pit = np.concatenate([row["pit"][kind] for row in here])[inside]
                bias = np.concatenate([row["bias"][kind] for row in here])[inside]
                cells.append(f"{100 * np.mean((pit >= 0.05) & (pit <= 0.95)):.0f}% / {100 * bias.mean():+.1f}%")
            upto = f"{low:g} to {high:g}x" if np.isfinite(high) else f"over {low:g}x"
            lines.append(f"| {name} | {upto} | {inside.sum()} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Drift: the standardized miss (normal quantile of the percentile), averaged over the runs of each split and distance, against ln",
        "distance. Runs of one split miss together, so a split and distance counts once. A slope is tested against none at an error rate of 5%.",
        "",
        "| forecaster | slope per e-fold of compute | p |",
        "|---|---|---|",
    ]
    for kind in kinds:
        points = []
        for row in rows:
            beyond, z = np.array(row["beyond"]), stats.norm.ppf(np.clip(row["pit"][kind], 0.0005, 0.9995))
            for low, high in BINS:
                inside = (beyond > low) & (beyond <= high)
                if inside.sum() >= 2:
                    points.append((np.log(beyond[inside]).mean(), -z[inside].mean()))
        x, y = np.array(points).T
        fit = stats.linregress(x, y)
        lines.append(f"| {kind} | {fit.slope:+.2f} ± {fit.stderr:.2f} | {fit.pvalue:.2g} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure what is missing, then write the page."""
    import jax

    from bayesmoe.files import write_text
    from bayesmoe.plots import forward_validation

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="Measure no table but this.")
    given = parser.parse_args()
    folder = given.folder
    jax.config.update("jax_enable_x64", True)
    KEPT.parent.mkdir(exist_ok=True)
    kept = {(r["table"], r["limit"]): r for r in map(json.loads, KEPT.read_text().splitlines())} if KEPT.exists() else {}
    for name in TABLES:
        for limit in LIMITS:
            if (name, limit) in kept or (given.only and given.only != name):
                continue
            found = measured(folder, name, limit)
            kept[name, limit] = found or {"table": name, "limit": limit, "beyond": None}
            with KEPT.open("a") as lines:
                print(json.dumps(kept[name, limit]), file=lines, flush=True)
            jax.clear_caches()
    rows = [row for row in kept.values() if row["beyond"] is not None]
    write_text(OUT, written(rows, folder))
    forward_validation(by_distance(rows)).savefig(FIGURE, dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
