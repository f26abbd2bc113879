"""What each candidate run would be worth, against what it costs."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import MUTED, expert_colors, hover, new_figure
from bayesmoe.units import experts


def next_run_value(runs: xr.Dataset) -> Figure:
    """Worth of each run over its cost, one color an expert count; lines are two standard errors. Above the diagonal a run pays.

    Parameters
    ----------
    runs : Dataset
        From :func:`~bayesmoe.decisions.next_run.next_runs`: ``train_usd``, ``evsi_usd``, ``evsi_se_usd`` and ``num_experts`` by ``run``; ``evpi_usd``.
    """
    figure, axes = new_figure(height=3.6)
    counts = sorted({int(count) for count in runs["num_experts"].values})
    colors = dict(zip(counts, expert_colors(len(counts)), strict=True))
    for place, count in enumerate(counts):
        own = runs.isel(run=np.flatnonzero(runs["num_experts"].values == count))
        x, y, error = (own[name].values for name in ("train_usd", "evsi_usd", "evsi_se_usd"))
        # Runs of one level of compute cost the same: side by side all of them are seen.
        x = x * 1.06 ** (place - (len(counts) - 1) / 2)
        axes.vlines(x, np.maximum(y - 2 * error, 0.0), y + 2 * error, color=colors[count], alpha=0.4, linewidth=1.6)
        (line,) = axes.plot(
            x,
            y,
            "o",
            color=colors[count],
            markersize=6,
            markeredgecolor="white",
            label=experts(count),
        )
        hover(
            line,
            [
                f"{experts(count)}, {size:.3g} backbone, {tokens:.3g} tokens: worth USD {worth:,.0f}, costs USD {paid:,.0f}"
                for size, tokens, worth, paid in zip(
                    *(own[name].values for name in ("n_dense", "tokens", "evsi_usd", "train_usd")), strict=True
                )
            ],
        )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    top = 1.15 * float((runs["evsi_usd"] + 2 * runs["evsi_se_usd"]).max()) or 1.0
    costs = np.geomspace(low, high, 200)
    axes.plot(costs, costs, color=MUTED, linestyle="--", linewidth=1)
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_xticks(np.unique(runs["train_usd"].values.round(6)))
    axes.set_xlim(low, high)
    # Runs that are worth nothing are seen whole.
    axes.set_ylim(-0.02 * top, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value / 1e3:.3g}k" if value >= 1e3 else f"{value:.3g}")
    axes.set_xlabel("cost of the run, USD")
    axes.set_ylabel("worth to the plan, USD")
    axes.set_title(f"knowing everything: USD {float(runs['evpi_usd']):,.0f}; dashed: worth its cost", fontsize=9)
    figure.legend(frameon=False, fontsize=8, ncols=min(len(counts), 4), loc="outside lower center")
    return figure
