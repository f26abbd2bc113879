"""One-dimensional optima and crossings, elementwise over draws and expert counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

STEPS = 60
"""Bisection steps: 60 halvings of the widest bracket used leave less than one part in 1e15."""

GRIDS = (64, 33, 33)
"""Points of the even grids, each around the best of the one before, from which a minimum is sought."""


def bisect(below: Callable[[Any], Any], low: Any, high: Any) -> tuple[Any, Any]:
    """Where a predicate that holds first and then no more stops to hold.

    Parameters
    ----------
    below : callable
        Elementwise predicate of an array of x.
    low, high : array
        Bracket. Where ``below(low)`` fails, both ends come back near ``low``; where ``below(high)`` holds, near ``high``.

    Returns
    -------
    tuple of array
        The last x where it holds and the first where it does not, next to each other: a cost that jumps has no middle.
    """

    def halve(_: Any, bracket: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bracket
        middle = 0.5 * (low + high)
        inside = below(middle)
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    return jax.lax.fori_loop(0, STEPS, halve, (low, high))


def minimise(value: Callable[[Any], Any], slope: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """Lowest minimum of a function: the best point of even grids, then its valley by the sign of the derivative.

    Parameters
    ----------
    value, slope : callable
        Elementwise function and its derivative. Of several minima less than the finest grid's step apart, one is found.
    low, high : array
        Bracket; the nearer end comes back when the lowest value is there.
    """
    for points in GRIDS:
        low, high = _around_best(value, low, high, points)
    falling, _ = bisect(lambda x: slope(x) < 0, low, high)
    return falling


def _around_best(value: Callable[[Any], Any], low: Any, high: Any, points: int) -> tuple[Any, Any]:
    """The bracket between the neighbours of the best of so many points of an even grid."""
    step = (high - low) / (points - 1)

    def better(number: Any, best: tuple[Any, Any]) -> tuple[Any, Any]:
        least, at = best
        x = low + number * step
        found = value(x)
        return jnp.where(found < least, found, least), jnp.where(found < least, x, at)

    _, at = jax.lax.fori_loop(0, points, better, (jnp.full_like(low, jnp.inf), low))
    return jnp.maximum(at - step, low), jnp.minimum(at + step, high)
