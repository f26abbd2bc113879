"""Clark's expert saturation: how many experts are worth having."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

_LEAST_ROOM = 1e-9


def effective_experts(num_experts: Array, e_start: Array, e_max: Array) -> Array:
    """Effective expert count.

    ``1/Ehat = 1/(E - 1 + (1/e_start - 1/e_max)^-1) + 1/e_max``

    ``Ehat(1) = e_start`` exactly (not 1), and ``Ehat`` tends to ``e_max`` as ``E`` grows.

    Parameters
    ----------
    num_experts : array
        Routed experts E, at least 1.
    e_start, e_max : array
        Effective experts of a dense model and at saturation, ``1 <= e_start < e_max``.

    Returns
    -------
    array
        Effective experts, of the broadcast shape.

    References
    ----------
    Clark et al. 2022, arXiv:2202.01169, section 5.1.
    """
    room = jnp.maximum(1.0 / e_start - 1.0 / e_max, _LEAST_ROOM)
    return 1.0 / (1.0 / (num_experts - 1.0 + 1.0 / room) + 1.0 / e_max)
