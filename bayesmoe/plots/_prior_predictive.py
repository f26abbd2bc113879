"""What the laws of the catalog say before they have seen a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bayesmoe.plots.style import expert_colors, new_panels

_COLUMNS = 4
_MOST_NATS = 12.0


def prior_predictive(bands: Sequence[xr.Dataset]) -> Figure:
    """One panel a law: prior median and 90% band of its response by size, and median by tokens, for a dense and a routed model.

    Parameters
    ----------
    bands : sequence of Dataset
        ``by_size`` by ``quantile``, ``n_dense`` and ``num_experts``, ``by_tokens`` by ``tokens`` instead; the law's name and
        response in its attributes.
    """
    rows = math.ceil(len(bands) / _COLUMNS)
    figure, panels = new_panels(_COLUMNS, 10, 1.9 * rows, rows=rows, sharex=True)
    counts = bands[0]["num_experts"].values[[0, -1]]
    colors = expert_colors(3)[:2]
    for axes, one in zip(panels, bands, strict=False):
        for color, experts in zip(colors, counts, strict=True):
            low, median, high = one["by_size"].sel(num_experts=experts).values
            size, tokens = (one[name] / one[name].median() for name in ("n_dense", "tokens"))
            axes.fill_between(size, low, high, color=color, alpha=0.2, linewidth=0)
            label = "dense" if experts == 1 else f"{int(experts)} experts"
            axes.plot(size, median, color=color, linewidth=1.8, label=f"{label} by size, with 90% band")
            by_tokens = one["by_tokens"].sel(num_experts=experts, quantile=0.5)
            axes.plot(tokens, by_tokens, color=color, linewidth=1.4, linestyle=":", label=f"{label} by tokens")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(one.attrs["law"], fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        if one.attrs["response"] == "loss":
            axes.set_ylim(0.0, _MOST_NATS)
        axes.set_ylabel("nats per token" if one.attrs["response"] == "loss" else one.attrs["response"], fontsize=8)
    for axes in panels[len(bands) :]:
        axes.set_axis_off()
    for axes in panels[-_COLUMNS:]:
        axes.set_xlabel("times the typical run", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return figure
