"""Tokens per second and GPU of many configurations under many draws at once."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.step import COMPUTED, PIPED, ROUTED, Chip, Slopes, step_terms
from bayesmoe.costs.training.trained_model import TrainedModel


class Stretches(NamedTuple):
    """What a step adds to its terms, by configuration; arrays of one broadcast shape."""

    recompute: Any
    recompute_some: Any
    bubble: Any
    learned_router: Any


def seconds_per_token(
    model: TrainedModel, layout: Layout, chip: Chip, slopes: Slopes, *, learned_router: Elementwise = 1.0
) -> jax.Array:
    """Seconds of one accelerator per token of K configurations under S draws; shape (S, K).

    ``t = slowdown ( sum_c slope_c x_c + r (computed) + b (piped + r computed) + u (routed) )``: every part is bilinear in draws and configurations,
    so that each costs one product of matrices (S, term) by (term, K).

    Parameters
    ----------
    model, layout, chip : TrainedModel, Layout, Chip
        Leaves of shape (K,), or numbers.
    slopes : Slopes
        Leaves of shape (S, 1), ``unevenness`` and ``slowdown`` of shape (S, 1) or (S, K).
    learned_router : array
        1 where tokens go where a learned router sends them, 0 where they are forced to be even.

    Returns
    -------
    array
        Seconds; its reciprocal is tokens per second and GPU.

    Examples
    --------
    >>> seconds_per_token(models, layouts, Chip.of(h100, "bf16"), slopes).shape  # doctest: +SKIP
    (4000, 10000)
    """
    terms = jnp.atleast_1d(jnp.stack(step_terms(model, layout, chip)))
    terms = terms.reshape(len(terms), -1)
    matrix = jnp.concatenate(jnp.broadcast_arrays(*map(jnp.atleast_2d, slopes.terms)), axis=1)
    added = Stretches(layout.recompute, layout.recompute_some, layout.bubble, jnp.asarray(learned_router, dtype=float))
    rest = slopes._replace(terms=())
    return _seconds(matrix, terms, jax.tree.map(jnp.asarray, added), jax.tree.map(jnp.asarray, rest))


@partial(jax.jit)
def _seconds(slopes: jax.Array, terms: jax.Array, added: Stretches, rest: Slopes) -> jax.Array:
    computed, piped, routed = (slopes @ (mask[:, None] * terms) for mask in (COMPUTED, PIPED, ROUTED))
    again = added.recompute * rest.recompute + added.recompute_some * rest.recompute_some
    idle = added.bubble * rest.bubble
    total = slopes @ terms + again * computed + idle * (piped + again * computed)
    return rest.slowdown * (total + added.learned_router * rest.unevenness * routed)


def fastest(seconds: np.ndarray, fits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the fastest layout that fits in each draw, and which it is; infinite and -1 where none does.

    Parameters
    ----------
    seconds, fits : array
        Shape (S, layout).
    """
    allowed = np.where(fits, seconds, np.inf)
    if not allowed.shape[1]:
        return np.full(len(seconds), np.inf), np.full(len(seconds), -1)
    best = allowed.argmin(axis=1)
    found = allowed[np.arange(len(allowed)), best]
    return found, np.where(np.isfinite(found), best, -1)
