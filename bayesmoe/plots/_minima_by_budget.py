"""A problem's optima and size ratios by expert count over training budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.planning.problems import OBJECTIVES, problem_named
from bayesmoe.plots.style import banded, beside, budget_colors, decades, expert_axis, look_of, new_panels

MARKERS = "osD^vP"


def minima_by_budget(found: xr.Dataset, problem: str) -> Figure:
    """Medians and 90% bands by expert count, one color a training budget: what the problem minimizes, and the size over the loss-optimal size.

    Parameters
    ----------
    found : Dataset
        By ``problem``, ``num_experts``, ``train_flop`` and ``quantile``: ``loss`` (nats per token), ``serving_usd_per_million_tokens`` and
        ``size_ratio``; ``sure``, without which a point is hollow.
    problem : str
        Which problem.
    """
    objective = problem_named(problem).objective
    part = found.sel(problem=problem)
    figure, panels = new_panels(2)
    budgets, counts = part["train_flop"].values, part["num_experts"].values.tolist()
    for axes, name in zip(panels, (objective, "size_ratio"), strict=True):
        positions = expert_axis(axes, counts)
        for i, (color, flop) in enumerate(zip(budget_colors(len(budgets)), budgets, strict=True)):
            low, median, high = part[name].sel(train_flop=flop).transpose("quantile", "num_experts").values
            x = [place + beside(len(budgets), i) for place in positions]
            look = {"color": color, "marker": MARKERS[i % len(MARKERS)], "label": flop_label(flop)}
            banded(axes, x, low, median, high, **look)
            unsure(axes, x, median, part["sure"].sel(train_flop=flop).values, **look)
        axes.set_xlim(-0.6, len(counts) - 0.4)
    if objective != "loss":
        decades(panels[0].yaxis, lambda usd: f"{usd:g}")
    panels[1].axhline(1.0, color="#6b6b6b", linewidth=1, linestyle="--")
    panels[1].set_ylim(bottom=0.0)
    panels[0].set_ylabel(OBJECTIVES[objective].label)
    panels[1].set_ylabel("size / loss-optimal size")
    figure.suptitle(look_of(problem)["label"], fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    return figure


def unsure(axes: Any, x: Sequence[float], median: Any, sure: Any, **look: Any) -> None:
    """Hollow markers on those that too few draws know."""
    places = np.flatnonzero(~sure & np.isfinite(median))
    look = {"marker": look["marker"], "color": look["color"], "markerfacecolor": "white"}
    axes.plot(np.asarray(x)[places], median[places], linestyle="none", markersize=6, **look)


def flop_label(flop: float) -> str:
    """``5.15e21 FLOP``."""
    return f"{flop:.3g} FLOP".replace("e+", "e")
