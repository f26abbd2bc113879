"""What a serving cost allows: the frontier of lowest loss, with its band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.curves.by_size import DRAWS, of_counts, order_bands, over_laws
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.solve import grid
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.units import QUANTILES

_BELOW, _ABOVE, _POINTS = 20.0, 4.0, 60


def by_cost(
    fit: xr.DataTree, scenario: Scenario, *, costs: Sequence[float] | None = None, draws: int | None = DRAWS
) -> xr.Dataset:
    """Losses that a serving cost allows, each model trained on the whole budget.

    Sizes are those of the planner's grid, 640 between ten thousand and 1e14 parameters. A draw in which nothing is served so cheaply has
    no size and counts as an infinite loss: a quantile that falls on such draws is NaN.

    Parameters
    ----------
    fit, scenario, draws
        As of :func:`bayesmoe.curves.by_size.loss_by_tokens`; the scenario's budget and fleet are read too.
    costs : sequence of float, optional
        USD per million output tokens, rising; where left out, around the costs of the loss optima.

    Returns
    -------
    Dataset
        By ``num_experts`` and ``cost``, at each ``quantile``: ``loss``, the lowest of all sizes that cost no more to serve, nats per token.
        ``p_best``, the share of draws in which the count has the lowest of these. ``best_loss`` by ``quantile`` and ``cost``, the lowest over
        expert counts.
    """
    laws = surfaces(fit, of_counts(scenario), draws=draws)
    counts = list(scenario.choices.counts)
    asked = np.asarray(_around_optima(laws) if costs is None else costs, float)
    ln_size = jnp.broadcast_to(jnp.asarray(grid()), (1, len(counts), len(grid())))
    lowest = over_laws(lambda surface: _allowed(surface, ln_size, asked), laws)
    best = lowest.min(axis=1)
    wins = (lowest == best[:, None]) & np.isfinite(lowest)
    # Ties share the draw.
    p_best = (wins / np.maximum(wins.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    dims = ("quantile", "num_experts", "cost")
    loss = {"units": QUANTITIES["loss"]}
    return xr.Dataset(
        {
            "loss": (dims, order_bands(lowest, nothing=np.inf), loss),
            "best_loss": (("quantile", "cost"), order_bands(best, nothing=np.inf), loss),
            "p_best": (dims[1:], p_best),
        },
        coords={"quantile": list(QUANTILES), "num_experts": counts, "cost": asked},
    )


def _allowed(surface: DesignSurface, ln_size: Any, costs: np.ndarray) -> Any:
    """Lowest loss of all sizes that each cost allows, shape (sample, count, cost)."""
    cost = surface.serving(ln_size).usd_per_million_tokens
    loss = jnp.broadcast_to(surface.loss(ln_size), cost.shape)
    cost = jnp.where(jnp.isfinite(cost), cost, jnp.inf)

    lowest = jax.lax.map(lambda most: jnp.min(jnp.where(cost <= most, loss, jnp.inf), axis=-1), jnp.asarray(costs))
    return jnp.moveaxis(lowest, 0, -1)


def _around_optima(laws: Any) -> np.ndarray:
    """Costs from well below those of the loss optima to well above."""
    cost = over_laws(lambda surface: surface.serving(surface.loss_optimal()).usd_per_million_tokens, laws)
    median = np.nanmedian(np.where(np.isfinite(cost), cost, np.nan), axis=0)
    return np.geomspace(np.nanmin(median) / _BELOW, np.nanmax(median) * _ABOVE, _POINTS)
