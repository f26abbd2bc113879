"""The laws of a fit: the one that was fitted, or several with their weights, discrepancies and the runs they extrapolate from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayesmoe.inference.extrapolation import is_axis
from bayesmoe.inference.spec import AVERAGE
from bayesmoe.inference.store import LAWS, FitInfo


@dataclass(frozen=True)
class Component:
    """A law of a fit.

    Attributes
    ----------
    fit : DataTree
        The law's own fit.
    weight : float
        Its weight among the laws; 1 where there is one.
    discrepancy : Dataset or None
        Discrepancy of the law per unit of extrapolation distance: ``bias`` and ``scale`` (discrepancy_draw, part) and the
        ``correlation`` between axes; of the runs seen, ``ln_covariate`` and ``slope`` (axis, seen) and ``group_of_run`` (seen).
        None for a law fitted alone, whose forecasts were not tested.
    """

    fit: xr.DataTree
    weight: float
    discrepancy: xr.Dataset | None


def discrepancy_draws(discrepancy: xr.Dataset, count: int, rng: np.random.Generator) -> np.ndarray:
    """``m_p ~ Normal(bias_p, scale_p)`` under draws of bias and scale, first dimension draws; shape (count, part).

    Any two axes have the correlation ``correlation``.
    """
    bias, scale = discrepancy["bias"].values, discrepancy["scale"].values
    which = rng.integers(len(bias), size=count)
    factor = correlation_factor(float(discrepancy["correlation"]), [str(part) for part in discrepancy["part"].values])
    return bias[which] + scale[which] * (rng.standard_normal((count, bias.shape[1])) @ factor.T)


def correlation_factor(correlation: float, parts: Sequence[str]) -> np.ndarray:
    """Cholesky factor of the correlation of discrepancy between parts of the distance, shape (part, part): products have none."""
    axis = np.array([is_axis(part) for part in parts], dtype=float)
    shared = correlation * np.outer(axis, axis)
    return np.linalg.cholesky(shared - np.diag(np.diag(shared)) + np.eye(len(parts)))


def components(fit: xr.DataTree) -> dict[str, Component]:
    """Laws of a fit by name, heaviest first."""
    if LAWS not in fit.children:
        return {FitInfo.read(fit).law_name: Component(fit, 1.0, None)}
    table = fit[AVERAGE].to_dataset()
    order = table["law"].values[np.argsort(-table["weight"].values, kind="stable")]
    return {
        str(name): Component(
            fit[LAWS].children[str(name)],
            float(table["weight"].sel(law=name)),
            table[["bias", "scale", "correlation", "ln_covariate", "slope"]].sel(law=name),
        )
        for name in order
    }


def heaviest(fit: xr.DataTree) -> xr.DataTree:
    """The fit itself, or that of the law with the largest weight."""
    return next(iter(components(fit).values())).fit


def most_experts(fit: xr.DataTree) -> float:
    """Largest expert count of the runs; 1 where they have none."""
    runs = [member.fit["constant_data"].dataset for member in components(fit).values()]
    return max([float(one["num_experts"].max()) for one in runs if "num_experts" in one], default=1.0)


def apportion(weights: np.ndarray, count: int) -> np.ndarray:
    """Whole numbers in proportion to weights, with sum ``count``: the largest remainders are rounded up."""
    exact = np.asarray(weights) / np.sum(weights) * count
    counts = np.floor(exact).astype(int)
    most = np.argsort(counts - exact, kind="stable")[: count - counts.sum()]
    counts[most] += 1
    return counts
