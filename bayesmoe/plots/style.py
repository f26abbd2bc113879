"""One look for every figure: colours that colour-blind readers tell apart, and expert counts as evenly spaced categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

INK = "#1b1b1b"
PROBLEM_COLOURS = {"cheapest_serving": "#0072b2", "lowest_loss": "#d55e00", "loss_optimal": "#6b6b6b"}
PROBLEM_MARKERS = {"cheapest_serving": "o", "lowest_loss": "s", "loss_optimal": "D"}
PROBLEM_LABELS = {
    "cheapest_serving": "cheapest serving at bounded loss",
    "lowest_loss": "lowest loss at bounded serving cost",
    "loss_optimal": "loss-optimal",
}


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
