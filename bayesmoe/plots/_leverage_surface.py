"""Efficiency leverage over activation ratio and granularity, and slices through it with bands."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator

from bayesmoe.plots._minima_by_budget import flop_label
from bayesmoe.plots.style import INK, budget_colors, new_panels, ribbon

_RATIOS, _GRANULARITIES = (1 / 2, 1 / 8, 1 / 32, 1 / 128), (4, 8, 16, 32)
_HEIGHTS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24)


def leverage_surface(found: xr.Dataset, *, granularity: float, activation_ratio: float, train_flop: float) -> Figure:
    """A map of the median at one compute; leverage by activation ratio at one granularity, and by granularity at one ratio, in their 90% bands.

    Parameters
    ----------
    found : Dataset
        ``leverage`` (a ratio of FLOP) by ``quantile``, ``activation_ratio``, ``granularity`` and ``train_flop``; ``published``, where known.
    granularity, activation_ratio, train_flop : float
        Where the slices and the map are taken: the nearest that there is.
    """
    figure, (surface, by_ratio, by_granularity) = new_panels(3, width=11.4, height=4.0)
    here = found["leverage"].sel(quantile=0.5).sel(train_flop=train_flop, method="nearest")
    ratios, grains = found["activation_ratio"].values, found["granularity"].values
    values = here.transpose("granularity", "activation_ratio").values
    for axes in (surface, by_ratio):
        _marked(axes.xaxis, _RATIOS, [_share(one) for one in _RATIOS])
        axes.set_xlabel("activation ratio")
        axes.set_xlim(ratios.max(), ratios.min())
    for axis in (surface.yaxis, by_granularity.xaxis):
        _marked(axis, _GRANULARITIES, [str(one) for one in _GRANULARITIES])
        axis.set_label_text("granularity, d_ff / d_expert")
    surface.grid(visible=False)
    surface.pcolormesh(ratios, grains, values, cmap="cividis", norm=LogNorm(), shading="gouraud", rasterized=True)
    lines = surface.contour(ratios, grains, values, levels=_HEIGHTS, colors="white", linewidths=0.9)
    for words in surface.clabel(lines, fmt=lambda height: f"{height:g}×", fontsize=9):
        words.set_path_effects([withStroke(linewidth=2, foreground=INK)])
    surface.set_title(f"leverage at {flop_label(float(here['train_flop']))}", fontsize=10)
    slices = (
        (by_ratio, "activation_ratio", found.sel(granularity=granularity, method="nearest")),
        (by_granularity, "granularity", found.sel(activation_ratio=activation_ratio, method="nearest")),
    )
    for axes, along, part in slices:
        for color, flop in zip(budget_colors(found.sizes["train_flop"]), found["train_flop"].values, strict=True):
            own = part.sel(train_flop=flop)
            band = own["leverage"].transpose("quantile", along).values
            ribbon(axes, own[along].values, *band, opacity=0.25, color=color, label=flop_label(flop))
            if "published" in own:
                axes.plot(own[along].values, own["published"].values, color=INK, linewidth=1, linestyle=":")
        axes.set_ylim(bottom=0.0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    by_ratio.set_title(f"at granularity {float(slices[0][2]['granularity']):.3g}", fontsize=10)
    by_granularity.set_title(f"at activation ratio {_share(float(slices[1][2]['activation_ratio']))}", fontsize=10)
    by_ratio.set_ylabel("efficiency leverage")
    handles, labels = by_ratio.get_legend_handles_labels()
    if "published" in found:
        handles += by_ratio.plot([], [], color=INK, linewidth=1, linestyle=":")
        labels.append("published coefficients")
    figure.legend(handles, labels, frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    return figure


def _share(ratio: float) -> str:
    nearest = Fraction(ratio).limit_denominator(256)
    return f"1/{nearest.denominator}" if np.isclose(float(nearest), ratio) and nearest.numerator == 1 else f"{ratio:.3g}"


def _marked(axis: Any, places: Sequence[float], words: Sequence[str]) -> None:
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_ticks(places, words)
    axis.set_minor_locator(NullLocator())
