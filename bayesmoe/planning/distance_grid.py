"""Extrapolation distance of candidates on a grid of sizes and tokens, and values between its points."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.architecture import LEAST_SIZE
from bayesmoe.inference.extrapolation import extrapolation_distance, runs_in_group
from bayesmoe.planning.design_costs import usual_flop
from bayesmoe.planning.scenario import Scenario

if TYPE_CHECKING:
    from bayesmoe.planning.surface import DesignSurface

SMALLEST, LARGEST = LEAST_SIZE, 1e14
"""Backbone sizes considered, parameters."""

DISTANCE_SIZES = 640
DISTANCE_STEP = float(np.log(LARGEST / SMALLEST)) / (DISTANCE_SIZES - 1)
_TOKENS, _SPAN = 65, 8.0


def with_discrepancy(
    here: DesignSurface, discrepancy: Any, beyond: xr.Dataset, scenario: Scenario, *, off_budget: bool
) -> DesignSurface:
    """A surface with the discrepancy of its law.

    Parameters
    ----------
    here : DesignSurface
        The law alone.
    discrepancy : array, shape (S, A)
        Relative error of the loss per unit of extrapolation distance, by draw and part of the distance.
    beyond : Dataset
        The discrepancy of the law, with what the runs have seen.
    scenario : Scenario
        Its choices and rule for FLOP.
    off_budget : bool
        Whether other numbers of tokens are looked at than those of the budget.
    """
    budget = usual_flop(here)
    span, across = (_SPAN, _TOKENS) if off_budget else (0.0, 1)
    size = np.exp(np.log(SMALLEST) + DISTANCE_STEP * np.arange(DISTANCE_SIZES))[:, None]
    bias = np.exp(np.linspace(-span, span, across))
    axes = list(map(str, beyond["axis"].values))
    seen = beyond.isel(seen=runs_in_group(beyond["group_of_run"].values, scenario.choices.group))
    found = []
    for count, top_k, granularity in scenario.candidates:
        family = scenario.architecture.family(top_k, granularity)
        middle_tokens = budget / family.train_flop_per_token(size, float(count), scenario.training.flop_rule)
        tokens = middle_tokens * bias if here.fixed_tokens is None else here.fixed_tokens
        run = family.run(size, tokens, float(count))
        shape = (DISTANCE_SIZES, across)
        asked = np.stack([np.broadcast_to(np.log(np.asarray(run[axis], dtype=float)), shape).ravel() for axis in axes])
        found.append(
            extrapolation_distance(asked, seen["ln_covariate"].values, seen["slope"].values, axes).T.reshape(*shape, -1)
        )
    return replace(
        here,
        discrepancy=discrepancy,
        parts=tuple(map(str, beyond["part"].values)),
        distance=jnp.asarray(np.stack(found)),
        distance_flop=budget,
        distance_span=span,
    )


def ln_error(here: DesignSurface, moved: tuple[Any, Any], ln_size: Any, tokens: Any, flop_per_token: Any) -> Any:
    """ln of the factor by which a discrepancy moves the loss of one run.

    Parameters
    ----------
    here : DesignSurface
        Whose grid it is.
    moved : tuple of array
        The discrepancy by part, shape (A,), and the candidate's distances on the grid, shape (G, T, A).
    ln_size, tokens, flop_per_token : array
        The run.
    """
    discrepancy, away = moved
    along = (ln_size - np.log(SMALLEST)) / DISTANCE_STEP
    middle = here.distance_flop / flop_per_token
    across = 0.0
    if away.shape[1] > 1:
        across = (jnp.log(tokens / middle) + here.distance_span) / (2.0 * here.distance_span) * (away.shape[1] - 1)
    return discrepancy @ interpolated(away, along, across)


def interpolated(values: Any, along: Any, across: Any) -> Any:
    """Bilinear interpolation of values at whole places, shape (G, T, A), along the first two axes; shape (A,)."""

    def ends(place: Any, count: int) -> tuple[Any, Any, Any]:
        below = jnp.clip(jnp.floor(place), 0, max(count - 2, 0)).astype(int)
        return below, jnp.minimum(below + 1, count - 1), place - below

    left, right, part = ends(along, values.shape[0])
    under, over, share = ends(across, values.shape[1])
    lower = values[left, under] + part * (values[right, under] - values[left, under])
    if values.shape[1] == 1:
        return lower
    upper = values[left, over] + part * (values[right, over] - values[left, over])
    return lower + share * (upper - lower)
