"""Efficiency leverage over activation ratio, granularity and compute, with its band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.curves.by_size import DRAWS
from bayesmoe.decisions.recommendation import bands
from bayesmoe.errors import InputError
from bayesmoe.inference.groups import parameters_of_group
from bayesmoe.inference.store import FitInfo


def leverage_surface(
    fit: xr.DataTree,
    *,
    activation_ratio: Sequence[float],
    granularity: Sequence[float],
    train_flop: Sequence[float],
    published: str | None = None,
    draws: int = DRAWS,
) -> xr.Dataset:
    """Leverage under a fit of a law of leverage: how many times the compute a dense model of equal loss needs.

    Parameters
    ----------
    fit : DataTree
        A fit of a law whose response is leverage, such as ``tian-leverage``.
    activation_ratio, granularity, train_flop : sequence of float
        Places asked, in the run table's units.
    published : str, optional
        A published coefficient set of the law to set beside it.
    draws : int
        Draws, evenly spaced over the posterior.

    Returns
    -------
    Dataset
        By ``activation_ratio``, ``granularity`` and ``train_flop``: ``leverage`` at each ``quantile``, a ratio of FLOP, without the noise of a
        run; ``published``, the same with the published coefficients, where asked.

    Raises
    ------
    InputError
        The law predicts losses.
    """
    law = FitInfo.read(fit).law
    if law.response != "leverage":
        raise InputError("predicts losses, not leverage", column="law", value=law.name, hint="fit tian-leverage")
    parameters = parameters_of_group(fit, None, draws=draws, rng=np.random.default_rng(0), column="group")
    coords = {
        "activation_ratio": np.asarray(activation_ratio, float),
        "granularity": np.asarray(granularity, float),
        "train_flop": np.asarray(train_flop, float),
    }
    places = np.meshgrid(*coords.values(), indexing="ij")
    runs = {name: jnp.asarray(axis.ravel()) for name, axis in zip(coords, places, strict=True)}
    shape = places[0].shape

    def at(draw: Any) -> Any:
        return jax.vmap(law.loss, in_axes=(None, 0))(draw, runs)

    values = np.asarray(jax.jit(jax.vmap(at))(parameters)).reshape(-1, *shape)
    quantiles = bands(xr.Dataset({"leverage": (("sample", *coords), values)}, coords=coords))
    quantiles["leverage"].attrs = {"units": "1"}
    if published is not None:
        quantiles["published"] = (tuple(coords), np.asarray(at(law.coefficients(published))).reshape(shape), {"units": "1"})
    return quantiles
