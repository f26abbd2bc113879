"""Write ``docs/training.md``: how well the calibrated training step predicts models and runs that it never saw.

``python docs/make_training.py FOLDER`` reads the tables ``training_*.csv`` from FOLDER (see the data cards). One model at a time, and then one whole
run at a time, is left out and predicted from the rest. Refits are Laplace approximations at the spreads of the fit to everything, which a left-out
model moves little; what they leave to say of it is drawn from those spreads.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "training.md"
sys.path.insert(0, str(ROOT / "datasets"))

DRAWS = 2000
SPREADS = (
    "between_dense",
    "between_moes",
    "within_dense",
    "within_moes",
    "by_hardware",
    "by_source",
    "between_routers",
    "between_labs",
)
"""What a refit holds as the fit to everything has it."""

OFF = 1e-9
"""What a left-out row counts for; a likelihood cannot count for nothing."""


class Refit:
    """Draws of the training model's parameters with some rows left out."""

    def __init__(self, data: dict[str, Any], spreads: dict[str, float]) -> None:
        from fixed_spreads import Laplace

        from bayesmoe.costs.training.fit_calibration import model

        self.laplace = Laplace(model, data, spreads, changing=("counts_as", "run_counts"))
        self.laplace.start, _ = self.laplace.fit()

    def draws(self, changed: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draws with rows that count for something else; leaves of shape (DRAWS, ...)."""
        import jax

        mode, root = self.laplace.fit(changed)
        flat = mode + rng.standard_normal((DRAWS, len(mode))) @ root.T
        return jax.tree.map(np.asarray, jax.vmap(self.laplace.restored)(flat))


class Forecast(NamedTuple):
    """Draws of ln seconds per token and what was measured, by point."""

    draws: np.ndarray
    observed: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Relative error of tokens per second, of the median."""
        return np.expm1(self.observed - np.median(self.draws, axis=0))

    def inside(self, level: float) -> np.ndarray:
        """Whether the central band covers."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return (low <= self.observed) & (self.observed <= high)


def student(size: Any, rng: np.random.Generator) -> np.ndarray:
    """Draws of a unit residual, cut as costs cut it."""
    from bayesmoe.costs.calibrations import FARTHEST
    from bayesmoe.costs.training.calibration import TAIL

    return np.clip(rng.standard_t(TAIL, size=size), -FARTHEST, FARTHEST)


def theta_of(draws: dict[str, np.ndarray]) -> np.ndarray:
    """Coefficients from their unit deviates."""
    from bayesmoe.costs.training.coefficients import PRIOR

    median, log_sd = np.array(list(PRIOR.values())).T
    return np.log(median) + log_sd * draws["theta_z"]


def base(draws: dict[str, np.ndarray], part: dict[str, Any], learned: np.ndarray, uneven: np.ndarray) -> np.ndarray:
    """Draws of ln seconds per token before residuals, shape (DRAWS, point)."""
    import jax

    from bayesmoe.costs.training.fit_calibration import base_seconds

    total, routed = map(np.asarray, jax.vmap(lambda theta: base_seconds(theta, part))(theta_of(draws)))
    return np.log(total + learned * np.exp(uneven)[:, None] * routed)


def models_left_out(points: Any, data: dict[str, Any], refit: Refit, spreads: dict[str, float]) -> Forecast:
    """Every point, its model left out."""
    from bayesmoe.costs.hierarchical import counts_as

    architecture, rng = points.frame["architecture"].to_numpy(), np.random.default_rng(0)
    counts, found = counts_as(points.frame["architecture"]), np.zeros((DRAWS, len(architecture)))
    for name in np.unique(architecture):
        out = architecture == name
        draws = refit.draws({"counts_as": np.where(out, OFF, counts)}, rng)
        learned = np.asarray(data["learned"])
        ln_s = base(draws, data["points"], learned, draws["unevenness"])
        for effect, column, spread in (("of_hardware_z", "hardware", "by_hardware"), ("of_source_z", "source", "by_source")):
            ln_s = ln_s + spreads[spread] * draws[effect][:, np.asarray(data[column])]
        kind = "moes" if points.rows.model.num_experts[out][0] > 1 else "dense"
        own = spreads[f"between_{kind}"] * student((DRAWS, 1), rng)
        found[:, out] = (ln_s + own + spreads[f"within_{kind}"] * student(ln_s.shape, rng))[:, out]
    return Forecast(found, np.log(points.seconds_per_token))


def runs_left_out(runs: Any, data: dict[str, Any], refit: Refit, spreads: dict[str, float]) -> Forecast:
    """Every whole run, left out."""
    count, rng = len(runs.seconds_per_token), np.random.default_rng(1)
    found = np.zeros((DRAWS, count))
    for i in range(count):
        out = np.arange(count) == i
        draws = refit.draws({"run_counts": np.where(out, OFF, 1.0)}, rng)
        uneven = draws["unevenness"] + spreads["between_routers"] * rng.standard_normal(DRAWS)
        ln_s = base(draws, data["runs"], runs.learned_router, uneven)[:, i]
        # The gap is sampled as it is, and its excess through a logarithm, as a fixed spread.
        gap = draws["gap_steady"] + runs.whole_run[i] * np.exp(draws["gap_beyond"])
        between = spreads["between_moes" if runs.learned_router[i] else "between_dense"]
        sd = np.sqrt(between**2 + spreads["by_source"] ** 2 + spreads["between_labs"] ** 2)
        found[:, i] = ln_s + gap + sd * student(DRAWS, rng)
    return Forecast(found, np.log(runs.seconds_per_token))


def cell_means(points: Any) -> np.ndarray:
    """Relative error of tokens per second where a model's share of the peak is the mean of others' in its cell of MoE, chip and precision."""
    frame = points.frame.assign(moe=points.rows.model.num_experts > 1, ln=_ln_share(points))
    error = np.full(len(frame), np.nan)
    for _, cell in frame.groupby(["moe", "hardware", "precision"]):
        for name in cell["architecture"].unique():
            own = (cell["architecture"] == name).to_numpy()
            if not own.all():
                others = cell[~own].groupby("architecture")["ln"].mean().mean()
                error[cell.index[own]] = np.expm1(others - cell["ln"].to_numpy()[own])
    return error


def linear_fit(points: Any) -> np.ndarray:
    """The same of the data card's regression of the share of the 16-bit peak, refitted without each model."""
    frame, rows, design = points.frame, points.rows, []
    moe = (rows.model.num_experts > 1).astype(float)
    blackwell = frame["hardware"].str.contains("B200|B300").to_numpy(float)
    rack, ultra = frame["hardware"].str.contains("GB").to_numpy(float), frame["hardware"].str.contains("300").to_numpy(float)
    fp8, fp4 = ((frame["precision"] == kind).to_numpy(float) for kind in ("fp8", "fp4"))
    design = [np.ones(len(moe)), moe, moe * np.log(rows.model.d_expert / 2048.0), np.log(rows.model.flop / 1e11)]
    design += [fp8, fp8 * moe, fp4, fp4 * moe, blackwell, blackwell * moe, rack, rack * moe, ultra]
    design += [rows.software.full_graph * moe, (rows.software.age_years > 1.0).astype(float)]
    matrix, ln_share = np.stack(design, axis=1), _ln_share(points)
    weight = 1.0 / frame.groupby("architecture")["architecture"].transform("size").to_numpy(float)
    error = np.zeros(len(frame))
    for name in frame["architecture"].unique():
        out = (frame["architecture"] == name).to_numpy()
        root = np.sqrt(weight[~out])
        slope = np.linalg.lstsq(matrix[~out] * root[:, None], ln_share[~out] * root, rcond=1e-10)[0]
        error[out] = np.expm1(matrix[out] @ slope - ln_share[out])
    return error


def _ln_share(points: Any) -> np.ndarray:
    """Log of the share of the 16-bit peak."""
    return np.log(points.rows.model.flop / (points.seconds_per_token * points.rows.chip.flop_per_s))


def main() -> None:
    """Measure and write."""
    import jax
    import training_tables as tables

    from bayesmoe.costs.training.calibration import read_training_calibration
    from bayesmoe.costs.training.fit_calibration import arranged
    from bayesmoe.files import write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    points, pairs, runs, names = tables.everything(given.folder)
    shipped = read_training_calibration()
    spreads = {name: float(shipped[name].median()) for name in SPREADS}
    data, _ = arranged(points, pairs, runs)
    refit = Refit(data, spreads)
    from training_page import page

    models = models_left_out(points, data, refit, spreads)
    whole = runs_left_out(runs, data, refit, spreads)
    write_text(
        OUT, page(points, models, {"cell mean": cell_means(points), "linear fit": linear_fit(points)}, runs, names, whole)
    )


if __name__ == "__main__":
    main()
