"""Distribution of the optimal expert count."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import risk_of
from bayesmoe.plots.style import expert_axis, hover, look_of, new_figure
from bayesmoe.units import experts


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
        look, offset = look_of(name), (i - (len(names) - 1) / 2) * width
        heights = risk["p_best"].sel(problem=name).values
        bars = axes.bar([x + offset for x in positions], heights, width * 0.92, color=look["color"], label=look["label"])
        for bar, count, height in zip(bars, risk["num_experts"].values, heights, strict=True):
            hover(bar, [f"{experts(count)}: best in {100 * height:.1f}% of draws ({look['label']})"])
        axes.bar_label(bars, [f"{100 * p:.0f}%" if p >= 0.05 else "" for p in heights], fontsize=7, padding=2)
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.set_ylabel("probability of being best")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center")
    return figure
