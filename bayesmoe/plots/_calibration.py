"""Calibration of a backtest: how often bands of every width held what came."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import OKABE_ITO, new_figure

_LINES = ("-", "--", "-.", ":")


def calibration(found: xr.Dataset) -> Figure:
    """Coverage by nominal level, one line a forecaster; on the diagonal a forecast is calibrated, in the gray band it may be.

    Parameters
    ----------
    found : Dataset
        ``coverage`` by ``forecaster`` and ``level``, ``by_chance`` by ``level`` and ``quantile``, shares; the number of ``runs`` as attribute.
    """
    figure, axes = new_figure(width=5.2, height=5.2)
    level = 100 * found["level"].values
    low, _, high = 100 * found["by_chance"].transpose("quantile", "level").values
    axes.fill_between(level, low, high, color="#6b6b6b", alpha=0.2, linewidth=0, label="90% by chance")
    axes.plot([0, 100], [0, 100], color="#6b6b6b", linewidth=1)
    for i, name in enumerate(found["forecaster"].values):
        axes.plot(
            level,
            100 * found["coverage"].sel(forecaster=name),
            color=OKABE_ITO[i % len(OKABE_ITO)],
            linestyle=_LINES[i % len(_LINES)],
            linewidth=1.8,
            label=str(name),
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 101)
    axes.set_aspect("equal")
    axes.set_xlabel("nominal level of the central interval, %")
    axes.set_ylabel(f"share of {found.attrs['runs']} held-out runs inside, %")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return figure
