"""Coverage and bias of forecasts by extrapolation distance."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import new_panels

_COLORS = ("#0072b2", "#56b4e9", "#d55e00", "#6b6b6b")
_MARKERS = ("o", "v", "s", "D")


def forward_validation(found: xr.Dataset) -> Figure:
    """Two panels: share of runs inside the 90% band, and bias, by distance; one color a forecaster.

    Parameters
    ----------
    found : Dataset
        ``coverage`` (share) and ``bias`` (mean of ln observed over median forecast) by ``forecaster`` and ``distance``, labels of the
        training compute over the largest seen; ``runs`` by ``distance``.
    """
    figure, (left, right) = new_panels(2)
    places = np.arange(found.sizes["distance"])
    for i, name in enumerate(found["forecaster"].values):
        here, shifted = found.sel(forecaster=name), places + 0.12 * (i - 1.5)
        style = {"color": _COLORS[i % 4], "marker": _MARKERS[i % 4], "linewidth": 1.2, "markersize": 6}
        left.plot(shifted, 100 * here["coverage"], label=str(name), **style)
        right.plot(shifted, 100 * here["bias"], **style)
    left.axhline(90.0, color="#6b6b6b", linewidth=1, linestyle="--")
    left.set_ylim(0, 104)
    left.set_ylabel("runs inside the 90% band, %")
    right.axhline(0.0, color="#6b6b6b", linewidth=1, linestyle="--")
    right.set_ylabel("observed over forecast, %")
    for axes in (left, right):
        labels = [
            f"{label}\n{int(runs)} runs" for label, runs in zip(found["distance"].values, found["runs"].values, strict=True)
        ]
        axes.set_xticks(places, labels)
        axes.set_xlabel("training compute over the largest seen")
        axes.grid(visible=False, axis="x")
    figure.legend(frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    return figure
