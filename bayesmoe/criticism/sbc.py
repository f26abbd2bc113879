"""Simulation-based calibration: is the posterior of a law right about tables that the law itself made?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.model import EXPECTED, RUN_NOISE, Data, Structure, noisy
from bayesmoe.inference.spec import FitSpec
from bayesmoe.laws import Law, reference_run
from bayesmoe.sampling.compiled_refit import chain_program

DRAWS = 400
"""Draws of each refit."""


def simulation_ranks(
    law: Law, design: pd.DataFrame, *, simulations: int, seed: int, noise_factor: float = 1.0
) -> xr.Dataset:
    """Ranks of prior draws within the posteriors of tables simulated from them, for a law on runs that are not grouped.

    Parameters
    ----------
    law, design : Law, DataFrame
        The law, with its default priors; runs without losses, with every covariate of the law.
    simulations, seed : int
        Tables; seed of truths, tables and chains.
    noise_factor : float
        How many times larger the noise of the tables is than the truth says; anything but 1 makes a model that is wrong, and
        that :func:`calibration` must reject.

    Returns
    -------
    Dataset
        See :func:`ranks_of`.
    """
    reference = jax.tree.map(jnp.asarray, reference_run(design, law))
    covariates = {name: jnp.asarray(design[name].to_numpy(float)) for name in law.covariates}
    none = {name: jnp.zeros(0) for name in law.covariates}
    data = Data(covariates, jnp.zeros(len(design), dtype=int), none, reference, jnp.ones(len(design)), {}, {})
    structure = Structure(law, law.coordinates, (), ())
    return ranks_of(structure, data, range(simulations), seed=seed, noise_factor=noise_factor)


def ranks_of(
    structure: Structure,
    data: Data,
    numbers: Sequence[int],
    *,
    seed: int,
    noise_factor: float = 1.0,
    truth: Structure | None = None,
) -> xr.Dataset:
    """Ranks of prior draws within the posteriors of tables simulated from them (Talts et al. 2018, arXiv:1804.06788).

    Each simulation draws a truth from the prior and a table from the truth, and refits it. The chain starts at the truth,
    which is an exact draw of that posterior, so no bias is left from warming up. If model and sampler are right, each rank is
    uniform. A simulation depends on the seed and its own number only, so that any division of the work gives the same ranks.

    Parameters
    ----------
    structure, data : Structure, Data
        Law, priors and groups; the table's covariates.
    numbers, seed : sequence of int, int
        Which simulations; seed of truths, tables and chains.
    noise_factor : float
        As in :func:`simulation_ranks`.
    truth : Structure, optional
        The same sites with other priors, from which truths and tables are drawn: a model that is wrong in its priors, and that
        :func:`calibration` must reject.

    Returns
    -------
    Dataset
        For each free site, by its entries where it has several, the share of posterior draws below the truth, by ``simulation``;
        ``divergences``, how many draws of the refit diverged.
    """
    density, placeholder = LogDensity(structure), jnp.ones(len(data.weight))
    truth_key, chain_key = jax.random.split(jax.random.key(seed))
    source = density if truth is None else LogDensity(truth)
    run = _refit(density)
    names = density.entries(data, placeholder)
    below, divergences = np.empty((len(numbers), len(names))), np.empty(len(numbers), dtype=int)
    for row, number in enumerate(numbers):
        place = source.prior(jax.random.fold_in(truth_key, number), 1, data, placeholder)
        expected = density.expected(place[None], data, placeholder)
        noise = (expected[RUN_NOISE][0], expected["noise_df"][0])
        rng = np.random.default_rng([seed, number])
        table = noisy(expected[EXPECTED][0], *noise, rng, factor=noise_factor)[0]
        draws, diverged = run(jax.random.fold_in(chain_key, number), place[0], (data, jnp.asarray(table)))
        below[row], divergences[row] = np.asarray((draws < place[0]).mean(0)), int(diverged)
    ranks = {name: ("simulation", below[:, i]) for i, name in enumerate(names)}
    return xr.Dataset({**ranks, "divergences": ("simulation", divergences)}, coords={"simulation": list(numbers)})


def without_seed(spec: FitSpec) -> FitSpec:
    """The spec without the noise that replicates share: those of the table's own losses say nothing of simulated ones."""
    if spec.noise is None:
        return spec
    parts = tuple(part for part in spec.noise.depends_on if part != "seed")
    return dataclasses.replace(spec, noise=dataclasses.replace(spec.noise, depends_on=parts))


@lru_cache(maxsize=8)
def _refit(density: LogDensity) -> Callable[..., Any]:
    return chain_program(lambda position, arguments: density(position, *arguments), draws=DRAWS)


def calibration(ranks: xr.Dataset) -> xr.Dataset:
    """Probability of :func:`simulation_ranks` at least this uneven if model and sampler are right.

    Kolmogorov-Smirnov against the uniform distribution, one parameter at a time.

    Returns
    -------
    Dataset
        ``p_value`` by ``parameter``, and ``joint_p_value``, the smallest times the number of parameters (Bonferroni): rejecting
        below x is wrong in at most a share x of calibrated models.
    """
    names = [str(name) for name in ranks.data_vars if name != "divergences"]
    p_values = np.array([stats.kstest(ranks[name].values, "uniform").pvalue for name in names])
    joint = min(1.0, float(p_values.min()) * len(names))
    return xr.Dataset({"p_value": ("parameter", p_values), "joint_p_value": joint}, coords={"parameter": names})
