"""How the fit meets its runs: residuals against observations."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import predictive_of
from bayesmoe.plots.style import MUTED, expert_colors, hover, new_figure
from bayesmoe.units import experts


def fit_to_runs(fit: xr.DataTree | xr.Dataset) -> Figure:
    """Residual of each run with the 90% band of its posterior predictive, against what was observed.

    Parameters
    ----------
    fit : DataTree or Dataset
        A fit, or its :func:`~bayesmoe.criticism.predictive.predictive_check`: ``residual``, ``band_low`` and ``band_high`` (shares
        of the prediction), ``observed`` (with its units) and, where known, ``num_experts`` by ``run``.
    """
    predictive = predictive_of(fit)
    figure, axes = new_figure()
    order = predictive.sortby("observed")
    axes.fill_between(
        order["observed"],
        100 * order["band_low"],
        100 * order["band_high"],
        color="#0072b2",
        alpha=0.15,
        linewidth=0,
        label="90% band",
    )
    known = "num_experts" in predictive
    experts_of_run = predictive["num_experts"].values if known else np.zeros(predictive.sizes["run"])
    counts = sorted({int(e) for e in experts_of_run})
    colors = expert_colors(len(counts))
    for i, count in enumerate(counts):
        here = experts_of_run == count
        (line,) = axes.plot(
            predictive["observed"].values[here],
            100 * predictive["residual"].values[here],
            marker="o",
            markersize=3.5,
            linestyle="none",
            color=colors[i],
            label=experts(count) if known else "runs",
        )
        said = [
            f"run {run}: observed {seen:.4g}, {100 * off:+.2g}%"
            for run, seen, off in zip(
                predictive["run"].values[here],
                predictive["observed"].values[here],
                predictive["residual"].values[here],
                strict=True,
            )
        ]
        hover(line, said)
    axes.axhline(0.0, color=MUTED, linewidth=1)
    name, unit = (predictive["observed"].attrs[key] for key in ("long_name", "units"))
    axes.set_xlabel(f"observed {name}, {unit.replace('/', ' per ')}" if unit != "1" else f"observed {name}")
    axes.set_ylabel(f"observed − predicted, % of {name}")
    figure.legend(frameon=False, fontsize=8, ncols=min(4, len(counts) + 1), loc="outside lower center")
    return figure
