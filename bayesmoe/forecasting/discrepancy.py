"""Discrepancy of a law beyond the runs it was fitted to: it grows with extrapolation distance, learned from forward validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.forecasting.discrepancy_prior import DiscrepancyPrior, shipped_prior
from bayesmoe.inference.ensemble import correlation_factor, discrepancy_draws
from bayesmoe.inference.extrapolation import is_axis, parts_of_distance
from bayesmoe.inference.model import noisy

_TEMPER = 0.5
_DRAWS = 1000


class Evidence(NamedTuple):
    """What the errors e of runs forecast together say of a law, C the covariance of its draws and the noise, r the distance.

    Attributes
    ----------
    information : array, shape (part, part)
        About m: ``r C^-1 r'``.
    slope : array, shape (part,)
        ``r C^-1 e``.
    log_density : float
        ``ln Normal(e | 0, C)``: without discrepancy, nats.
    """

    information: np.ndarray
    slope: np.ndarray
    log_density: float


def discrepancy(
    forecasts: Sequence[xr.Dataset], axes: Sequence[str], *, seed: int, prior: DiscrepancyPrior | None = None
) -> xr.Dataset:
    """Infer a law's discrepancy per unit of extrapolation distance.

    ``ln y_i = ln L_i + sum_p m_p r_ip + noise,   m_p ~ Normal(bias_p, scale_p),   bias_p ~ Normal(0, scale_p)``

    r_ip is part p of the distance of run i from the runs seen: by how much the law says the log loss moves
    (:func:`bayesmoe.inference.extrapolation.extrapolation_distance`). So m is dimensionless: 0.2 means that the law is wrong by a fifth of the
    change that it predicts along an axis. The runs of a split share its m. ``scale_p ~ LogNormal(prior)``; m and bias have one correlation
    between any two axes.

    Parameters
    ----------
    forecasts : sequence of Dataset
        One per split, the runs held out only: ``expected`` (draw, run), ``noise_scale`` (draw, run), ``noise_df`` (draw), ``distance``
        (part, run), ``observed`` (run). None at all leaves the prior.
    axes, seed : sequence of str, int
        Axes of extrapolation; seed.
    prior : DiscrepancyPrior, optional
        Prior of every part; the shipped one where it is not given.

    Returns
    -------
    Dataset
        ``bias`` and ``scale``, shape (draw, part), dimensionless, and ``correlation``. In its attributes ``log_evidence``, nats, of the
        errors against no discrepancy.

    Notes
    -----
    Conjugate given the scale, with importance weights from its prior. Splits share runs, so each is tempered by a half.
    """
    parts, prior = parts_of_distance(axes), prior or shipped_prior()
    scale, _ = _scales(parts, prior, seed)
    factor = scale[:, :, None] * correlation_factor(prior.correlation, parts)
    return _inferred([_split_of(evidence_of(one), factor) for one in forecasts], parts, seed=seed, prior=prior)


def discrepancies_without_each(
    forecasts: Mapping[str, xr.Dataset], axes: Sequence[str], *, seed: int, prior: DiscrepancyPrior | None = None
) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """:func:`discrepancy` of all splits, and by split that of all others; what a split says is worked out once."""
    parts, prior = parts_of_distance(axes), prior or shipped_prior()
    scale, _ = _scales(parts, prior, seed)
    factor = scale[:, :, None] * correlation_factor(prior.correlation, parts)
    splits = {name: _split_of(evidence_of(one), factor) for name, one in forecasts.items()}
    without = {
        name: _inferred([one for other, one in splits.items() if other != name], parts, seed=seed, prior=prior)
        for name in splits
    }
    return _inferred(list(splits.values()), parts, seed=seed, prior=prior), without


def _scales(parts: Sequence[str], prior: DiscrepancyPrior, seed: int) -> tuple[np.ndarray, np.random.Generator]:
    """Draws of the scale from its prior, shape (draw, part), and the generator after them."""
    rng = np.random.default_rng(seed)
    return prior.scales(parts) * np.exp(prior.log_sd * rng.standard_normal((_DRAWS, len(parts)))), rng


def _inferred(splits: Sequence[_Split], parts: Sequence[str], *, seed: int, prior: DiscrepancyPrior) -> xr.Dataset:
    scale, rng = _scales(parts, prior, seed)
    factor = scale[:, :, None] * correlation_factor(prior.correlation, parts)
    center, covariance, log_weight = _combined(splits, factor)
    weight = np.exp(log_weight - log_weight.max())
    kept = rng.choice(_DRAWS, _DRAWS, p=weight / weight.sum())
    evidence = float(log_weight.max() + np.log(weight.mean()))
    scatter = np.linalg.cholesky(covariance[kept]) @ rng.standard_normal((_DRAWS, len(parts), 1))
    return xr.Dataset(
        {
            "bias": (("draw", "part"), center[kept] + scatter[:, :, 0]),
            "scale": (("draw", "part"), scale[kept]),
            "correlation": prior.correlation,
        },
        coords={"part": list(parts)},
        attrs={"log_evidence": evidence},
    )


def conjugate(evidence: Sequence[Evidence], factor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior of the bias given factors of its prior's covariance, shape (draw, part, part), and what splits say.

    Parameters
    ----------
    evidence : sequence of Evidence
        One a split.
    factor : array, shape (draw, part, part)
        Factor of the covariance of bias and of m around it.

    Returns
    -------
    tuple of array
        Mean (draw, part), covariance (draw, part, part) and log evidence (draw,) in nats over no discrepancy.
    """
    return _combined([_split_of(each, factor) for each in evidence], factor)


