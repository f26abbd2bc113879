"""Log densities of the priors at posterior draws, for power-scaling them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import logit

from bayesmoe.inference.log_density import SPREAD_SUFFIX
from bayesmoe.inference.model import NOISE_DF_LOG_SD, NOISE_DF_MEDIAN, NOISE_LOG_SD, SPREAD_LOG_SD, Structure
from bayesmoe.inference.noise import SEED_SHARE, SEED_SHARE_SD, SLOPES


def log_prior(structure: Structure, posterior: dict[str, Any]) -> dict[str, np.ndarray]:
    """Log prior density, in nats, of each coordinate, of each spread between groups and of the noise, at draws of shape (chain, draw).

    On the link scale, where every prior is normal: to raise a prior to a power is to widen or narrow it around its median. What groups
    make of a population is no prior to doubt, and is left out.
    """
    densities = {}
    for coordinate in structure.coordinates:
        name = coordinate.name
        pooled = name in structure.pooled
        site = f"{name}_population" if pooled else name
        densities[site] = _normal(np.asarray(coordinate.to_real(posterior[site])), coordinate.mean, coordinate.sd)
        if pooled:
            spread = f"{name}{SPREAD_SUFFIX}"
            densities[spread] = _normal(np.log(posterior[spread]), math.log(coordinate.spread), SPREAD_LOG_SD)
    noise = {"noise_scale": (structure.law.noise_median, NOISE_LOG_SD), "noise_df": (NOISE_DF_MEDIAN, NOISE_DF_LOG_SD)}
    for site, (median, log_sd) in noise.items():
        densities[site] = _normal(np.log(posterior[site]), math.log(median), log_sd)
    for site, sd in SLOPES.values():
        if site in posterior:
            densities[site] = _normal(posterior[site], 0.0, sd)
    if SEED_SHARE in posterior:
        densities[SEED_SHARE] = _normal(logit(posterior[SEED_SHARE]), 0.0, SEED_SHARE_SD)
    return densities


def _normal(value: Any, mean: float, sd: float) -> np.ndarray:
    """Log density of a normal distribution; ``scipy.stats`` would cost a tenth of a fast fit to import."""
    return -0.5 * ((np.asarray(value) - mean) / sd) ** 2 - math.log(sd * math.sqrt(2.0 * math.pi))
