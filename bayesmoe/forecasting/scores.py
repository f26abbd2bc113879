"""Scores of a forecast that is made of draws: how far off, how sure, and how often right."""

from __future__ import annotations

import numpy as np
import xarray as xr

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Central intervals whose coverage is counted."""


def crps(draws: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of draws, ``mean |x - y| - mean |x - x'| / 2``, in their unit; smaller is better.

    ``draws`` has the shape (draw, n), ``observed`` and the score (n,). Gneiting and Raftery 2007, doi:10.1198/016214506000001437, Eq. 20.
    """
    ordered = np.sort(draws, axis=0)
    count = len(ordered)
    weight = (2.0 * np.arange(1, count + 1) - count - 1.0)[:, None] / count**2
    return np.abs(draws - observed).mean(axis=0) - (weight * ordered).sum(axis=0)


def inside(draws: np.ndarray, observed: np.ndarray, level: float) -> np.ndarray:
    """Whether each observation lies in the central interval of draws of shape (draw, n); shape (n,)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return (observed >= low) & (observed <= high)


def scores(draws: np.ndarray, observed: np.ndarray) -> xr.Dataset:
    """Summary scores of a forecast with its noise, ``draws`` of shape (draw, n), of losses that came; both in nats per token.

    Returns
    -------
    Dataset
        ``coverage`` by ``level``, ``crps`` and ``sharpness`` (mean width of the 90% band) in nats per token, ``bias`` (mean of
        ln observed over median), and by ``run`` the probability integral transform ``pit``, the share of draws below.
    """
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    return xr.Dataset(
        {
            "coverage": ("level", np.array([inside(draws, observed, level).mean() for level in LEVELS])),
            "crps": float(crps(draws, observed).mean()),
            "bias": float(np.log(observed / np.median(draws, axis=0)).mean()),
            "sharpness": float((high - low).mean()),
            "pit": ("run", (draws < observed).mean(axis=0)),
        },
        coords={"level": list(LEVELS)},
    )


def weighted_percentile(
    draws: np.ndarray, observed: float, weight: np.ndarray, rng: np.random.Generator, *, same: float = 0.0
) -> float:
    """Weight of the draws below what came, in [0, 1]; a share of those that are the same, drawn evenly, is below it too.

    Of forecasts that are right it is uniform, also where the forecast has atoms (Czado, Gneiting and Held 2009,
    doi:10.1111/j.1541-0420.2009.01191.x, section 2.1).

    Parameters
    ----------
    draws, weight : array, shape (draw,)
        Draws, and how much each counts.
    observed : float
        What came.
    rng : numpy Generator
        Source of that share.
    same : float
        Difference up to which a draw is what came.
    """
    equal = np.abs(draws - observed) <= same
    below = weight[(draws < observed) & ~equal].sum() + rng.random() * weight[equal].sum()
    return float(below / weight.sum())


def covered(percentile: np.ndarray, level: float) -> np.ndarray:
    """Whether percentiles lie in the central interval of a level."""
    return np.abs(np.asarray(percentile) - 0.5) <= level / 2.0
