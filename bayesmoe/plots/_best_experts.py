"""Distribution of the optimal expert count."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import risk_of
from bayesmoe.plots.style import PROBLEM_COLOURS, PROBLEM_LABELS, expert_axis, experts_label, hover, new_figure


def best_experts(plan: xr.Dataset) -> Figure:
    """Bars of ``p_best`` by expert count, one color a problem.

    Parameters
    ----------
    plan : Dataset
        A plan, or its :func:`~bayesmoe.decisions.risk.risk`: ``p_best`` by ``problem`` and ``num_experts``.
    """
    risk = risk_of(plan)
    figure, axes = new_figure()
    positions = expert_axis(axes, risk["num_experts"].values.tolist())
    names = [str(name) for name in risk["problem"].values]
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        offset = (i - (len(names) - 1) / 2) * width
        heights = risk["p_best"].sel(problem=name).values
        bars = axes.bar(
            [x + offset for x in positions], heights, width * 0.92, color=PROBLEM_COLOURS[name], label=PROBLEM_LABELS[name]
        )
        for bar, count, height in zip(bars, risk["num_experts"].values, heights, strict=True):
            hover(bar, [f"{experts_label(count)}: best in {100 * height:.1f}% of draws ({PROBLEM_LABELS[name]})"])
        axes.bar_label(bars, [f"{100 * p:.0f}%" if p >= 0.005 else "" for p in heights], fontsize=8, padding=2)
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.set_ylabel("probability of being best")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return figure
