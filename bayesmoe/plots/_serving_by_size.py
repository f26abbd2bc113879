"""Serving cost by model size, and the largest size that a cost allows."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import barred, decades, expert_colors, new_panels
from bayesmoe.units import experts, short

USD = "USD per million output tokens"


def serving_by_size(by_size: xr.Dataset, by_cost: xr.Dataset) -> Figure:
    """Medians with 90% bands, one color an expert count: cost by size on the left, size by cost on the right.

    Parameters
    ----------
    by_size : Dataset
        ``serving_usd_per_million_tokens`` by ``quantile``, ``num_experts`` and ``n_dense``.
    by_cost : Dataset
        ``largest_n_dense`` by ``quantile``, ``num_experts`` and ``cost``, parameters by USD per million output tokens.
    """
    figure, (left, right) = new_panels(2)
    counts = by_size["num_experts"].values
    for number, (color, count) in enumerate(zip(expert_colors(len(counts)), counts, strict=True)):
        look = {"number": number, "count": len(counts), "color": color, "label": experts(count)}
        cost = by_size["serving_usd_per_million_tokens"].sel(num_experts=count).transpose("quantile", "n_dense")
        barred(left, by_size["n_dense"].values, *cost.values, **look)
        size = by_cost["largest_n_dense"].sel(num_experts=count).transpose("quantile", "cost")
        barred(right, by_cost["cost"].values, *size.values, **look)
    for axes in (left, right):
        for axis, said in ((axes.xaxis, _size if axes is left else _usd), (axes.yaxis, _usd if axes is left else _size)):
            decades(axis, said)
    left.set_xlabel("backbone parameters")
    left.set_ylabel(f"serving cost, {USD}")
    right.set_xlabel(f"serving cost allowed, {USD}")
    right.set_ylabel("largest backbone, parameters")
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=5, loc="outside lower center")
    return figure


def _size(value: float) -> str:
    return short(value, 1)


def _usd(value: float) -> str:
    return f"{value:g}"
