"""Discrepancy of a law beyond the runs it was fitted to: it grows with extrapolation distance, learned from forward validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from bayesmoe.inference.ensemble import correlation_factor, discrepancy_draws
from bayesmoe.inference.model import noisy


class DiscrepancyPrior(NamedTuple):
    """Prior of a law's discrepancy: median and log-sd of its scale, and its correlation between any two axes."""

    median: float
    log_sd: float
    correlation: float


DISCREPANCY_PRIOR = DiscrepancyPrior(0.07, 0.4, 0.3)
"""The prior in force: of those tried, among those under which the errors of laws at the splits inside public tables are likeliest, to
within a nat, each law counted by its weight in its table's average: a law that forecasts badly has little say there, and so here
(``docs/backtests.md``)."""

_TEMPER = 0.5
_DRAWS = 1000


def discrepancy(
    forecasts: Sequence[xr.Dataset], axes: Sequence[str], *, seed: int, prior: DiscrepancyPrior = DISCREPANCY_PRIOR
) -> xr.Dataset:
    """Infer a law's discrepancy per unit of extrapolation distance.

    ``ln y_i = ln L_i + sum_j m_j r_ij + noise,   m_j ~ Normal(bias_j, scale_j),   bias_j ~ Normal(0, scale_j)``

    r_ij is the distance of run i along axis j: by how much the law says the log loss moves from the nearest run seen. So m is
    dimensionless: 0.2 means that the law is wrong by a fifth of the change that it predicts along an axis. The runs of a split share
    its m. ``scale_j ~ LogNormal(prior)``; m and bias have one correlation between any two axes.

    Parameters
    ----------
    forecasts : sequence of Dataset
        One per split, the runs held out only: ``expected`` (draw, run), ``noise_scale`` (draw, run), ``noise_df`` (draw), ``distance``
        (axis, run), ``observed`` (run). None at all leaves the prior.
    axes, seed, prior : sequence of str, int, DiscrepancyPrior
        Axes of extrapolation; seed; prior of the scale and of the correlation.

    Returns
    -------
    Dataset
        ``bias`` and ``scale``, shape (draw, axis), dimensionless, and ``correlation``. In its attributes ``log_evidence``, nats, of the
        errors against no discrepancy.

    Notes
    -----
    Conjugate given the scale, with importance weights from its prior. Splits share runs, so each is tempered by a half.
    """
    rng = np.random.default_rng(seed)
    scale = prior.median * np.exp(prior.log_sd * rng.standard_normal((_DRAWS, len(axes))))
    center, covariance, log_weight = _conjugate(forecasts, scale, prior.correlation)
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


def _conjugate(
    forecasts: Sequence[xr.Dataset], scale: np.ndarray, correlation: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (draw, axis) and covariance (draw, axis, axis) of the bias given each draw of the scale, and its log weight (draw,)."""
    axes = scale.shape[1]
    factor = scale[:, :, None] * correlation_factor(correlation, axes)
    across = np.swapaxes(factor, 1, 2)
    precision = np.linalg.inv(factor @ across)
    prior_precision = np.linalg.slogdet(precision)[1]
    pull, log_weight = np.zeros(scale.shape), np.zeros(len(scale))
    for forecast in forecasts:
        information, slope = _evidence(forecast)
        inner = np.eye(axes) + across @ information @ factor
        shrink = factor @ np.linalg.inv(inner) @ across
        marginal = information - information @ shrink @ information
        precision = precision + _TEMPER * marginal
        pull = pull + _TEMPER * (slope - (information @ shrink) @ slope)
        log_weight += _TEMPER * 0.5 * ((shrink @ slope) @ slope - np.linalg.slogdet(inner)[1])
    covariance = np.linalg.inv(precision)
    center = (covariance @ pull[:, :, None])[:, :, 0]
    log_weight += 0.5 * ((center * pull).sum(axis=1) - np.linalg.slogdet(precision)[1] + prior_precision)
    return center, covariance, log_weight


def _evidence(forecast: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Information of a split about its own m, ``r C^-1 r'``, and ``r C^-1 e``: C of the law's draws and the noise."""
    ln = np.log(forecast["expected"].values)
    error = np.log(forecast["observed"].values) - ln.mean(axis=0)
    df = np.maximum(np.median(forecast["noise_df"].values), 3.0)
    noise = np.median(forecast["noise_scale"].values, axis=0) ** 2 * df / (df - 2.0)
    covariance = np.cov(ln, rowvar=False).reshape(len(error), len(error)) + np.diag(noise)
    distance = forecast["distance"].values
    solved = np.linalg.solve(covariance, np.column_stack([distance.T, error]))
    return distance @ solved[:, :-1], distance @ solved[:, -1]


def error_per_distance(forecast: xr.Dataset) -> float:
    """Relative error of a law per unit of distance, by least squares; NaN where all distances are zero.

    ``m = sum_i e_i r_i / sum_i r_i^2``, e the error of the mean log response, r the distance over all axes.
    """
    error = np.log(forecast["observed"].values) - np.log(forecast["expected"].values).mean(axis=0)
    distance = forecast["distance"].values.sum(axis=0)
    return float(error @ distance / (distance @ distance)) if distance.any() else float("nan")


def predicted(forecast: xr.Dataset, of_law: xr.Dataset | None, *, draws: int, seed: int) -> np.ndarray:
    """Draws of runs' responses, nats per token, shape (draw, run), with noise and with a discrepancy that all runs of a draw share."""
    rng = np.random.default_rng(seed)
    index, expected = _moved(forecast, of_law, draws, rng)
    return noisy(expected, forecast["noise_scale"].values[index], forecast["noise_df"].values[index], rng)


def log_densities(forecast: xr.Dataset, of_law: xr.Dataset | None, *, draws: int, seed: int) -> np.ndarray:
    """Log density of each run's observed response under each draw, shape (draw, run), in nats."""
    rng = np.random.default_rng(seed)
    index, expected = _moved(forecast, of_law, draws, rng)
    df, scale = forecast["noise_df"].values[index, None], expected * forecast["noise_scale"].values[index]
    return stats.t.logpdf(forecast["observed"].values, df, expected, scale)


def _moved(
    forecast: xr.Dataset, of_law: xr.Dataset | None, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    index = rng.integers(forecast.sizes["draw"], size=draws)
    expected = forecast["expected"].values[index]
    if of_law is None:
        return index, expected
    return index, expected * np.exp(discrepancy_draws(of_law, draws, rng) @ forecast["distance"].values)
