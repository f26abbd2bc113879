"""One-dimensional optima and crossings, elementwise over draws and expert counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

STEPS = 60
"""Bisection steps: 60 halvings of the widest bracket used leave less than one part in 1e15."""


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


def minimise_unimodal(slope: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """Minimum of a function that falls and then rises, from the sign of its derivative.

    Parameters
    ----------
    slope : callable
        Elementwise derivative.
    low, high : array
        Bracket; the nearer end comes back when the derivative keeps one sign.
    """
    falling, _ = bisect(lambda x: slope(x) < 0, low, high)
    return falling


def around_lowest(value: Callable[[Any], Any], low: Any, high: Any, points: int) -> tuple[Any, Any]:
    """Bracket between the neighbours of the lowest of so many points of an even grid, for a function of several valleys.

    Parameters
    ----------
    value : callable
        Elementwise function. A valley narrower than a step may be missed.
    low, high : array
        Ends of the grid.
    points : int
        Points, both ends included.
    """
    step = (high - low) / (points - 1)

    def lower(number: Any, best: tuple[Any, Any]) -> tuple[Any, Any]:
        least, at = best
        x = low + number * step
        found = value(x)
        return jnp.where(found < least, found, least), jnp.where(found < least, x, at)

    _, at = jax.lax.fori_loop(0, points, lower, (jnp.full_like(low, jnp.inf), low))
    return jnp.maximum(at - step, low), jnp.minimum(at + step, high)
