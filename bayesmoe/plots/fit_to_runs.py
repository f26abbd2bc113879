"""How the fit meets its runs: residuals against observed loss."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import expert_colours, new_figure


def fit_to_runs(predictive: xr.Dataset) -> Figure:
    """Residual of each run with the 90% band of its posterior predictive, against loss.

    Parameters
    ----------
    predictive : Dataset
        ``residual``, ``band_low`` and ``band_high`` (shares of the predicted loss), ``loss`` (nats per token) and
        ``num_experts`` by ``run``.
    """
    figure, axes = new_figure()
    order = predictive.sortby("loss")
    axes.fill_between(
        order["loss"],
        100 * order["band_low"],
        100 * order["band_high"],
        color="#0072b2",
        alpha=0.15,
        linewidth=0,
        label="90% band",
    )
    counts = sorted({int(e) for e in predictive["num_experts"].values})
    colours = expert_colours(len(counts))
    for i, experts in enumerate(counts):
        here = predictive["num_experts"].values == experts
        axes.plot(
            predictive["loss"].values[here],
            100 * predictive["residual"].values[here],
            marker="o",
            markersize=3.5,
            linestyle="none",
            color=colours[i],
            label="dense" if experts == 1 else f"{experts} experts",
        )
    axes.axhline(0.0, color="#6b6b6b", linewidth=1)
    axes.set_xlabel("observed loss, nats per token")
    axes.set_ylabel("observed − predicted, % of loss")
    figure.legend(frameon=False, fontsize=8, ncols=min(5, len(counts) + 1), loc="outside lower center")
    return figure
