"""How far a law misses beyond the runs it was fitted to: a discrepancy that grows with reach, learned from forward validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from bayesmoe.inference.ensemble import correlation_factor, discrepancy_draws
from bayesmoe.inference.model import noisy


class MisfitPrior(NamedTuple):
    """Prior of a law's discrepancy: median and log-sd of its growth, and its correlation between any two axes."""

    median: float
    log_sd: float
    correlation: float


MISFIT_PRIOR = MisfitPrior(0.07, 0.4, 0.3)
"""The prior in force: of those tried, among those under which the misses of laws at the cuts inside public tables are likeliest, to
within a nat, each law counted by its weight in its table's average: a law that forecasts badly has little say there, and so here
(``docs/backtests.md``)."""

_TEMPER = 0.5
_DRAWS = 1000


def discrepancy(
    forecasts: Sequence[xr.Dataset], axes: Sequence[str], *, seed: int, prior: MisfitPrior = MISFIT_PRIOR
) -> xr.Dataset:
    """Posterior of a law's discrepancy per unit of reach.

    ``ln y_i = ln L_i + sum_j m_j r_ij + noise,   m_j ~ Normal(shift_j, growth_j),   shift_j ~ Normal(0, growth_j)``

    r_ij is the reach of run i along axis j: by how much the law itself says the log loss would move from the nearest run seen. So m
    is dimensionless: 0.2 means that a fifth of what the law promises along an axis is not to be believed. Each cut of the table has
    its own m; its runs share it, which is what makes the discrepancy of larger runs a drift and not a scatter. A law that errs the same
    way at every cut has a shift; one that errs either way has growth. ``growth_j ~ LogNormal(prior)``. Axes miss together: a law whose
    loss falls too slowly with size mostly falls too slowly with tokens, so that m and shift have one correlation between any two axes.

    Parameters
    ----------
    forecasts : sequence of Dataset
        One per cut, the runs asked only: ``expected`` (draw, run), ``noise_scale`` (draw, run), ``noise_df`` (draw), ``reach``
        (axis, run), ``observed`` (run). None at all leaves the prior.
    axes : sequence of str
        Axes of reach.
    seed : int
        Seed.
    prior : MisfitPrior
        Prior of growth and of the correlation.

    Returns
    -------
    Dataset
        ``shift`` and ``growth``, shape (draw, axis), dimensionless; the prior where no cut says anything; ``together``. In its attributes
        ``log_evidence``, how much likelier the cuts' misses are under this prior of growth than without any discrepancy, in nats.

    Notes
    -----
    Exact for normal discrepancy, parameters and noise, by conjugacy given growth and importance from growth's prior. Cuts share runs, so
    each counts half.
    """
    rng = np.random.default_rng(seed)
    scale = prior.median * np.exp(prior.log_sd * rng.standard_normal((_DRAWS, len(axes))))
    factor = scale[:, :, None] * correlation_factor(prior.correlation, len(axes))
    across = np.swapaxes(factor, 1, 2)
    precision = np.linalg.inv(factor @ across)
    prior_precision = np.linalg.slogdet(precision)[1]
    pull, log_weight = np.zeros((_DRAWS, len(axes))), np.zeros(_DRAWS)
    for forecast in forecasts:
        information, slope = _evidence(forecast)
        inner = np.eye(len(axes)) + across @ information @ factor
        shrink = factor @ np.linalg.inv(inner) @ across
        known = information - information @ shrink @ information
        precision = precision + _TEMPER * known
        pull = pull + _TEMPER * (slope - (information @ shrink) @ slope)
        log_weight += _TEMPER * 0.5 * ((shrink @ slope) @ slope - np.linalg.slogdet(inner)[1])
    covariance = np.linalg.inv(precision)
    center = (covariance @ pull[:, :, None])[:, :, 0]
    log_weight += 0.5 * ((center * pull).sum(axis=1) - np.linalg.slogdet(precision)[1] + prior_precision)
    weight = np.exp(log_weight - log_weight.max())
    kept = rng.choice(_DRAWS, _DRAWS, p=weight / weight.sum())
    evidence = float(log_weight.max() + np.log(weight.mean()))
    scatter = np.linalg.cholesky(covariance[kept]) @ rng.standard_normal((_DRAWS, len(axes), 1))
    return xr.Dataset(
        {
            "bias": (("draw", "axis"), center[kept] + scatter[:, :, 0]),
            "scale": (("draw", "axis"), scale[kept]),
            "correlation": prior.correlation,
        },
        coords={"axis": list(axes)},
        attrs={"log_evidence": evidence},
    )


def _evidence(forecast: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Information of a cut about its own m, ``r C^-1 r'``, and ``r C^-1 e``: C of the law's draws and the noise."""
    ln = np.log(forecast["expected"].values)
    error = np.log(forecast["observed"].values) - ln.mean(axis=0)
    df = np.maximum(np.median(forecast["noise_df"].values), 3.0)
    noise = np.median(forecast["noise_scale"].values, axis=0) ** 2 * df / (df - 2.0)
    covariance = np.cov(ln, rowvar=False).reshape(len(error), len(error)) + np.diag(noise)
    distance = forecast["distance"].values
    solved = np.linalg.solve(covariance, np.column_stack([distance.T, error]))
    return distance @ solved[:, :-1], distance @ solved[:, -1]


def miss_per_reach(forecast: xr.Dataset) -> float:
    """A law's miss of some runs as a share of their reach, by least squares; NaN where no run reaches anywhere.

    ``m = sum_i e_i r_i / sum_i r_i^2``, e the error of the mean log response, r the reach over all axes.
    """
    error = np.log(forecast["observed"].values) - np.log(forecast["expected"].values).mean(axis=0)
    distance = forecast["distance"].values.sum(axis=0)
    return float(error @ distance / (distance @ distance)) if distance.any() else float("nan")


def predicted(forecast: xr.Dataset, own: xr.Dataset | None, *, draws: int, seed: int) -> np.ndarray:
    """Draws of runs' responses, with noise and, given a discrepancy, with discrepancy that all runs of a draw share.

    Parameters
    ----------
    forecast : Dataset
        ``expected``, ``noise_scale``, ``noise_df``, ``reach``.
    own : Dataset, optional
        The law's :func:`discrepancy`.
    draws : int
        How many.
    seed : int
        Seed.

    Returns
    -------
    array, shape (draw, run)
        In nats per token.
    """
    rng = np.random.default_rng(seed)
    index, expected = _moved(forecast, own, draws, rng)
    return noisy(expected, forecast["noise_scale"].values[index], forecast["noise_df"].values[index], rng)


def log_densities(forecast: xr.Dataset, own: xr.Dataset | None, *, draws: int, seed: int) -> np.ndarray:
    """Log density of each run's observed response under each draw, shape (draw, run), in nats."""
    rng = np.random.default_rng(seed)
    index, expected = _moved(forecast, own, draws, rng)
    df, scale = forecast["noise_df"].values[index, None], expected * forecast["noise_scale"].values[index]
    return stats.t.logpdf(forecast["observed"].values, df, expected, scale)


def _moved(
    forecast: xr.Dataset, own: xr.Dataset | None, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    index = rng.integers(forecast.sizes["draw"], size=draws)
    expected = forecast["expected"].values[index]
    if own is None:
        return index, expected
    return index, expected * np.exp(discrepancy_draws(own, draws, rng) @ forecast["distance"].values)
