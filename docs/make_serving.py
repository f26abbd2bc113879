"""Write ``docs/serving.md``: how well the calibrated roofline predicts models that it never saw.

``python docs/make_serving.py FOLDER`` reads ``serving_silicon_derived.csv`` and ``serving_measurements.csv`` from FOLDER (see the data
cards). One architecture at a time is left out, and its time per output token predicted from the others, for four ideas of what a step reads.
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

VARIANTS = {
    "calibrated, distinct experts (shipped)": "distinct",
    "calibrated, active parameters only": "active",
    "calibrated, all experts every step": "all",
}
UNCALIBRATED = "roofline at peak rates, not calibrated"


def predicted(points: Any, tree: Any, reads: str, rng: np.random.Generator) -> np.ndarray:
    """Draws of ln TPOT of points of a model that was left out, shape (draw, point)."""
    import pandas as pd
    import xarray as xr

    from bayesmoe.costs.serving.calibration import drawn_calibration
    from bayesmoe.costs.serving.fit_calibration import terms_of

    calibration: xr.Dataset = tree["posterior"].to_dataset()
    terms, _ = terms_of(points, reads)
    draws = 2000
    found = np.zeros((draws, len(points.frame)))
    own = rng.standard_normal(draws)
    for (hardware, engine), rows in points.frame.groupby(["hardware", "engine"]).indices.items():
        seen = engine if engine in calibration["engine"].values else None
        known = drawn_calibration(calibration, draws, rng, accelerator=hardware, engine=seen)
        ln_step = np.log(np.stack(known.step, axis=1) @ terms[rows].T)
        # Every point is a deployment of its own.
        residual = rng.standard_t(np.median(calibration["nu"]), size=ln_step.shape) * float(calibration["within"].median())
        found[:, rows] = ln_step + (known.own_sd * own)[:, None] + residual
    assert not pd.isna(found).any()
    return found


def measured(points: Any, reads: str) -> dict[str, Any]:
    """Errors and coverage of points whose architecture was left out."""
    from bayesmoe.costs.serving.fit_calibration import calibrate_serving

    observed = np.log(points.frame["tpot_ms"].to_numpy(float) * 1e-3)
    architecture = points.frame["architecture"].to_numpy()
    error, inside = np.zeros(len(observed)), np.zeros(len(observed), dtype=bool)
    for name in np.unique(architecture):
        out = architecture == name
        tree = calibrate_serving(points.where(~out), draws=500, warmup=500, chains=2, reads=reads)
        print(f"{reads}, without {name}: R-hat {tree.attrs['rhat']:.3f}", file=sys.stderr)
        draws = predicted(points.where(out), tree, reads, np.random.default_rng(0))
        error[out] = np.median(draws, axis=0) - observed[out]
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        inside[out] = (low <= observed[out]) & (observed[out] <= high)
    return {"error": error, "inside": inside, "architecture": architecture}


def at_peak(points: Any) -> dict[str, Any]:
    """The same of a roofline that takes the larger of memory and compute time at peak rates."""
    from bayesmoe.costs.serving.fit_calibration import terms_of
    from bayesmoe.costs.serving.roofline import TERMS

    terms, _ = terms_of(points)
    step = np.maximum(terms[:, TERMS.index("memory")], terms[:, TERMS.index("compute")])
    error = np.log(step) - np.log(points.frame["tpot_ms"].to_numpy(float) * 1e-3)
    return {"error": error, "inside": None, "architecture": points.frame["architecture"].to_numpy()}


MOST = 2048
"""Cap on a batch of a saturated engine: its own is not on record."""


def throughput(file: Path) -> Any:
    """Predicted against published maximum throughput, by architecture: the shipped calibration, and batches that memory bounds."""
    import pandas as pd

    from bayesmoe.architecture import public_models, public_shape
    from bayesmoe.costs.cost import fleet_of, latency_of, serving_draws
    from bayesmoe.costs.hardware import ACCELERATORS
    from bayesmoe.costs.serving import served_shapes
    from bayesmoe.costs.serving.replica import memory_batch
    from bayesmoe.costs.workload import Serving
    from bayesmoe.specs import from_mapping

    frame = pd.read_csv(file)
    needed = ["output_tokens_per_s_per_gpu", "isl_tokens", "osl_tokens"]
    frame = frame[frame["architecture"].isin(list(public_models())) & frame["hardware"].isin(list(ACCELERATORS))]
    frame = frame[frame[needed].notna().all(axis=1) & frame["scenario"].str.contains("offline")]
    rows, rng = [], np.random.default_rng(0)
    for run in frame.itertuples():
        fleet = {
            "accelerator": run.hardware,
            "max_gpus": int(run.n_gpus),
            "prompt_tokens": float(run.isl_tokens),
            "output_tokens": float(run.osl_tokens),
            "precision": run.weight_precision,
            "bytes_per_kv_element": 1.0 if run.weight_precision in ("fp8", "fp4") else 2.0,
            "max_batch": MOST,
            "engine": "TensorRT-LLM",
        }
        spec = from_mapping(fleet, Serving)
        latency, model, gpus = latency_of(spec), served_shapes([public_shape(run.architecture)]), float(run.n_gpus)
        uncertain = serving_draws(spec, 1000, 1, rng)
        batch = np.minimum(np.asarray(memory_batch(model, gpus, uncertain.traffic, fleet_of(spec))), MOST)
        seconds = np.asarray(sum(latency(model, batch, gpus, uncertain.traffic, uncertain.coefficients)))
        low, median, high = np.quantile(batch / seconds / gpus, [0.05, 0.5, 0.95])
        measured = run.output_tokens_per_s_per_gpu
        rows.append((run.architecture, np.log(median / measured), low <= measured <= high))
    return pd.DataFrame(rows, columns=["architecture", "error", "inside"])


def throughput_lines(found: Any, calibrated: set[str]) -> list[str]:
    """The page's part on throughput."""
    lines = [
        "",
        "## Maximum throughput",
        "",
        f"The shipped calibration against {len(found)} published throughputs of saturated engines (NVIDIA/TensorRT-LLM performance overviews v0.17 and",
        f"v1.0), none of which it was fitted to. Their batch is not on record: taken as what memory holds, at most {MOST:,}. Cells: median absolute",
        "error of tokens per second and GPU, bias (factor), and how many the 90% band covers.",
        "",
        "| architecture | in the calibration | points | error / bias | 90% band covers |",
        "|---|---|---|---|---|",
    ]
    groups = [*found.groupby("architecture"), ("all", found)]
    new = found[~found["architecture"].isin(calibrated)]
    groups.insert(-1, ("all that are not in it", new))
    for name, part in groups:
        error = part["error"].to_numpy()
        inside = "–" if name.startswith("all") else "yes" if name in calibrated else "no"
        lines.append(
            f"| {name} | {inside} | {len(part)} | {100 * np.median(np.abs(np.expm1(error))):.0f}% / {np.exp(np.median(error)):.2f}x "
            f"| {100 * part['inside'].mean():.0f}% |"
        )
    return lines


