"""What a law says before it has seen a run: prior predictive losses around a typical run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.laws import Law
from bayesmoe.laws.prior import TYPICAL, TYPICAL_FAMILY, prior_draws, typical_reference
from bayesmoe.units import QUANTILES

_MULTIPLES = np.geomspace(0.1, 10.0, 9)
_EXPERTS = (1.0, 16.0, 64.0)


def prior_predictive(law: Law, *, draws: int = 1000, seed: int = 0) -> xr.DataArray:
    """Responses under draws of a law's default priors on a grid of sizes, tokens and expert counts around a typical run.

    Returns
    -------
    DataArray
        By ``draw``, ``n_dense``, ``tokens`` and ``num_experts``; nats per token, or leverage. Noise is left out.

    Raises
    ------
    InputError
        The law reads a column of its own, of which no typical value is known.
    """
    reference = typical_reference(law)
    if reference is None:
        raise InputError("reads a column that a typical run does not have", column="law", value=law.name)
    parameters = prior_draws(law, reference, draws, seed)
    sizes, tokens = TYPICAL["n_dense"] * _MULTIPLES, TYPICAL["tokens"] * _MULTIPLES
    grid = jnp.meshgrid(jnp.asarray(sizes), jnp.asarray(tokens), jnp.asarray(_EXPERTS), indexing="ij")
    runs = {name: jnp.broadcast_to(value, grid[0].shape).ravel() for name, value in TYPICAL_FAMILY.run(*grid).items()}
    runs = {name: runs[name] for name in law.covariates}

    over_runs = jax.vmap(law.loss, in_axes=(None, 0))
    responses = np.asarray(jax.jit(jax.vmap(over_runs, in_axes=(0, None)))(parameters, runs))
    responses = responses.reshape(draws, len(sizes), len(tokens), len(_EXPERTS))
    coords = {"n_dense": sizes, "tokens": tokens, "num_experts": list(_EXPERTS)}
    units = "nats/token" if law.response == "loss" else "1"
    return xr.DataArray(
        responses, dims=("draw", *coords), coords=coords, name=law.response, attrs={"units": units, "law": law.name}
    )


def prior_bands(predictive: xr.DataArray) -> xr.Dataset:
    """Median and 90% band by size at the typical tokens (``by_size``) and by tokens at the typical size (``by_tokens``)."""
    bands = predictive.quantile(QUANTILES, "draw").assign_attrs(predictive.attrs)
    return xr.Dataset(
        {
            "by_size": bands.sel(tokens=TYPICAL["tokens"], method="nearest", drop=True),
            "by_tokens": bands.sel(n_dense=TYPICAL["n_dense"], method="nearest", drop=True),
        },
        attrs={**predictive.attrs, "response": predictive.name},
    )
