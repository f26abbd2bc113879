"""One-dimensional optima and crossings, elementwise over draws and expert counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise

STEPS = 60
"""Bisection steps: 60 halvings of the widest bracket used leave less than one part in 1e15."""


def bisect(
    below: Callable[[Any], Any], low: Elementwise, high: Elementwise, *, halvings: int = STEPS
) -> tuple[Elementwise, Elementwise]:
    """Where a predicate that holds first and then no more stops to hold.

    Parameters
    ----------
    below : callable
        Elementwise predicate of an array of x.
    low, high : array
        Bracket. Where ``below(low)`` fails, both ends come back near ``low``; where ``below(high)`` holds, near ``high``.
    halvings : int
        Times that the bracket is halved.

    Returns
    -------
    tuple of array
        The last x where it holds and the first where it does not, next to each other: a cost that jumps has no value between.
    """

    def halve(_: Any, bracket: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bracket
        middle = 0.5 * (low + high)
        inside = below(middle)
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    return jax.lax.fori_loop(0, halvings, halve, (low, high))


def minimize_unimodal(slope: Callable[[Any], Any], low: Elementwise, high: Elementwise) -> Elementwise:
    """Minimum of a function that falls and then rises, from the sign of its derivative.

    Parameters
    ----------
    slope : callable
        Elementwise derivative.
    low, high : array
        Bracket; the nearer end comes back when the derivative keeps one sign.
    """
    falling, _ = bisect(lambda x: slope(x) < 0, low, high, halvings=_OPTIMUM)
    return falling


def bracket_minimum(
    value: Callable[[Any], Any], low: Elementwise, high: Elementwise, points: int
) -> tuple[Elementwise, Elementwise]:
    """Bracket between the neighbors of the lowest of so many points of an even grid, for a function with several local minima.

    Parameters
    ----------
    value : callable
        Elementwise function. A local minimum narrower than a step may be missed.
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


_OPTIMUM = 42
"""Halvings for an optimum: to 5e-12 of the widest bracket used, where a loss differs in no digit."""


def argmin_last(values: Any) -> Any:
    """Where along the last axis values are least, the first of equals; two plain reductions are ten times as fast as ``argmin``."""
    number = jnp.arange(jnp.shape(values)[-1])
    least = jnp.min(values, axis=-1, keepdims=True)
    return jnp.min(jnp.where(values == least, number, len(number) - 1), axis=-1)


_FIRST, _BESIDE, _FINE, POINTS = 32, 3, 3, 8
"""Points of the first round of :func:`refine`, and how many of its steps to either side are looked at again; rounds after it, and points of each."""


def refine(value: Callable[[Any], Any], grid: Any, place: Elementwise, own: Elementwise) -> tuple[Elementwise, Elementwise]:
    """Lowest value over sizes, from a grid on which it is known: each round looks closer around the best size so far.

    Four rounds leave a 500th of the grid's step. Where the value is infinite on one side of the best (a constraint), the edge is approached
    from within; where it has several local minima or islands between two points of the grid, the first round finds those wider than a
    sixteenth of a step. That round is in single precision, which at a flat optimum cannot tell neighbors apart: more of them
    than the nearest are looked at again.

    Parameters
    ----------
    value : callable
        Elementwise function of an array of x with one more axis, in its precision; infinite where x is not allowed.
    grid : array, shape (G,)
        Rising x.
    place : array of int, shape (...)
        Where on the grid the value is lowest.
    own : array, shape (...)
        An x to try besides: a point that only just is allowed lies on no grid.

    Returns
    -------
    tuple of array
        x and value; the value is infinite where nothing is allowed.
    """
    grid = jnp.asarray(grid)
    last = len(grid) - 1
    # Where the grid was computed in single precision, a limit may be met at its best point in that alone: then a neighbor is the best.
    around = jnp.clip(place[..., None] + jnp.arange(-1, 2), 0, last)
    known = value(jnp.concatenate([grid[around], own[..., None]], axis=-1))
    at = jnp.take_along_axis(around, argmin_last(known[..., :3])[..., None], axis=-1)[..., 0]
    best, least, of_own = grid[at], known[..., :3].min(axis=-1), known[..., 3]
    better = of_own < least
    near = jnp.searchsorted(grid, own)
    low = grid[jnp.clip(jnp.where(better, near, at) - 1, 0, last)]
    high = grid[jnp.clip(jnp.where(better, near, at + 1), 0, last)]
    best, least = jnp.where(better, own, best), jnp.minimum(of_own, least)

    def closer(_: Any, state: tuple[Any, Any, Any, Any], points: int = POINTS, beside: int = 1) -> tuple[Any, Any, Any, Any]:
        best, least, low, high = state
        # Both ends are known from the round before.
        share = jnp.arange(1, points + 1, dtype=best.dtype) / (points + 1)
        tried = low[..., None] + (high - low)[..., None] * share
        values = value(tried).astype(tried.dtype)
        at = argmin_last(values)
        found = jnp.take_along_axis(values, at[..., None], axis=-1)[..., 0]
        place = jnp.take_along_axis(tried, at[..., None], axis=-1)[..., 0]
        best, least = jnp.where(found < least, place, best), jnp.minimum(found, least)
        step = beside * (high - low) / (points + 1)
        return best, least, jnp.maximum(best - step, low), jnp.minimum(best + step, high)

    single: Any = tuple(each.astype(jnp.float32) for each in (best, least, low, high))
    _, _, low, high = (each.astype(best.dtype) for each in closer(0, single, _FIRST, _BESIDE))
    best, least, _, _ = jax.lax.fori_loop(0, _FINE, closer, (best, least, low, high))
    return best, least


_AROUND, _STEPS, _TOGETHER = 0.015, 2000, 40
"""How far around a size :func:`best_local_minimum` looks, in how many steps, and how many of them at a time."""


def best_local_minimum(
    value: Callable[[Any], Any], best: Elementwise, least: Elementwise
) -> tuple[Elementwise, Elementwise]:
    """Lowest value of all within one and a half percent of a size, for a value that jumps: its many local minima are nearly of the same depth.

    Steps of 1.5e-5 in single precision tell local minima apart that differ by a few millionths; the lowest is then looked at as in
    :func:`refine`.

    Parameters
    ----------
    value : callable
        As of :func:`refine`.
    best, least : array, shape (...)
        The size and its value.

    Returns
    -------
    tuple of array
        x and value.
    """
    step = 2.0 * _AROUND / _STEPS
    start, offsets = best.astype(jnp.float32), jnp.arange(_TOGETHER, dtype=jnp.float32) * step - _AROUND

    def look(number: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        at, lowest = state
        tried = start[..., None] + (offsets + number * (_TOGETHER * step))
        values = value(tried).astype(tried.dtype)
        place = argmin_last(values)
        found = jnp.take_along_axis(values, place[..., None], axis=-1)[..., 0]
        x = jnp.take_along_axis(tried, place[..., None], axis=-1)[..., 0]
        return jnp.where(found < lowest, x, at), jnp.minimum(found, lowest)

    at, _ = jax.lax.fori_loop(0, _STEPS // _TOGETHER, look, (start, jnp.full_like(start, jnp.inf)))
    share = jnp.linspace(-2.0, 2.0, 4 * POINTS + 1)
    tried = at.astype(best.dtype)[..., None] + step * share
    values = value(tried)
    place = argmin_last(values)[..., None]
    x, found = (jnp.take_along_axis(each, place, axis=-1)[..., 0] for each in (tried, values))
    return jnp.where(found < least, x, best), jnp.minimum(found, least)
