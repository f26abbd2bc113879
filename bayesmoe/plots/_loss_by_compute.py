"""Runs, and where the recommended design lies beyond them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import INK, MUTED, decades, decimal, expert_colors, hover, look_of, new_figure, ribbon
from bayesmoe.units import experts, short


def loss_by_compute(found: xr.Dataset) -> Figure:
    """Loss against training compute: the runs, the law's band for the recommended design grown to its size, and the loss it has to reach.

    Parameters
    ----------
    found : Dataset
        From :func:`~bayesmoe.curves.by_compute.loss_by_compute`: ``loss`` by ``train_flop`` and ``quantile``; ``run_loss``, ``run_num_experts`` and ``run_flop`` by
        ``run``; ``threshold`` by ``quantile``, NaN where the problem bounds no loss. Nats per token and FLOP.
    """
    look, count = look_of(found.attrs["problem"]), found.attrs["num_experts"]
    figure, axes = new_figure()
    low, median, high = found["loss"].transpose("quantile", "train_flop").values
    flop = found["train_flop"].values
    ribbon(axes, flop, low, median, high, color=look["color"], label=f"{experts(count)}, law")
    counts = sorted({int(one) for one in found["run_num_experts"].values})
    colors = dict(zip(counts, expert_colors(len(counts)), strict=True))
    for one in counts:
        own = found.isel(run=np.flatnonzero(found["run_num_experts"].values == one))
        (dots,) = axes.plot(own["run_flop"], own["run_loss"], ".", color=colors[one], markersize=5, alpha=0.8)
        rows = zip(own["run"].values, own["run_loss"].values, own["run_flop"].values, strict=True)
        hover(dots, [f"run {name}, {experts(one)}: {loss:.4g} at {used:.3g} FLOP" for name, loss, used in rows])
    (star,) = axes.plot(
        flop[-1], median[-1], linestyle="none", marker="*", markersize=13, color=look["color"], markeredgecolor="white",
        label="recommended design" if found.attrs["recommended"] else "closest design",
    )  # fmt: skip
    hover(star, [f"{experts(count)}: {median[-1]:.4g} ({low[-1]:.4g} to {high[-1]:.4g}) at {flop[-1]:.3g} FLOP"])
    least, middle, most = found["threshold"].values
    if np.isfinite(middle):
        axes.axhspan(least, most, color=MUTED, alpha=0.15, linewidth=0)
        axes.axhline(middle, color=INK, linewidth=1, linestyle="--", label="loss to reach")
    decades(axes.xaxis, lambda value: f"{value:.0e}".replace("e+", "e"))
    axes.yaxis.set_major_formatter(lambda value, _: decimal(value))
    axes.set_xlabel("training compute, FLOP")
    axes.set_ylabel("loss, nats per token")
    if np.isfinite(beyond := flop[-1] / float(found["run_flop"].max())):
        said = f"{short(beyond)} times the compute of the largest run" if beyond > 1 else "within the runs"
        axes.set_title(said, fontsize=10)
    figure.legend(frameon=False, fontsize=8, ncols=3, columnspacing=1.0, handlelength=1.4, loc="outside lower center")
    return figure
