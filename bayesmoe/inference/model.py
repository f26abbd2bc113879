"""The hierarchical model: priors, partial pooling over groups, Student-t noise. The only file with ``numpyro.sample``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from numpyro import handlers
from numpyro.distributions import transforms

from bayesmoe.inference.noise import SEED_SHARE, SEED_SHARE_SD, SLOPES, given_earlier, relative_scale
from bayesmoe.laws import Coordinate, Law, Reference

NOISE_LOG_SD = 1.0
"""Log-sd of the prior of the noise scale around its law's median."""

NOISE_DF_MEDIAN, NOISE_DF_LOG_SD = 14.0, 0.8
"""Prior of the degrees of freedom of the noise: from a few outliers (4) to none to speak of (50)."""

EXPECTED = "expected"
"""Site of each run's response without noise."""

RUN_NOISE = "run_noise"
"""Site of each run's noise scale."""

SPREAD_LOG_SD = 0.5
"""Log-sd of the prior of between-group spreads. It keeps them off zero, where few groups leave a funnel that no step size
fits, and says the spread is known within a factor of about 2.7 either way."""

_TRANSFORMS = {
    "real": [],
    "positive": [transforms.ExpTransform()],
    "above_one": [transforms.ExpTransform(), transforms.AffineTransform(1.0, 1.0, domain=dist.constraints.positive)],
    "unit": [transforms.SigmoidTransform()],
}


@dataclass(frozen=True)
class Structure:
    """What the model is, apart from its numbers: hashable, so that a compiled program is found again.

    Parameters
    ----------
    law : Law
        The law.
    coordinates : tuple of Coordinate
        Its coordinates with the priors in force.
    pooled : tuple of str
        Names of the coordinates that differ between groups; the others are shared.
    groups : tuple of str
        Group names; empty when runs are not grouped.
    noise : tuple of str
        What the noise depends on; see :mod:`bayesmoe.inference.noise`.
    """

    law: Law
    coordinates: tuple[Coordinate, ...]
    pooled: tuple[str, ...]
    groups: tuple[str, ...]
    noise: tuple[str, ...] = ()


class Data(NamedTuple):
    """Arrays of a fit: n runs, the first r of one group each, the last n - r dense and shared by all groups.

    Attributes
    ----------
    covariates : dict of array, shape (r,)
        Covariates of the runs that belong to one group, in the law's column names.
    group : array of int, shape (r,)
        Index of these runs' groups; all 0 when runs are not grouped.
    dense_covariates : dict of array, shape (n - r,)
        Covariates of the dense runs that every group shares.
    reference : Reference
        Reference run.
    weight : array, shape (n,)
        Power of each run's likelihood: 1, or 0 for a run that is held out.
    centering : dict of array, shape (groups,)
        For each pooled coordinate, how far each group is centered: 1 where its own runs pin it, 0 where they say nothing.
    noise : dict of array
        From :func:`bayesmoe.inference.noise.noise_data`; empty where all runs have one noise.
    """

    covariates: dict[str, Any]
    group: Any
    dense_covariates: dict[str, Any]
    reference: Reference
    weight: Any
    centering: dict[str, Any]
    noise: dict[str, Any]


class Arranged(NamedTuple):
    """A run table as a model reads it: its runs in model order, the model's structure and its arrays."""

    frame: pd.DataFrame
    structure: Structure
    data: Data


