"""Serving cost against loss."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import risk_of
from bayesmoe.plots.style import (
    LOSS_OPTIMUM,
    decades,
    expert_colors,
    hover,
    look_of,
    new_figure,
)
from bayesmoe.units import experts


def cost_against_loss(plan: xr.Dataset) -> Figure:
    """Median and 90% bands of loss and serving cost, one color an expert count, one marker a solution.

    Parameters
    ----------
    plan : Dataset
        A plan, or its :func:`~bayesmoe.decisions.risk.risk`: ``loss`` and ``serving_usd_per_million_tokens`` by ``problem``, ``num_experts`` and ``quantile``, and the same at the
        loss optimum.
    """
    risk = risk_of(plan)
    figure, axes = new_figure(height=4.4)
    cost, loss = "serving_usd_per_million_tokens", "loss"
    points = {LOSS_OPTIMUM: (risk[f"loss_optimal_{cost}"], risk[f"loss_optimal_{loss}"])}
    others = [str(name) for name in risk["problem"].values if name != LOSS_OPTIMUM]
    points |= {name: (risk[cost].sel(problem=name), risk[loss].sel(problem=name)) for name in others}
    colors = expert_colors(risk.sizes["num_experts"])
    for name, (costs, losses) in points.items():
        look = look_of(name)
        for i, count in enumerate(risk["num_experts"].values):
            x, y = costs.sel(num_experts=count).values, losses.sel(num_experts=count).values
            axes.plot([x[0], x[2]], [y[1], y[1]], color=colors[i], alpha=0.35, linewidth=1.6)
            axes.plot([x[1], x[1]], [y[0], y[2]], color=colors[i], alpha=0.35, linewidth=1.6)
            (point,) = axes.plot(
                x[1], y[1], marker=look["marker"], color=colors[i], markersize=7, markeredgecolor="white", zorder=3
            )
            shown = f"USD {x[1]:.3g} ({x[0]:.3g} to {x[2]:.3g}), {y[1]:.4g} ({y[0]:.4g} to {y[2]:.4g}) nats"
            hover(point, [f"{experts(count)}, {look['label']}: {shown}"])
    decades(axes.xaxis, lambda usd: f"{usd:g}")
    axes.set_xlabel("serving cost, USD per million output tokens")
    axes.set_ylabel("loss, nats per token")
    counts = [
        axes.plot([], [], color=colors[i], linewidth=4, label=experts(e))[0]
        for i, e in enumerate(risk["num_experts"].values)
    ]
    kinds = [axes.plot([], [], linestyle="none", **look_of(n) | {"color": "#555555"})[0] for n in points]
    figure.legend(handles=counts + kinds, frameon=False, fontsize=8, ncols=2, loc="outside lower center")
    return figure
