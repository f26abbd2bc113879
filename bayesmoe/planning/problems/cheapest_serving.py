"""Yun's Algorithm 1: the cheapest model to serve that is as good as the base expert count at its loss optimum."""

from __future__ import annotations

from typing import Any

from bayesmoe.planning.landscape import Landscape
from bayesmoe.planning.optimum import bisect
from bayesmoe.planning.problems.base import Problem


def solve(landscape: Landscape, optimal: Any, base: int) -> tuple[Any, Any, Any]:
    """Smallest size on the over-trained branch whose loss on the budget does not exceed the base's lowest loss.

    Below its loss optimum a model's loss falls and its serving cost rises with size, so the smallest is the cheapest.
    Infeasible where even the loss optimum misses the target, or where no allowed GPU count serves the model.
    """
    best_loss = landscape.loss(optimal)
    target = best_loss[:, base]
    low = landscape.smallest_servable()
    _, ln_size = bisect(lambda x: landscape.loss(x) > target[:, None], low, optimal)
    ln_size = ln_size.at[:, base].set(optimal[:, base])
    reached = best_loss <= target[:, None]
    return ln_size, reached & landscape.serving(ln_size).feasible, target


CHEAPEST_SERVING = Problem(
    "cheapest_serving", "serving_usd_per_million_tokens", solve, "Yun et al. 2024, arXiv:2404.02852, Algorithm 1"
)
