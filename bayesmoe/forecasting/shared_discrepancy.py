"""Learn how much of a law's discrepancy groups of runs share: did a law that missed one group's larger runs miss the others' alike?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy import stats

from bayesmoe.forecasting.discrepancy import evidence_of, log_density
from bayesmoe.forecasting.discrepancy_prior import DiscrepancyPrior, LearnedFrom, shipped_prior
from bayesmoe.inference.ensemble import correlation_factor
from bayesmoe.inference.extrapolation import SHARED
from bayesmoe.inference.model import noisy
from bayesmoe.inference.shared_discrepancy import SharedDiscrepancy
from bayesmoe.units import BAND

SHARES = (np.arange(40) + 0.5) / 40
"""Shares that are tried."""

_DRAWS = 100


def log_densities_of_shares(forecast: xr.Dataset, *, seed: int = 0, prior: DiscrepancyPrior | None = None) -> np.ndarray:
    """Log density of the larger runs of several groups, forecast together, at each share of :data:`SHARES`.

    ``e_i = r_i . m_g(i) + noise,   Cov(m_g, m_h) = (rho + (1 - rho) [g = h]) 2 scale^2``: twice, as a bias varies by the scale and a miss around it by
    the scale again (:func:`bayesmoe.forecasting.discrepancy.discrepancy`); ``scale ~ LogNormal(prior)``, the same in all groups.

    Parameters
    ----------
    forecast : Dataset
        Of one law: ``expected`` (draw, run), ``noise_scale`` (draw, run), ``noise_df`` (draw), ``distance`` (part, run), ``observed`` (run) and
        ``group_of_run`` (run), of the runs held out; runs that all groups share are left out.
    seed : int
        Seed of the draws of scales.
    prior : DiscrepancyPrior, optional
        Of the scale; the shipped one where it is not given.

    Returns
    -------
    array, shape (share,)
        Nats.
    """
    prior = prior or shipped_prior()
    forecast = forecast.isel(run=forecast["group_of_run"].values != SHARED)
    groups, parts = np.unique(forecast["group_of_run"].values), list(map(str, forecast["part"].values))
    member = groups[:, None] == forecast["group_of_run"].values
    by_group = member[:, None, :] * forecast["distance"].values[None]
    stacked = forecast.drop_dims("part").assign(distance=(("part", "run"), by_group.reshape(-1, by_group.shape[-1])))
    evidence = evidence_of(stacked)
    rng = np.random.default_rng(seed)
    scale = prior.scales(parts) * np.exp(prior.log_sd * rng.standard_normal((_DRAWS, len(parts))))
    factor = scale[:, :, None] * correlation_factor(prior.correlation, parts)
    within = 2.0 * factor @ np.swapaxes(factor, 1, 2)
    nothing = np.zeros((_DRAWS, len(groups) * len(parts)))
    found = []
    for share in SHARES:
        between = share + (1.0 - share) * np.eye(len(groups))
        covariance = np.einsum("gh,spq->sgphq", between, within).reshape(_DRAWS, nothing.shape[1], -1)
        found.append(np.logaddexp.reduce(log_density(evidence, nothing, covariance)) - np.log(_DRAWS))
    return np.array(found)


def shares_of_another_lab(by_lab: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """Probability of each of :data:`SHARES` for a lab that was not seen.

    Labs differ: the share of each is drawn from ``Beta(size mean, size (1 - mean))``, mean uniform and size log-uniform from 1 to 64, and what
    is left of mean and size after all labs is averaged over. Each lab counts as one forecast, the mean over its laws and hold-outs.
    """
    mean, size = (np.ravel(each) for each in np.meshgrid(SHARES, np.geomspace(1.0, 64.0, 7)))
    population = stats.beta.pdf(SHARES, (mean * size)[:, None], ((1.0 - mean) * size)[:, None])
    population /= population.sum(axis=1, keepdims=True)
    log_weight = np.zeros(len(mean))
    for each in by_lab.values():
        score = np.mean(list(each), axis=0)
        log_weight += np.log(population @ np.exp(score - score.max()))
    weight = np.exp(log_weight - log_weight.max())
    return weight @ population / weight.sum()


def learned_share(by_lab: Mapping[str, Sequence[np.ndarray]], tables: Sequence[LearnedFrom] = ()) -> SharedDiscrepancy:
    """The Beta distribution with the mean and the variance of :func:`shares_of_another_lab`.

    Parameters
    ----------
    by_lab : mapping of sequence of array, shape (share,)
        By lab, what :func:`log_densities_of_shares` found of each law and hold-out.
    tables : sequence of LearnedFrom
        Where they come from.
    """
    weight = shares_of_another_lab(by_lab)
    mean = float(weight @ SHARES)
    variance = float(weight @ (SHARES - mean) ** 2)
    size = mean * (1.0 - mean) / variance - 1.0
    return SharedDiscrepancy(
        shared=float(f"{mean * size:.3g}"),
        own=float(f"{(1.0 - mean) * size:.3g}"),
        learned_from=tuple(dict.fromkeys(tables)),
    )


def differences_in_band(
    forecast: xr.Dataset, share: SharedDiscrepancy | float, *, seed: int = 0, prior: DiscrepancyPrior | None = None
) -> np.ndarray:
    """Whether the difference of two groups' mean errors lies in its 90% band, for all pairs of groups of a forecast.

    Parameters
    ----------
    forecast : Dataset
        As of :func:`log_densities_of_shares`.
    share : SharedDiscrepancy or float
        Share of the discrepancy that groups have in common, or its prior.
    seed, prior : int, DiscrepancyPrior
        Of the draws; prior of the scale, the shipped one where it is not given.

    Returns
    -------
    array of bool, shape (pair,)
    """
    prior, rng = prior or shipped_prior(), np.random.default_rng(seed)
    forecast = forecast.isel(run=forecast["group_of_run"].values != SHARED)
    parts, count = list(map(str, forecast["part"].values)), forecast.sizes["draw"]
    scale = prior.scales(parts) * np.exp(prior.log_sd * rng.standard_normal((count, len(parts))))
    factor = np.sqrt(2.0) * scale[:, :, None] * correlation_factor(prior.correlation, parts)
    rho = share.draws(count, rng) if isinstance(share, SharedDiscrepancy) else np.full(count, share)

    def miss() -> np.ndarray:
        return (factor @ rng.standard_normal((count, len(parts), 1)))[:, :, 0]

    common, errors, spread = np.sqrt(rho)[:, None] * miss(), [], []
    still = np.ones_like(forecast["expected"].values)
    noise = noisy(still, forecast["noise_scale"].values, forecast["noise_df"].values, rng) - still
    for group in np.unique(forecast["group_of_run"].values):
        own = np.flatnonzero(forecast["group_of_run"].values == group)
        moved = (common + np.sqrt(1.0 - rho)[:, None] * miss()) @ forecast["distance"].values[:, own]
        ln = np.log(forecast["expected"].values[:, own]) + moved + noise[:, own]
        spread.append(ln.mean(axis=1))
        errors.append(np.log(forecast["observed"].values[own]).mean())
    found = []
    for one in range(len(errors)):
        for other in range(one):
            low, high = np.quantile(spread[one] - spread[other], BAND)
            found.append(low <= errors[one] - errors[other] <= high)
    return np.array(found)
