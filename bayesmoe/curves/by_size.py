"""Loss along sizes and tokens, with its band: what a planner sees before any problem is solved."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.decisions.recommendation import bands
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.units import QUANTILES

DRAWS = 1000
"""Default number of draws behind a curve."""


def loss_by_tokens(
    fit: xr.DataTree, scenario: Scenario, *, n_dense: Sequence[float], tokens: Sequence[float], draws: int | None = DRAWS
) -> xr.Dataset:
    """Loss of every expert count at some sizes and tokens, whatever they cost to train.

    Parameters
    ----------
    fit : DataTree
        A fit of one law or of several averaged.
    scenario : Scenario
        Its choices and architecture are read; of several top_k or granularities the architecture's own.
    n_dense, tokens : sequence of float
        Backbone parameters and training tokens.
    draws : int, optional
        Most draws to use, evenly spaced over the posterior; all of them for None.

    Returns
    -------
    Dataset
        By ``n_dense``, ``tokens`` and ``num_experts``: ``loss`` at each ``quantile``, nats per token, without the noise of a run;
        ``observed``, the mean loss of the fit's runs there, NaN where there is none.
    """
    laws = surfaces(fit, of_counts(scenario), elsewhere=True, draws=draws)
    counts = list(scenario.choices.counts)
    asked = np.meshgrid(n_dense, tokens, indexing="ij")
    ln_size, of_tokens = (
        jnp.broadcast_to(axis.ravel(), (1, len(counts), axis.size)) for axis in (np.log(asked[0]), asked[1])
    )

    values = over_laws(lambda surface: surface.loss(ln_size, of_tokens), laws).reshape(
        -1, len(counts), len(n_dense), len(tokens)
    )
    dims = ("n_dense", "tokens", "num_experts")
    coords = {"n_dense": np.asarray(n_dense, float), "tokens": np.asarray(tokens, float), "num_experts": counts}
    quantiles = bands(xr.Dataset({"loss": (("sample", "num_experts", *dims[:2]), values)}, coords=coords))
    observed = _observed(fit, coords)
    quantiles = quantiles.assign(observed=(dims, observed)).transpose("quantile", *dims)
    for name in ("loss", "observed"):
        quantiles[name].attrs = {"units": QUANTITIES["loss"]}
    return quantiles


def of_counts(scenario: Scenario) -> Scenario:
    """The scenario with one architecture for each expert count: its own top_k and granularity."""
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, top_k=None, granularity=None))


def over_laws(function: Callable[[DesignSurface], Any], laws: Mapping[str, DesignSurface]) -> Any:
    """What a function says of each law's surface, draws of all laws one after the other along the first axis of each array."""
    compiled = jax.jit(function)
    by_law = [jax.tree.map(np.asarray, compiled(surface)) for surface in laws.values()]
    return jax.tree.map(lambda *draws: np.concatenate(draws), *by_law)


def order_bands(values: np.ndarray, *, nothing: float) -> np.ndarray:
    """:data:`~bayesmoe.units.QUANTILES` along the first axis as order statistics; NaN where one falls on ``nothing``.

    Draws without an answer carry ``nothing``, an extreme, and so keep their weight: a band that is known in some draws only ends
    where too few of them are left, rather than bending.
    """
    quantiles = np.quantile(values, QUANTILES, axis=0, method="inverted_cdf")
    return np.where(quantiles == nothing, np.nan, quantiles)


def _observed(fit: xr.DataTree, coords: Mapping[str, Any]) -> np.ndarray:
    """Mean loss of the runs at each place of a grid."""
    runs, loss = fit["constant_data"].dataset, fit["observed_data"].dataset.get("loss")
    shape = tuple(len(values) for values in coords.values())
    if loss is None or not set(coords) <= set(map(str, runs.data_vars)):
        return np.full(shape, np.nan)
    near = [np.isclose(runs[name].values[:, None], np.asarray(values, float), rtol=1e-6) for name, values in coords.items()]
    at_place = np.einsum("ra,rb,rc->abcr", *(axis.astype(float) for axis in near))
    count = at_place.sum(axis=-1)
    return np.where(count > 0, (at_place * loss.values).sum(axis=-1) / np.maximum(count, 1), np.nan)