def scaling_law(structure: Structure, data: Data, loss: Any = None) -> None:
    """NumPyro model of a run table.

    ``loss_i ~ StudentT(noise_df, L_i, noise_scale L_i)`` with ``L_i`` the law's loss of run i in nats per token: noise on
    the multiplicative scale, observed in nats, so that laws compare without Jacobians. The scale may depend on the run, and
    replicates may share a part of it (:mod:`bayesmoe.inference.noise`). A pooled coordinate of group g is
    ``link^-1(mean + spread z_g)``, sampled with each group's own degree of centering. A dense run shared by all groups has the mean of their dense losses.

    Parameters
    ----------
    structure : Structure
        Law, priors, groups.
    data : Data
        Covariates, groups and reference run.
    loss : array, shape (n,), optional
        Observed losses in nats per token, or what else the law's response is; None draws them.
    """
    coordinates = {c.name: _coordinate(c, structure, data) for c in structure.coordinates}
    law, reference = structure.law, data.reference
    if structure.groups:
        axes = {name: 0 if name in structure.pooled else None for name in coordinates}
        width = len(structure.groups)
        parameters = jax.vmap(lambda q: law.to_paper(q, reference), in_axes=(axes,), axis_size=width)(coordinates)
        per_run = {name: value[data.group] for name, value in parameters.items()}
        mean = jax.vmap(law.loss)(per_run, data.covariates)
        if len(data.dense_covariates[law.covariates[0]]):
            over_runs = jax.vmap(law.loss, in_axes=(None, 0))
            dense = jax.vmap(over_runs, in_axes=(0, None))(parameters, data.dense_covariates)
            mean = jnp.concatenate([mean, dense.mean(axis=0)])
    else:
        parameters = law.to_paper(coordinates, reference)
        mean = jax.vmap(law.loss, in_axes=(None, 0))(parameters, data.covariates)
    for name, value in parameters.items():
        if name not in coordinates:
            numpyro.deterministic(name, value)

    numpyro.deterministic(EXPECTED, mean)
    noise_scale = numpyro.sample("noise_scale", dist.LogNormal(jnp.log(law.noise_median), NOISE_LOG_SD))
    noise_df = numpyro.sample("noise_df", dist.LogNormal(jnp.log(NOISE_DF_MEDIAN), NOISE_DF_LOG_SD))
    slope_sd = {name: sd for part, (name, sd) in SLOPES.items() if part in structure.noise}
    slopes = {name: numpyro.sample(name, dist.Normal(0.0, sd)) for name, sd in slope_sd.items()}
    if slopes:
        noise_scale *= relative_scale(slopes, jnp.log(mean), data.noise.get("run_ln_ratio"), data.noise)
    numpyro.deterministic(RUN_NOISE, jnp.broadcast_to(noise_scale, mean.shape))
    location, scale = mean, noise_scale * mean
    if "seed" in structure.noise:
        logit = dist.TransformedDistribution(dist.Normal(0.0, SEED_SHARE_SD), transforms.SigmoidTransform())
        location, scale = given_earlier(mean, scale, numpyro.sample(SEED_SHARE, logit), data.noise)
    with numpyro.plate("runs", mean.shape[0]), handlers.scale(scale=data.weight):
        numpyro.sample(law.response, dist.StudentT(noise_df, location, scale), obs=loss)


def noisy(expected: Any, run_noise: Any, noise_df: Any, rng: np.random.Generator, *, factor: float = 1.0) -> np.ndarray:
    """Responses drawn around their expectation with Student-t noise: ``expected (1 + factor run_noise t)``, t of ``noise_df``.

    ``expected`` and ``run_noise`` have the shape (..., n), ``noise_df`` (...). Randomness is numpy's, whose Student draws need no compiled
    program; ``factor`` is 1 for the model's own noise.
    """
    expected = np.asarray(expected)
    t = rng.standard_t(np.broadcast_to(np.asarray(noise_df)[..., None], expected.shape))
    return expected * (1.0 + factor * np.asarray(run_noise) * t)


def _coordinate(coordinate: Coordinate, structure: Structure, data: Data) -> Any:
    name = coordinate.name
    prior = dist.Normal(coordinate.mean, coordinate.sd)
    if name not in structure.pooled:
        return numpyro.sample(name, _on_support(coordinate, prior))
    mean = coordinate.to_real(numpyro.sample(f"{name}_population", _on_support(coordinate, prior)))
    spread = numpyro.sample(f"{name}_spread", dist.LogNormal(jnp.log(coordinate.spread), SPREAD_LOG_SD))
    centered = data.centering[name]
    with numpyro.plate("groups", len(structure.groups)):
        base = numpyro.sample(f"{name}_base", dist.Normal(centered * mean, spread**centered))
    # In distribution this is mean + spread z for every degree of centering.
    return numpyro.deterministic(name, coordinate.to_support(mean + spread ** (1.0 - centered) * (base - centered * mean)))


def _on_support(coordinate: Coordinate, normal: Any) -> Any:
    steps = _TRANSFORMS[coordinate.support]
    return dist.TransformedDistribution(normal, steps) if steps else normal
