"""Yun's Algorithm 2: the lowest loss that serves no dearer than the base expert count at its loss optimum."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from bayesmoe.planning.landscape import Landscape
from bayesmoe.planning.optimum import bisect
from bayesmoe.planning.problems.base import Problem


def solve(landscape: Landscape, optimal: Any, base: int) -> tuple[Any, Any, Any]:
    """Largest size up to the loss optimum whose serving cost does not exceed the base's.

    Serving cost rises with size, with jumps where one more GPU is needed; where the loss optimum itself is affordable there
    is nothing to gain from going beyond it. Infeasible where no size is affordable.
    """
    bound = landscape.serving(optimal).usd_per_million_tokens[:, base]
    low = landscape.smallest_servable()

    def affordable(ln_size: Any) -> Any:
        return landscape.serving(ln_size).usd_per_million_tokens <= bound[:, None]

    last, _ = bisect(affordable, low, optimal)
    ln_size = jnp.where(affordable(optimal), optimal, last)
    return ln_size, affordable(low), bound


LOWEST_LOSS = Problem("lowest_loss", "loss", solve, "Yun et al. 2024, arXiv:2404.02852, Algorithm 2")
