"""Frontier of loss and serving cost, and which expert count lies on it."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import INK, decades, expert_colors, new_panels, ribbon
from bayesmoe.units import experts


def frontier(found: xr.Dataset) -> Figure:
    """Above, the lowest loss of all expert counts by serving cost in its 90% band, and each count's median; below, how often each count has the lowest.

    Parameters
    ----------
    found : Dataset
        By ``cost``, USD per million output tokens: ``best_loss`` by ``quantile``, ``loss`` by ``quantile`` and ``num_experts``, nats per token;
        ``p_best`` by ``num_experts``.
    """
    figure, (upper, lower) = new_panels(1, 6.4, 5.6, rows=2, sharex=True, height_ratios=(2.2, 1.0))
    cost, counts = found["cost"].values, found["num_experts"].values
    colors = expert_colors(len(counts))
    best = found["best_loss"].transpose("quantile", "cost").values
    ribbon(upper, cost, *best, color=INK, label="best of all counts", zorder=3, linestyle=":")
    for color, count in zip(colors, counts, strict=True):
        median = found["loss"].sel(num_experts=count, quantile=0.5)
        upper.plot(cost, median, color=color, linewidth=1.7, label=experts(count), zorder=2)
    apportion = [found["p_best"].sel(num_experts=count).values for count in counts]
    lower.stackplot(cost, apportion, colors=colors, linewidth=0)
    lower.set_xlim(cost[0], cost[-1])
    decades(lower.xaxis, lambda usd: f"{usd:g}")
    lower.set_ylim(0, 1)
    lower.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    upper.set_ylabel("lowest loss, nats per token")
    lower.set_ylabel("has the lowest")
    lower.set_xlabel("serving cost allowed, USD per million output tokens")
    figure.legend(*upper.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=3, loc="outside lower center")
    return figure
