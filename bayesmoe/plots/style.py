"""One look for every figure: colors that color-blind readers tell apart, and expert counts as evenly spaced categories."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bayesmoe.planning.problems import problem_named

INK, MUTED, GRID = "#1b1b1b", "#6b6b6b", "#e3e3e3"
"""Of text and axes, of what is beside the point, and of the grid."""

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d1f", "#000000")
LOSS_OPTIMUM = "loss_optimal"
"""The problem whose look the lowest loss on the budget has."""


def look_of(problem: str) -> dict[str, str]:
    """Color, marker and label of a planning problem, by its name."""
    known = problem_named(problem)
    return {"color": known.color, "marker": known.marker, "label": known.label}


def beside(count: int, number: int) -> float:
    """How far to the side the series of that number stands of a category that several share."""
    return 0.7 / max(count, 3) * (number - (count - 1) / 2)


def new_figure(width: float = 4.6, height: float = 3.3) -> tuple[Figure, Any]:
    """A figure with one set of axes in the house style, as wide as a phone can show; sizes in inches."""
    figure, (axes,) = new_panels(1, width, height)
    return figure, axes


def new_panels(
    columns: int, width: float = 9.6, height: float = 3.8, rows: int = 1, **shared: Any
) -> tuple[Figure, list[Any]]:
    """A figure with several sets of axes in the house style, row by row; sizes in inches."""
    figure, grid = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **shared)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
    return shown_once(figure), list(grid.flat)


def shown_once(figure: Figure) -> Figure:
    """Let a notebook show a figure where a cell returns it, and not a second time as one that pyplot holds."""
    if plt.get_backend().endswith("inline"):
        plt.close(figure)
    return figure


def budget_colors(count: int) -> list[Any]:
    """Colors from dark (smallest budget) to light, of another family than those of expert counts."""
    return [plt.get_cmap("inferno")(0.1 + 0.7 * i / max(count - 1, 1)) for i in range(count)]


def expert_colors(count: int) -> list[Any]:
    """Colors from dark (fewest experts) to light, distinct also without color vision."""
    return [plt.get_cmap("viridis")(0.92 * i / max(count - 1, 1)) for i in range(count)]


def expert_axis(axes: Any, num_experts: Sequence[int]) -> list[int]:
    """Label the x axis with expert counts, evenly spaced, and return their positions."""
    positions, labels = list(range(len(num_experts))), ["dense" if int(e) == 1 else str(int(e)) for e in num_experts]
    # A digit is about 0.62 of its font's size wide; neighbors must leave half a digit between them.
    pitch = 72.0 * axes.figure.get_figwidth() * axes.get_position().width / len(labels)
    widest = max(map(len, labels)) if len(labels) < 2 else max((len(a) + len(b)) / 2 for a, b in itertools.pairwise(labels))
    axes.set_xticks(positions, labels)
    for label in axes.get_xticklabels():
        label.set_fontsize(min(label.get_fontsize(), pitch / (0.62 * (widest + 0.5))))
    axes.set_xlabel("routed experts per MoE layer")
    return positions


def banded(axes: Any, x: Any, low: Any, median: Any, high: Any, **look: Any) -> None:
    """Medians as markers with their 90% band as a vertical line; each shows its numbers where it is pointed at."""
    axes.vlines(x, low, high, color=look["color"], linewidth=2.2, alpha=0.55)
    (line,) = axes.plot(x, median, linestyle="none", markersize=6, markeredgecolor="white", markeredgewidth=0.6, **look)
    hover(line, [f"{look['label']}: {m:.4g} ({a:.4g} to {b:.4g})" for a, m, b in zip(low, median, high, strict=True)])


def ribbon(axes: Any, x: Any, low: Any, median: Any, high: Any, *, opacity: float = 0.18, **look: Any) -> None:
    """Medians as a line in their 90% band."""
    axes.fill_between(x, low, high, color=look["color"], alpha=opacity, linewidth=0)
    axes.plot(x, median, linewidth=1.7, **look)


def decades(axis: Any, said: Callable[[float], str]) -> None:
    """A logarithmic axis with words at decades, or at 1, 2 and 5 of each where it spans few."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = sorted(axis.get_view_interval())
    few = np.log10(high / low) < 2.2
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: said(value)))
    axis.set_minor_formatter(NullFormatter())


def decimal(value: float) -> str:
    """A tick label without needless zeros, with a plain minus sign."""
    return f"{value:.6g}"


HOVER = "hover"


def hover(artist: Any, said: Sequence[str]) -> None:
    """What each point of a line or scatter, or a bar, says where it is pointed at, in the order of its data.

    It travels as the artist's id until the figure becomes SVG, where titles are made of it.
    """
    if hasattr(artist, "get_xydata"):
        points = np.asarray(artist.get_xydata(), dtype=float)
    elif hasattr(artist, "get_offsets"):
        points = np.ma.filled(np.ma.asarray(artist.get_offsets(), dtype=float), np.nan)
    else:
        points = np.zeros((len(said), 2))
    # A point that is not known is not drawn.
    drawn = np.isfinite(points).all(axis=1)
    artist.set_gid(json.dumps([HOVER, *(text for text, seen in zip(said, drawn, strict=True) if seen)]))
