"""Frontier of loss and serving cost, a panel an expert count."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import INK, decades, expert_colors, new_panels, ribbon
from bayesmoe.units import experts, percent

_COLUMNS = 3


def frontier(found: xr.Dataset) -> Figure:
    """Lowest loss by the serving cost allowed: in each panel a count with its 90% band, and dotted the median of the best of all counts.

    Parameters
    ----------
    found : Dataset
        By ``cost``, USD per million output tokens: ``best_loss`` by ``quantile``, ``loss`` by ``quantile`` and ``num_experts``, nats per token;
        ``p_best`` by ``num_experts``, of which a panel says the largest.
    """
    cost, counts = found["cost"].values, found["num_experts"].values
    rows = -(-len(counts) // _COLUMNS)
    figure, panels = new_panels(_COLUMNS, 6.4, 0.6 + 1.7 * rows, rows=rows, sharex=True, sharey=True)
    best = found["best_loss"].sel(quantile=0.5).values
    for axes, color, count in zip(panels, expert_colors(len(counts)), counts, strict=False):
        own = found.sel(num_experts=count)
        ribbon(axes, cost, *own["loss"].transpose("quantile", "cost").values, color=color)
        axes.plot(cost, best, color=INK, linewidth=1.2, linestyle=":")
        top = int(np.argmax(own["p_best"].values))
        axes.set_title(f"{experts(count)}: best in {percent(own['p_best'].values[top])} at {cost[top]:.2g}", fontsize=8)
    for axes in panels[len(counts) :]:
        axes.set_visible(False)
    panels[0].set_xlim(cost[0], cost[-1])
    decades(panels[0].xaxis, lambda usd: f"{usd:g}")
    figure.supxlabel("serving cost allowed, USD per million output tokens", fontsize=9)
    figure.supylabel("lowest loss, nats per token", fontsize=9)
    return figure
