"""Weights of averaged laws as larger runs come in."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import OKABE_ITO, banded, beside, new_figure

_MARKERS = "osvPD^X*"


def law_weights(found: xr.Dataset) -> Figure:
    """Weight of each law with its 90% band, by the largest training compute seen; one color a law.

    Parameters
    ----------
    found : Dataset
        ``weight`` by ``law``, ``limit`` (FLOP) and ``quantile``; ``runs`` by ``limit``.
    """
    figure, axes = new_figure(6.4, 3.8)
    places = range(found.sizes["limit"])
    for i, name in enumerate(found["law"].values):
        low, median, high = found["weight"].sel(law=name).transpose("quantile", "limit").values
        x = [place + beside(found.sizes["law"], i) for place in places]
        look = {"color": OKABE_ITO[i % len(OKABE_ITO)], "marker": _MARKERS[i % len(_MARKERS)], "label": str(name)}
        banded(axes, x, low, median, high, **look)
    words = [
        f"{flop:.2g} FLOP\n{int(runs)} runs".replace("e+", "e")
        for flop, runs in zip(found["limit"].values, found["runs"].values, strict=True)
    ]
    axes.set_xticks(list(places), words)
    axes.set_xlabel("largest training compute seen")
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.set_ylabel("weight in the average")
    figure.legend(frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    return figure
