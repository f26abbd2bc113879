"""Types of numbers and arrays: one name for each shape that functions of arrays share; the tests hold calls to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A type checker sees numbers that compute with each other; shapes are checked where the tests call.
    Elementwise = Any
    PerDraw = Any
else:
    from jax.typing import ArrayLike
    from jaxtyping import Real

    Elementwise = Real[ArrayLike, "*#shape"]
    """A number, or an array that broadcasts against all others of the same call."""

    PerDraw = Real[ArrayLike, "#S #K"]
    """Over S draws and K architectures; a dimension of length 1 holds for all."""
