"""Over-training ratio by expert count and training budget."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._minima_by_budget import MARKERS, flop_label, unsure
from bayesmoe.plots.style import MUTED, banded, beside, budget_colors, expert_axis, look_of, new_panels


def over_training_by_budget(found: xr.Dataset) -> Figure:
    """One panel a problem: medians and 90% bands of tokens chosen over loss-optimal tokens, one color a training budget.

    Parameters
    ----------
    found : Dataset
        ``over_training_ratio`` by ``problem``, ``num_experts``, ``train_flop`` and ``quantile``; ``sure``, without which a point is
        hollow.
    """
    figure, panels = new_panels(found.sizes["problem"], sharey=True)
    budgets, counts = found["train_flop"].values, found["num_experts"].values.tolist()
    for axes, problem in zip(panels, found["problem"].values, strict=True):
        positions = expert_axis(axes, counts)
        for i, (color, flop) in enumerate(zip(budget_colors(len(budgets)), budgets, strict=True)):
            own = found["over_training_ratio"].sel(problem=problem, train_flop=flop).transpose("quantile", "num_experts")
            x = [place + beside(len(budgets), i) for place in positions]
            look = {"color": color, "marker": MARKERS[i % len(MARKERS)], "label": flop_label(flop)}
            banded(axes, x, *own.values, **look)
            unsure(axes, x, own.values[1], found["sure"].sel(problem=problem, train_flop=flop).values, **look)
        axes.set_xlim(-0.6, len(counts) - 0.4)
        axes.axhline(1.0, color=MUTED, linewidth=1, linestyle="--")
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axes.set_title(look_of(str(problem))["label"], fontsize=10)
    panels[0].set_ylabel("tokens / loss-optimal tokens")
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    return figure
