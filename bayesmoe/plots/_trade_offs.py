"""Loss, serving cost and training FLOP of loss-optimal models against each other."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import barred, decades, expert_colors, new_panels
from bayesmoe.units import experts


def trade_offs(found: xr.Dataset) -> Figure:
    """Medians with 90% bands, one color an expert count: loss by FLOP, serving cost by FLOP, serving cost by loss.

    Parameters
    ----------
    found : Dataset
        By ``quantile`` and ``num_experts``: ``loss`` and ``serving_usd_per_million_tokens`` by ``train_flop``; ``serving_at_loss`` by
        ``asked_loss``. Nats per token, USD per million output tokens, FLOP.
    """
    figure, panels = new_panels(3, width=10.4, height=4.0)
    cost = "serving_usd_per_million_tokens"
    counts = found["num_experts"].values
    drawn = (("train_flop", "loss"), ("train_flop", cost), ("asked_loss", "serving_at_loss"))
    for axes, (along, name) in zip(panels, drawn, strict=True):
        for number, (color, count) in enumerate(zip(expert_colors(len(counts)), counts, strict=True)):
            values = found[name].sel(num_experts=count).transpose("quantile", along).values
            look = {"number": number, "count": len(counts), "color": color, "label": experts(count)}
            barred(axes, found[along].values, *values, **look)
    for axes in panels[:2]:
        decades(axes.xaxis, _flop)
        axes.set_xlabel("training FLOP")
    for axes in panels[1:]:
        decades(axes.yaxis, lambda usd: f"{usd:g}")
        axes.set_ylabel("serving cost, USD per million output tokens")
    panels[0].set_ylabel("lowest loss, nats per token")
    panels[2].set_xlabel("loss of the loss optimum, nats per token")
    panels[2].invert_xaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, fontsize=9, ncols=5, loc="outside lower center")
    return figure


def _flop(value: float) -> str:
    return f"{value:.0e}".replace("e+", "e")
