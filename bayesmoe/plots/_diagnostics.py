"""ArviZ's trace, rank and prior-posterior plots of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import arviz_plots
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import shown_parameters
from bayesmoe.plots.style import OKABE_ITO, shown_once


def trace(fit: xr.DataTree, names: Sequence[str] | None = None) -> Figure:
    """Draws of posterior variables, one color a chain.

    Parameters
    ----------
    fit : DataTree
        A fit; of an average, the law of the largest weight is shown.
    names : sequence of str, optional
        Variables; those that were sampled, where they are left out.
    """
    return _figure(arviz_plots.plot_trace, fit, names)


def rank(fit: xr.DataTree, names: Sequence[str] | None = None) -> Figure:
    """Rank plots of posterior variables: lines inside the band when chains agree. Arguments are those of :func:`trace`."""
    return _figure(arviz_plots.plot_rank, fit, names)


def prior_posterior(fit: xr.DataTree, names: Sequence[str] | None = None) -> Figure:
    """Prior and posterior densities of variables on one axis each. Arguments are those of :func:`trace`."""
    return _figure(arviz_plots.plot_prior_posterior, fit, names)


def _figure(plot: Any, fit: xr.DataTree, names: Sequence[str] | None) -> Figure:
    shown, names = shown_parameters(fit, names)
    rows = -(-len(names) // 4)
    collection = plot(
        shown,
        var_names=names,
        backend="matplotlib",
        col_wrap=4,
        color=list(OKABE_ITO),
        figure_kwargs={"figsize": (10, 2.3 * rows)},
    )
    figure = collection.viz["figure"].item()
    figure.set_layout_engine("constrained")
    return shown_once(figure)
