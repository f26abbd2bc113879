"""Types of numbers and arrays: one name for each shape that functions of arrays share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A type checker sees numbers that compute with each other.
    Elementwise = Any
else:
    from jax.typing import ArrayLike
    from jaxtyping import Real

    Elementwise = Real[ArrayLike, "*#shape"]
    """A number, or an array that broadcasts against all others of the same call."""
