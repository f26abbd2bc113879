"""What each number of a scenario does to the cost of the choice."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bayesmoe.plots.style import INK, new_figure

LOW, HIGH = "#56b4e9", "#d55e00"


def tornado(sensitivity: xr.Dataset, problem: str | None = None) -> Figure:
    """Bars from the cost at an input's low end to that at its high end, the widest on top; beside a bar's end the recommended expert count, where it changes.

    Parameters
    ----------
    sensitivity : Dataset
        From :func:`~bayesmoe.decisions.sensitivity.sensitivity` or :func:`~bayesmoe.decisions.influence.influence`: ``value``, ``cost`` and ``recommended`` by ``problem``, ``input`` and ``side``; ``baseline_cost`` and ``baseline_choice`` by ``problem``.
    problem : str, optional
        Which problem; the first where it is left out.
    """
    problem = str(sensitivity["problem"].values[0]) if problem is None else problem
    part = sensitivity.sel(problem=problem)
    names = [str(name) for name in part["input"].values]
    figure, axes = new_figure(6.4, 1.4 + 0.34 * len(names))
    base, choice = float(part["baseline_cost"]), int(part["baseline_choice"])
    for row, name in enumerate(names):
        for side, color in (("low", LOW), ("high", HIGH)):
            end = part.sel(input=name, side=side)
            cost, count = float(end["cost"]), int(end["recommended"])
            axes.barh(row, cost - base, left=base, height=0.62, color=color)
            said = f"{float(end['value']):.3g}" + (
                "" if count == choice else f", {count} experts" if count else ", none recommended"
            )
            outward = cost >= base
            axes.annotate(
                said, (cost, row), xytext=(4 if outward else -4, 0), textcoords="offset points", fontsize=7.5, color=INK,
                va="center", ha="left" if outward else "right",
            )  # fmt: skip
    axes.axvline(base, color=INK, linewidth=1)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    low, high = axes.get_xlim()
    axes.set_xlim(low - 0.3 * (high - low), high + 0.3 * (high - low))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.3g}" if abs(value) < 1e3 else f"{value / 1e3:,.0f}k")
    axes.set_xlabel(f"expected cost of the recommended design, {sensitivity.attrs['unit']}")
    handles = [Patch(color=color, label=label) for color, label in ((LOW, "low end"), (HIGH, "high end"))]
    figure.legend(handles=handles, frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return figure
