"""Clark's expert saturation: how many experts are worth having."""

from __future__ import annotations

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinates, PaperParameters

_LEAST_ROOM = 1e-9


def saturated(offset: Elementwise, start: Elementwise, most: Elementwise) -> Elementwise:
    """A count that starts at ``start`` where x is 0 and saturates at ``most`` as x grows; an infinite ``most`` gives ``x + start``.

    ``1/xhat = 1/(x + (1/start - 1/most)^-1) + 1/most``, ``x >= 0``, ``0 < start < most``
    """
    room = jnp.maximum(1.0 / start - 1.0 / most, _LEAST_ROOM)
    return 1.0 / (1.0 / (offset + 1.0 / room) + 1.0 / most)


def effective_experts(num_experts: Elementwise, e_start: Elementwise, e_max: Elementwise) -> Elementwise:
    """Effective expert count (Clark et al. 2022, arXiv:2202.01169, section 5.1).

    ``1/Ehat = 1/(E - 1 + (1/e_start - 1/e_max)^-1) + 1/e_max``, ``E >= 1``, ``1 <= e_start < e_max``; e_max may be infinite.

    ``Ehat(1) = e_start`` exactly (not 1), and ``Ehat`` tends to ``e_max`` as ``E`` grows.
    """
    return saturated(num_experts - 1.0, e_start, e_max)


def shape_of(coordinates: Coordinates) -> PaperParameters:
    """The parameters ``e_start`` and ``e_max = e_start + e_above``; without ``e_above`` nothing saturates and there is no e_max.

    The distance is the coordinate because a law with free e_start and e_max degenerates where they meet: there no expert
    count gains anything, and a chain that comes near stays.
    """
    start = coordinates["e_start"]
    return {"e_start": start, **({"e_max": start + coordinates["e_above"]} if "e_above" in coordinates else {})}


def shape_coordinates(p: PaperParameters) -> Coordinates:
    """The inverse of :func:`shape_of`."""
    return {"e_start": p["e_start"], **({"e_above": p["e_max"] - p["e_start"]} if "e_max" in p else {})}


def ln_effective(num_experts: Elementwise, p: PaperParameters) -> Elementwise:
    """Logarithm of the effective experts under a law's parameters; without ``e_max`` among them nothing saturates."""
    return jnp.log(effective_experts(num_experts, p["e_start"], p.get("e_max", jnp.inf)))


def ln_gain(gain_experts: Elementwise, p: PaperParameters) -> Elementwise:
    """Logarithm of the effective experts at the gain expert count over those of a dense model."""
    return ln_effective(gain_experts, p) - jnp.log(p["e_start"])