class _Split(NamedTuple):
    """What a split says of the bias, by draw of the scale: precision (draw, part, part), pull (draw, part), and log evidence (draw,)."""

    precision: np.ndarray
    pull: np.ndarray
    log_weight: np.ndarray


def _split_of(evidence: Evidence, factor: np.ndarray) -> _Split:
    information, slope, _ = evidence
    across = np.swapaxes(factor, 1, 2)
    inner = np.eye(len(slope)) + across @ information @ factor
    shrink = factor @ np.linalg.inv(inner) @ across
    return _Split(
        _TEMPER * (information - information @ shrink @ information),
        _TEMPER * (slope - (information @ shrink) @ slope),
        _TEMPER * 0.5 * ((shrink @ slope) @ slope - np.linalg.slogdet(inner)[1]),
    )


def _combined(splits: Sequence[_Split], factor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    prior_precision = precision = np.linalg.inv(factor @ np.swapaxes(factor, 1, 2))
    pull, log_weight = np.zeros(factor.shape[:2]), np.zeros(len(factor))
    for split in splits:
        precision, pull, log_weight = precision + split.precision, pull + split.pull, log_weight + split.log_weight
    covariance = np.linalg.inv(precision)
    center = (covariance @ pull[:, :, None])[:, :, 0]
    log_weight = log_weight + 0.5 * (center * pull).sum(axis=1)
    log_weight = log_weight + 0.5 * (np.linalg.slogdet(prior_precision)[1] - np.linalg.slogdet(precision)[1])
    return center, covariance, log_weight


def evidence_of(forecast: xr.Dataset) -> Evidence:
    """What a split's runs say of a law's discrepancy."""
    ln = np.log(forecast["expected"].values)
    error = np.log(forecast["observed"].values) - ln.mean(axis=0)
    distance, covariance = forecast["distance"].values, _covariance(forecast, ln)
    solved = np.linalg.solve(covariance, np.column_stack([distance.T, error]))
    log_density = -0.5 * (error @ solved[:, -1] + np.linalg.slogdet(2.0 * np.pi * covariance)[1])
    return Evidence(distance @ solved[:, :-1], distance @ solved[:, -1], float(log_density))


def log_density(evidence: Evidence, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of runs together where m is normal, nats: the runs then have the covariance ``C + r' covariance r``.

    Parameters
    ----------
    evidence : Evidence
        Of the runs.
    mean, covariance : array, shape (..., part) and (..., part, part)
        Of m.

    Returns
    -------
    array, shape (...)
    """
    information, slope, alone = evidence
    left = slope - mean @ information
    inner = np.eye(len(slope)) + information @ covariance
    explained = (left * (covariance @ np.linalg.solve(inner, left[..., None]))[..., 0]).sum(axis=-1)
    shifted = mean @ slope - 0.5 * ((mean @ information) * mean).sum(axis=-1)
    return alone + shifted + 0.5 * (explained - np.linalg.slogdet(inner)[1])


def _covariance(forecast: xr.Dataset, ln: np.ndarray) -> np.ndarray:
    """Covariance of a split's runs under the law's draws, ln expected of shape (draw, run), and the noise; shape (run, run)."""
    df = np.maximum(np.median(forecast["noise_df"].values), 3.0)
    noise = np.median(forecast["noise_scale"].values, axis=0) ** 2 * df / (df - 2.0)
    return np.cov(ln, rowvar=False).reshape(ln.shape[1], ln.shape[1]) + np.diag(noise)


def error_per_distance(forecast: xr.Dataset) -> float:
    """Relative error of a law per unit of distance, by least squares; NaN where all distances are zero.

    ``m = sum_i e_i r_i / sum_i r_i^2``, e the error of the mean log response, r the distance summed over all axes.
    """
    error = np.log(forecast["observed"].values) - np.log(forecast["expected"].values).mean(axis=0)
    distance = forecast["distance"].sel(part=[part for part in forecast["part"].values if is_axis(part)])
    distance = np.abs(distance.values).sum(axis=0)
    return float(error @ distance / (distance @ distance)) if distance.any() else float("nan")


def predicted(forecast: xr.Dataset, of_law: xr.Dataset | None, *, draws: int, seed: int, noise: bool = True) -> np.ndarray:
    """Draws of runs' responses, nats per token, shape (draw, run), with a discrepancy that all runs of a draw share, and with noise."""
    rng = np.random.default_rng(seed)
    index, expected = _moved(forecast, of_law, draws, rng)
    if not noise:
        return expected
    return noisy(expected, forecast["noise_scale"].values[index], forecast["noise_df"].values[index], rng)


def joint_log_density(forecast: xr.Dataset, of_law: xr.Dataset) -> float:
    """Log density of a split's runs together, nats: normal with the covariance of the law's draws, the discrepancy and the noise."""
    bias, scale = of_law["bias"].values, of_law["scale"].values
    factor = scale[:, :, None] * correlation_factor(float(of_law["correlation"]), list(map(str, of_law["part"].values)))
    spread = np.cov(bias, rowvar=False).reshape(bias.shape[1], -1) + np.mean(factor @ np.swapaxes(factor, 1, 2), axis=0)
    return float(log_density(evidence_of(forecast), bias.mean(axis=0), spread))


def _moved(
    forecast: xr.Dataset, of_law: xr.Dataset | None, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    index = rng.integers(forecast.sizes["draw"], size=draws)
    expected = forecast["expected"].values[index]
    if of_law is None:
        return index, expected
    return index, expected * np.exp(discrepancy_draws(of_law, draws, rng) @ forecast["distance"].values)