def written(found: dict[str, dict[str, Any]], points: Any, saturated: Any) -> str:
    """The page."""
    names = np.unique(points.frame["architecture"])
    lines = [
        "# Serving costs of models that were not measured",
        "",
        f"Made by `python docs/make_serving.py serving`: {len(points.frame)} public measurements of time per output token (TPOT), flagged rows left",
        "out. One architecture at a time is left out of the calibration and predicted. Cells: median absolute error of TPOT, and bias (factor).",
        "Bands are of single measurements.",
        "",
        "| what a step reads | all points | 90% band covers | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for label, one in found.items():
        error = one["error"]
        cells = []
        for name in names:
            here = error[one["architecture"] == name]
            cells.append(f"{100 * np.median(np.abs(np.expm1(here))):.0f}% / {np.exp(np.median(here)):.2f}x")
        covers = "–" if one["inside"] is None else f"{100 * one['inside'].mean():.0f}%"
        lines.append(
            f"| {label} | {100 * np.median(np.abs(np.expm1(error))):.1f}% / {np.exp(np.median(error)):.2f}x | {covers} | {' | '.join(cells)} |"
        )
    shipped = next(iter(found.values()))
    lines += ["", "Coverage of the shipped one by architecture: "]
    covered = [f"{name} {100 * shipped['inside'][shipped['architecture'] == name].mean():.0f}%" for name in names]
    lines[-1] += ", ".join(covered) + "."
    return "\n".join([*lines, *throughput_lines(saturated, set(names.tolist())), ""])


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
    saturated = throughput(given.folder / "serving_measurements.csv")
    found = {label: measured(points, reads) for label, reads in VARIANTS.items()}
    found[UNCALIBRATED] = at_peak(points)
    write_text(OUT, written(found, points, saturated))


if __name__ == "__main__":
    main()
