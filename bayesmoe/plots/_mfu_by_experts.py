"""Model FLOP utilization by expert count and width, with what was measured."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import INK, expert_colors, new_panels, ribbon
from bayesmoe.units import experts

_COLUMNS = 3


def mfu_by_experts(by_size: xr.Dataset, measured: pd.DataFrame | None = None) -> Figure:
    """Median with its 90% band by width of the model, a panel an expert count; measured models as dots: dense ones in the dense panel, MoEs in the others.

    Parameters
    ----------
    by_size : Dataset
        ``train_mfu`` by ``quantile``, ``num_experts`` and ``n_dense``, and ``d_model`` by ``n_dense``: of
        :func:`bayesmoe.curves.mfu_by_size.mfu_by_size`.
    measured : DataFrame, optional
        ``d_model``, ``num_experts`` and ``mfu`` of each measurement: of :func:`bayesmoe.curves.mfu_by_size.measured_mfu`.
    """
    counts, width = by_size["num_experts"].values, by_size["d_model"].values
    rows = -(-len(counts) // _COLUMNS)
    figure, panels = new_panels(_COLUMNS, 6.4, 0.6 + 1.7 * rows, rows=rows, sharex=True, sharey=True)
    for axes, color, count in zip(panels, expert_colors(len(counts)), counts, strict=False):
        rate = 100.0 * by_size["train_mfu"].sel(num_experts=count).transpose("quantile", "n_dense").values
        ribbon(axes, width, *rate, color=color)
        if measured is not None:
            own = measured[(measured["num_experts"] > 1) == (count > 1)]
            axes.plot(own["d_model"], 100.0 * own["mfu"], ".", color=INK, markersize=3, alpha=0.4)
        axes.set_title(experts(int(count)), fontsize=8)
    for axes in panels[len(counts) :]:
        axes.set_visible(False)
    panels[0].set_xscale("log", base=2)
    panels[0].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panels[0].set_ylim(bottom=0.0)
    figure.supxlabel("width of the model, d_model", fontsize=9)
    figure.supylabel("MFU, % of the peak in bfloat16", fontsize=9)
    return figure
