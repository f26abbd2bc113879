"""Double precision for a call, whatever the caller's JAX setting, which stays as it was."""

from __future__ import annotations

import functools
from collections.abc import Callable


def in_float64[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with 64-bit JAX arrays: exponents and log densities of a fit need more digits than float32 has."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        import jax

        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wrapper
