"""Loss against serving cost at one training budget."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import barred, decades, expert_colors, new_figure
from bayesmoe.units import experts


def loss_by_cost(found: xr.Dataset) -> Figure:
    """Median loss of the largest model that a serving cost allows, with its 90% band; one curve an expert count.

    Parameters
    ----------
    found : Dataset
        ``loss_of_largest`` by ``quantile``, ``num_experts`` and ``cost``, nats per token by USD per million output tokens.
    """
    figure, axes = new_figure(6.4, 4.4)
    counts = found["num_experts"].values
    for number, (color, count) in enumerate(zip(expert_colors(len(counts)), counts, strict=True)):
        values = found["loss_of_largest"].sel(num_experts=count).transpose("quantile", "cost").values
        look = {"number": number, "count": len(counts), "color": color, "label": experts(count)}
        barred(axes, found["cost"].values, *values, **look)
    decades(axes.xaxis, lambda usd: f"{usd:g}")
    axes.set_xlabel("serving cost, USD per million output tokens")
    axes.set_ylabel("loss, nats per token")
    figure.legend(frameon=False, fontsize=9, ncols=5, loc="outside lower center")
    return figure
