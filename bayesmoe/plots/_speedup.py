"""Effective speedup of one recipe over another along training compute."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import INK, MUTED, OKABE_ITO, banded, decades, decimal, new_figure, ribbon

_MOST = 1e3
"""Speedups beyond, infinite ones too, are drawn at the edge."""


def speedup(found: xr.Dataset) -> Figure:
    """Speedup against training compute: median, 50 and 90% bands, the runs that both have, and the budgets asked.

    Parameters
    ----------
    found : Dataset
        From :func:`~bayesmoe.decisions.speedup.speedup`: ``curve`` by ``curve_flop`` and ``quantile``, ``speedup`` by ``budget``; FLOP.
    """
    figure, axes = new_figure()
    color, said = OKABE_ITO[0], found.attrs
    curve = np.clip(found["curve"].transpose("quantile", "curve_flop").values, 1.0 / _MOST, _MOST)
    flop = found["curve_flop"].values
    ribbon(axes, flop, curve[0], curve[3], curve[-1], color=color, label="median, 50 and 90% of draws")
    axes.fill_between(flop, curve[2], curve[4], color=color, alpha=0.25, linewidth=0)
    rows = found["speedup"].transpose("quantile", "budget").values.clip(1.0 / _MOST, _MOST)
    budgets = found["train_flop"].values
    banded(axes, budgets, rows[0], rows[3], rows[-1], color=OKABE_ITO[1], marker="o", label="budgets")
    low = max(said["runs_flop_of"][0], said["runs_flop_over"][0])
    high = min(said["runs_flop_of"][1], said["runs_flop_over"][1])
    if low < high:
        axes.axvspan(low, high, color=MUTED, alpha=0.12, linewidth=0, label="runs of both")
    axes.axhline(1.0, color=INK, linewidth=1)
    if said["threshold"] != 1.0:
        axes.axhline(said["threshold"], color=MUTED, linewidth=1, linestyle="--", label="threshold")
    axes.set_xscale("log")
    # A band that reaches infinity would leave no room for the rest.
    axes.set_ylim(min(0.8, 0.9 * curve[0].min()), min(max(1.25, 1.1 * curve[-1].max()), 8.0 * max(curve[3].max(), 1.0)))
    decades(axes.yaxis, lambda value: f"{decimal(value)}×")
    axes.set_xlabel("training compute, FLOP")
    axes.set_ylabel("speedup")
    # A dollar sign in a name begins no formula.
    axes.set_title(f"{said['of']} over {said['over']}: {said['verdict']}".replace("$", r"\$"), fontsize=10)
    figure.legend(frameon=False, fontsize=8, ncols=2, loc="outside lower center")
    return figure
