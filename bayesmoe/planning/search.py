"""One-dimensional optima and crossings, elementwise over draws and expert counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


_FEWEST_TOKENS, _MOST_TOKENS, _HALVINGS = 1e3, 1e20, 26
"""Tokens considered, and halvings of these in single precision: more would change no digit."""

_LAST_DIGITS = 8.0
"""Rounding errors by which two computations of one loss may differ."""


def fewest_tokens(
    loss: Callable[[Any], Any], target: Elementwise, like: Elementwise, *, turns: bool = False, halvings: int | None = None
) -> Elementwise:
    """Fewest training tokens that reach a loss; infinite where none do.

    Parameters
    ----------
    loss : callable
        Elementwise loss of tokens, which falls.
    target : array
        The loss to reach.
    like : array
        Shape and precision of the answer.
    turns : bool
        Whether the loss falls down to a turning point and then rises. What lies beyond is not looked at: every loss there is reached by fewer
        tokens before.
    halvings : int, optional
        Of the tokens considered; as many as their precision is worth where left out.
    """
    if halvings is None:
        halvings = STEPS if like.dtype == jnp.float64 else _HALVINGS
    low, high = (jnp.full_like(like, np.log(end)) for end in (_FEWEST_TOKENS, _MOST_TOKENS))

    def before(ln_tokens: Any) -> Any:
        tokens = jnp.exp(ln_tokens)
        if not turns:
            return loss(tokens) > target
        value, slope = jax.jvp(loss, (tokens,), (jnp.ones_like(tokens),))
        return (value > target) & (slope < 0.0)

    _, found = bisect(before, low, high, halvings=halvings)
    if not turns:
        return jnp.where(loss(jnp.exp(high)) <= target, jnp.exp(found), jnp.inf)
    # What was found has just reached the loss, to rounding, or has turned above it.
    rounding = 1.0 + _LAST_DIGITS * jnp.finfo(like.dtype).eps
    return jnp.where(loss(jnp.exp(found)) <= target * rounding, jnp.exp(found), jnp.inf)


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


def bracket_on_grid(values: Any, grid: Any, low: Elementwise, high: Elementwise) -> tuple[Any, Any]:
    """The same between bounds of each function, from values on one grid for all.

    Parameters
    ----------
    values : array, shape (..., G)
        Values on the grid.
    grid : array, shape (G,)
        Rising x.
    low, high : array, shape (...)
        Bounds; values beyond do not count.
    """
    inside = (grid >= low[..., None]) & (grid <= high[..., None])
    at = jnp.argmin(jnp.where(inside, values, jnp.inf), axis=-1)
    left, right = jnp.maximum(at - 1, 0), jnp.minimum(at + 1, len(grid) - 1)
    return jnp.maximum(grid[left], low), jnp.minimum(grid[right], high)


_OPTIMUM = 42
"""Halvings for an optimum: to 5e-12 of the widest bracket used, where a loss differs in no digit."""


def argmin_last(values: Any) -> Any:
    """Where along the last axis values are least, the first of equals; two plain reductions are ten times as fast as ``argmin``."""
    number = jnp.arange(jnp.shape(values)[-1])
    least = jnp.min(values, axis=-1, keepdims=True)
    return jnp.min(jnp.where(values == least, number, len(number) - 1), axis=-1)


POINTS = 8
"""Points of each round of :func:`refine`."""

_FIRST, _BESIDE, _FINE = 4, 3, 3
"""Rounds that share the first look between two neighbors on the grid, how many of their steps to either side of the best are looked at again,
and rounds after them."""


def refine(value: Callable[[Any], Any], grid: Any, place: Elementwise, own: Elementwise) -> tuple[Elementwise, Elementwise]:
    """Lowest value over sizes, from a grid on which it is known: each round looks closer around the best size so far.

    The last leaves a 500th of the grid's step. Where the value is infinite on one side of the best (a constraint), the edge is approached
    from within; where it has several local minima or islands between two points of the grid, those wider than a sixteenth of a step are
    found. All rounds are turns of one loop, so that the value is compiled once.

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
    last, fine = len(grid) - 1, _FIRST * POINTS + 1
    # Where the grid was computed in single precision, a limit may be met at its best point in that alone: then a neighbor is the best.
    around = jnp.clip(place[..., None] + jnp.arange(-1, 2), 0, last)
    near = jnp.searchsorted(grid, own)
    first = jnp.concatenate([grid[around], jnp.repeat(own[..., None], POINTS - 3, axis=-1)], axis=-1)
    number = jnp.arange(1, POINTS + 1, dtype=first.dtype)

    def bracketed(values: Any) -> tuple[Any, Any]:
        """Neighbors on the grid of the best of the first points."""
        at = jnp.take_along_axis(around, argmin_last(values[..., :3])[..., None], axis=-1)[..., 0]
        better = values[..., 3] < values[..., :3].min(axis=-1)
        ends = jnp.where(better, near, at) - 1, jnp.where(better, near, at + 1)
        return tuple(grid[jnp.clip(end, 0, last)] for end in ends)

    def closer(turn: Any, state: tuple[Any, Any, Any, Any]) -> tuple[Any, Any, Any, Any]:
        best, least, low, high = state
        looking = (turn > 0) & (turn <= _FIRST)
        share = jnp.where(looking, ((turn - 1) * POINTS + number) / fine, number / (POINTS + 1))
        tried = jnp.where(turn == 0, first, low[..., None] + (high - low)[..., None] * share)
        values = value(tried)
        at = argmin_last(values)
        found, x = (jnp.take_along_axis(each, at[..., None], axis=-1)[..., 0] for each in (values, tried))
        best, least = jnp.where(found < least, x, best), jnp.minimum(found, least)
        step = jnp.where(turn == _FIRST, _BESIDE * (high - low) / fine, (high - low) / (POINTS + 1))
        closer_ends = jnp.maximum(best - step, low), jnp.minimum(best + step, high)
        kept = looking & (turn < _FIRST)
        low, high = (
            jnp.where(turn == 0, of_first, jnp.where(kept, now, end))
            for of_first, now, end in zip(bracketed(values), (low, high), closer_ends, strict=True)
        )
        return best, least, low, high

    start = grid[jnp.clip(place, 0, last)]
    state = (start, jnp.full_like(start, jnp.inf), start, start)
    best, least, _, _ = jax.lax.fori_loop(0, 1 + _FIRST + _FINE, closer, state)
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
