"""ArviZ's trace, rank and prior-posterior plots of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import arviz_plots
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import OKABE_ITO


def trace(fit: xr.DataTree, names: Sequence[str]) -> Figure:
    """Draws of the named posterior variables, one color a chain."""
    return _figure(arviz_plots.plot_trace, fit, names)


def rank(fit: xr.DataTree, names: Sequence[str]) -> Figure:
    """Rank plots of the named posterior variables: lines inside the band when chains agree."""
    return _figure(arviz_plots.plot_rank, fit, names)


def prior_posterior(fit: xr.DataTree, names: Sequence[str]) -> Figure:
    """Prior and posterior densities of the named variables on one axis each."""
    return _figure(arviz_plots.plot_prior_posterior, fit, names)


def _figure(plot: Any, fit: xr.DataTree, names: Sequence[str]) -> Figure:
    rows = -(-len(names) // 4)
    collection = plot(
        fit,
        var_names=list(names),
        backend="matplotlib",
        col_wrap=4,
        color=list(OKABE_ITO),
        figure_kwargs={"figsize": (10, 2.3 * rows)},
    )
    figure = collection.viz["figure"].item()
    figure.set_layout_engine("constrained")
    return figure
