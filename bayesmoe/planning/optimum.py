"""One-dimensional optima and crossings, elementwise over draws and expert counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

STEPS = 60
"""Bisection steps: 60 halvings of the widest bracket used leave less than one part in 1e15."""


def bisect(below: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """Largest x of a bracket up to which ``below`` holds, for a predicate that holds first and then no more.

    Parameters
    ----------
    below : callable
        Elementwise predicate of an array of x.
    low, high : array
        Bracket. Where ``below(low)`` fails, ``low`` comes back; where ``below(high)`` holds, ``high``.
    """

    def halve(_: Any, bracket: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bracket
        middle = 0.5 * (low + high)
        inside = below(middle)
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    left, right = jax.lax.fori_loop(0, STEPS, halve, (low, high))
    return 0.5 * (left + right)


def minimise_unimodal(slope: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """Minimum of a function that falls and then rises, from the sign of its derivative.

    Parameters
    ----------
    slope : callable
        Elementwise derivative.
    low, high : array
        Bracket; the nearer end comes back when the derivative keeps one sign.
    """
    return bisect(lambda x: slope(x) < 0, low, high)
