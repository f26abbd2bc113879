"""Write ``docs/serving.md``: how well the calibrated roofline predicts models that it never saw.

``python docs/make_serving.py FOLDER`` reads from FOLDER what ``datasets/make_serving_calibration.py`` reads. One architecture at a time is left out of the calibration and predicted from the others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "serving.md"
sys.path.insert(0, str(ROOT / "datasets"))

LEVELS = (0.5, 0.8, 0.9)
DRAWS = 2000
DENSE = ("llama-3.1-8b", "llama-3.1-70b", "mistral-7b")
ALIKE = (
    "hardware",
    "engine",
    "n_gpus",
    "attention_data_parallel",
    "weight_precision",
    "isl_tokens",
    "osl_tokens",
    "concurrency_requests",
)
"""What two points have in common whose ratio is asked."""


def predicted(points: Any, tree: Any, rng: np.random.Generator) -> np.ndarray:
    """Draws of ln TPOT of points of models that were not measured, shape (draw, point); all points of a deployment err alike in part."""
    import xarray as xr

    from bayesmoe.costs.calibrations import FARTHEST
    from bayesmoe.costs.serving.calibration import drawn_calibration
    from bayesmoe.costs.serving.fit_calibration import terms_of

    calibration: xr.Dataset = tree["posterior"].to_dataset()
    terms, _ = terms_of(points)
    found = np.zeros((DRAWS, len(points.frame)))
    for rows in points.frame.groupby(points.deployments.to_numpy()).indices.values():
        of = points.frame.iloc[rows]
        engine, hardware = of["engine"].iloc[0], of["hardware"].iloc[0]
        seen = engine if engine in calibration["engine"].values else None
        known = drawn_calibration(calibration, DRAWS, rng, accelerator=hardware, engine=seen)
        own = {name: known.own_sd * rng.standard_normal(DRAWS) for name in of["architecture"].unique()}
        t = np.clip(rng.standard_t(known.nu[:, None], size=(DRAWS, len(rows))), -FARTHEST, FARTHEST)
        residual = np.log(known.common)[:, None] + np.stack([own[name] for name in of["architecture"]], axis=1)
        found[:, rows] = np.log(np.stack(known.step, axis=1) @ terms[rows].T) + residual + known.within[:, None] * t
    return found


def shares_below(draws: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Share of draws below what was observed: the probability integral transform, shape (point,)."""
    return (draws < observed).mean(axis=0)


def covered(below: np.ndarray) -> str:
    """Coverage at each of the levels, in words for a cell."""
    shares = [np.mean(np.abs(below - 0.5) <= 0.5 * level) for level in LEVELS]
    return " / ".join(f"{100 * share:.0f}" for share in shares) + "%"


def left_out(points: Any) -> dict[str, Any]:
    """Errors and transforms of points, and of ratios between two models in one deployment, of which one was left out."""
    from bayesmoe.costs.serving.fit_calibration import calibrate_serving

    observed = np.log(points.frame["tpot_s"].to_numpy(float))
    architecture = points.frame["architecture"].to_numpy()
    setting = points.frame.groupby(list(ALIKE), dropna=False).ngroup().to_numpy()
    error, below, ratios = np.zeros(len(observed)), np.zeros(len(observed)), []
    for name in np.unique(architecture):
        out = architecture == name
        tree = calibrate_serving(points.where(~out), draws=400, warmup=400, chains=2)
        print(f"without {name}: R-hat {tree.attrs['rhat']:.3f}", file=sys.stderr, flush=True)
        draws = predicted(points, tree, np.random.default_rng(0))
        error[out] = np.median(draws[:, out], axis=0) - observed[out]
        below[out] = shares_below(draws[:, out], observed[out])
        loaded = ~points.frame["saturated"].to_numpy()
        for one in np.flatnonzero(out & loaded):
            for other in np.flatnonzero(~out & loaded & (setting == setting[one])):
                ratio = draws[:, one] - draws[:, other]
                known = observed[one] - observed[other]
                ratios.append((np.median(ratio) - known, np.mean(ratio < known)))
    return {"error": error, "below": below, "ratios": np.array(ratios).reshape(-1, 2)}


def at_peak(points: Any) -> np.ndarray:
    """Errors of a roofline that takes the larger of memory and compute time at peak rates."""
    from bayesmoe.costs.serving.fit_calibration import terms_of
    from bayesmoe.costs.serving.step import TERMS

    terms, _ = terms_of(points)
    compute = sum(terms[:, TERMS.index(name)] for name in ("compute", "prefill", "experts"))
    return np.log(np.maximum(terms[:, TERMS.index("memory")], compute)) - np.log(points.frame["tpot_s"].to_numpy(float))


def percent(error: np.ndarray) -> str:
    """Median absolute error and bias, in words for a cell."""
    return f"{100 * np.median(np.abs(np.expm1(error))):.1f}% / {np.exp(np.median(error)):.2f}x" if len(error) else "–"


def by_architecture(points: Any, found: dict[str, Any], peak: np.ndarray, rows: np.ndarray) -> list[str]:
    """A table of the points of one kind."""
    architecture = points.frame["architecture"].to_numpy()
    lines = [
        "| architecture left out | points | error / bias | covered at 50 / 80 / 90% | at peak rates |",
        "|---|---|---|---|---|",
    ]
    for name in [*np.unique(architecture[rows]), "all"]:
        here = rows if name == "all" else rows & (architecture == name)
        cells = (name, here.sum(), percent(found["error"][here]), covered(found["below"][here]), percent(peak[here]))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def written(points: Any, found: dict[str, Any], peak: np.ndarray) -> str:
    """The page."""
    frame = points.frame
    saturated = frame["saturated"].to_numpy()
    ratio_error, ratio_below = found["ratios"].T
    moe = np.array([name not in DENSE for name in frame["architecture"]])
    lean = np.median(found["error"][saturated & ~moe]) - np.median(found["error"][saturated & moe])
    lines = [
        "# Serving costs of models that were not measured",
        "",
        f"Made by `python docs/make_serving.py serving`: {(~saturated).sum():,} public measurements of time per output token (TPOT) at a load,",
        f"flagged rows left out, and {saturated.sum()} of saturated engines. One architecture at a time is left out of the calibration and predicted",
        "from the others. Cells: median absolute error of TPOT, and bias (factor); how many of the points the 50, 80 and 90% bands cover. Bands are",
        "of single measurements. The last column is a roofline that was not calibrated.",
        "",
        *by_architecture(points, found, peak, ~saturated),
        "",
        "## Ratios between architectures",
        "",
        f"What a plan compares: two models in one deployment, of which one was left out ({len(ratio_error):,} pairs equal in accelerator, engine, GPUs,",
        f"precision, lengths and load). Median absolute error of the ratio {percent(ratio_error)}; the bands cover {covered(ratio_below)}.",
        "",
        "## Saturated engines",
        "",
        "Throughput of engines with more requests than they can hold (NVIDIA/TensorRT-LLM performance overviews of v0.17, v1.0 and 2026); their batch",
        "is not on record, and taken as what memory holds, at most 2,048. Forecasts are those of an engine at a load.",
        f"Against dense models MoEs come out {np.exp(lean):.2f} times as cheap as they are.",
        "",
        *by_architecture(points, found, peak, saturated),
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write."""
    import jax
    from make_serving_calibration import public_points

    from bayesmoe.files import write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    points = public_points(given.folder)
    write_text(OUT, written(points, left_out(points), at_peak(points)))


if __name__ == "__main__":
    main()
