"""Model FLOP utilization by expert count and width, with what was measured."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import INK, barred, expert_colors, new_figure
from bayesmoe.units import experts


def mfu_by_experts(by_size: xr.Dataset, measured: pd.DataFrame | None = None) -> Figure:
    """Medians with 90% bands by width of the model, one color an expert count; measured models as crosses (dense) and dots (MoE).

    Parameters
    ----------
    by_size : Dataset
        ``train_mfu`` by ``quantile``, ``num_experts`` and ``n_dense``, and ``d_model`` by ``n_dense``: of
        :func:`bayesmoe.curves.mfu_by_size.mfu_by_size`.
    measured : DataFrame, optional
        ``d_model``, ``num_experts`` and ``mfu`` of each measurement: of :func:`bayesmoe.curves.mfu_by_size.measured_mfu`.
    """
    figure, axes = new_figure()
    counts, width = by_size["num_experts"].values, by_size["d_model"].values
    for number, (color, count) in enumerate(zip(expert_colors(len(counts)), counts, strict=True)):
        rate = 100.0 * by_size["train_mfu"].sel(num_experts=count).transpose("quantile", "n_dense").values
        barred(axes, width, *rate, number=number, count=len(counts), color=color, label=experts(int(count)))
    if measured is not None:
        dense = measured["num_experts"] <= 1
        for rows, marker, label in ((measured[dense], "x", "measured, dense"), (measured[~dense], ".", "measured, MoE")):
            axes.plot(rows["d_model"], 100.0 * rows["mfu"], marker, color=INK, markersize=4, alpha=0.5, label=label)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("width of the model, d_model")
    axes.set_ylabel("MFU, % of the peak in bfloat16")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=9, ncols=5, loc="outside lower center")
    return figure
