"""The laws of a fit: the one that was fitted, or several with their weights, misfits and the runs they reach from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

AVERAGE = "average"
"""Name of several laws averaged, of their node in a fit, and of the law to ask for."""

LAWS = "laws"
"""Node of an averaged fit that holds the fit of each law."""


@dataclass(frozen=True)
class Member:
    """A law of a fit.

    Attributes
    ----------
    fit : DataTree
        The law's own fit.
    weight : float
        Its weight among the laws; 1 where there is one.
    beyond : Dataset or None
        ``shift`` and ``growth`` (misfit_draw, axis) of its misfit per unit of reach and its correlation ``together`` between axes, ``ln_covariate`` and ``slope`` (axis, seen) and
        ``group_of_run`` (seen) of the runs seen. None where the law was fitted alone: nothing is known of how it misses.
    """

    fit: xr.DataTree
    weight: float
    beyond: xr.Dataset | None


def misfit_draws(own: xr.Dataset, count: int, rng: np.random.Generator) -> np.ndarray:
    """``m_j ~ Normal(shift_j, growth_j)`` under draws of shift and growth, first dimension draws; shape (count, axis).

    Any two axes have the correlation ``together``.
    """
    shift, growth = own["shift"].values, own["growth"].values
    which = rng.integers(len(shift), size=count)
    factor = together_factor(float(own["together"]), shift.shape[1])
    return shift[which] + growth[which] * (rng.standard_normal((count, shift.shape[1])) @ factor.T)


def together_factor(together: float, axes: int) -> np.ndarray:
    """Cholesky factor of the correlation of misfit between axes, shape (axis, axis)."""
    return np.linalg.cholesky(np.full((axes, axes), together) + (1.0 - together) * np.eye(axes))


def members(fit: xr.DataTree) -> dict[str, Member]:
    """Laws of a fit by name, heaviest first."""
    if LAWS not in fit.children:
        return {str(fit.attrs["law"]): Member(fit, 1.0, None)}
    table = fit[AVERAGE].to_dataset()
    order = table["law"].values[np.argsort(-table["weight"].values, kind="stable")]
    return {
        str(name): Member(
            fit[LAWS].children[str(name)],
            float(table["weight"].sel(law=name)),
            table[["shift", "growth", "together", "ln_covariate", "slope"]].sel(law=name),
        )
        for name in order
    }


def shares(weights: np.ndarray, count: int) -> np.ndarray:
    """Whole numbers in proportion to weights, with sum ``count``: the largest remainders are rounded up."""
    exact = np.asarray(weights) / np.sum(weights) * count
    found = np.floor(exact).astype(int)
    most = np.argsort(found - exact, kind="stable")[: count - found.sum()]
    found[most] += 1
    return found
