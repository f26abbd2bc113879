"""One look for every figure: colours that colour-blind readers tell apart, and expert counts as evenly spaced categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

INK = "#1b1b1b"
_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d1f", "#000000")
LOSS_OPTIMUM = "loss_optimal"
PROBLEM_LABELS = {
    LOSS_OPTIMUM: "loss-optimal",
    "cheapest_serving": "cheapest serving at bounded loss",
    "lowest_loss": "lowest loss at bounded serving cost",
    "lifetime_cost": "cheapest life at a loss target",
    "lifetime_flop": "fewest lifetime FLOP at a loss target",
    "memory_limited": "lowest loss in a memory",
    "equal_resources": "lowest loss at equal resources",
    "fixed_hardware": "lowest loss served in time",
    "efficiency_leverage": "most efficiency leverage",
}
PROBLEM_COLOURS = dict(zip(PROBLEM_LABELS, ("#6b6b6b", *_OKABE_ITO), strict=True))
PROBLEM_MARKERS = dict(zip(PROBLEM_LABELS, "DosvP^X<>", strict=True))


def beside(count: int, number: int) -> float:
    """How far to the side the series of that number stands of a category that several share."""
    return 0.7 / max(count, 3) * (number - (count - 1) / 2)


def new_figure(width: float = 6.4, height: float = 3.8) -> tuple[Figure, Any]:
    """A figure with one set of axes in the house style; sizes in inches."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def expert_colours(count: int) -> list[Any]:
    """Colours from dark (fewest experts) to light, distinct also without colour vision."""
    return [plt.get_cmap("viridis")(0.92 * i / max(count - 1, 1)) for i in range(count)]


def expert_axis(axes: Any, num_experts: Sequence[int]) -> list[int]:
    """Label the x axis with expert counts, evenly spaced, and return their positions."""
    positions = list(range(len(num_experts)))
    axes.set_xticks(positions, ["dense" if int(e) == 1 else str(int(e)) for e in num_experts])
    axes.set_xlabel("routed experts per MoE layer")
    return positions


def banded(axes: Any, x: Sequence[float], low: Any, middle: Any, high: Any, **look: Any) -> None:
    """Medians as markers with their 90% band as a vertical line."""
    axes.vlines(x, low, high, color=look["color"], linewidth=2.2, alpha=0.55)
    axes.plot(x, middle, linestyle="none", markersize=6, markeredgecolor="white", markeredgewidth=0.6, **look)
