"""Loss on the training budget by expert count."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import risk_of
from bayesmoe.plots.style import (
    LOSS_OPTIMUM,
    banded,
    beside,
    expert_axis,
    look_of,
    new_figure,
)


def loss_by_experts(plan: xr.Dataset) -> Figure:
    """Medians and 90% bands of the lowest loss on the budget and of each problem's loss.

    Parameters
    ----------
    plan : Dataset
        A plan, or its :func:`~bayesmoe.decisions.risk.risk`: ``loss_optimal_loss`` and ``loss`` by ``quantile`` and ``num_experts``, nats per token.
    """
    risk = risk_of(plan)
    figure, axes = new_figure()
    positions = expert_axis(axes, risk["num_experts"].values.tolist())
    series = {LOSS_OPTIMUM: risk["loss_optimal_loss"]}
    series |= {str(name): risk["loss"].sel(problem=name) for name in risk["problem"].values if name != LOSS_OPTIMUM}
    for i, (name, values) in enumerate(series.items()):
        low, median, high = (values.isel(quantile=q).values for q in range(3))
        x = [p + beside(len(series), i) for p in positions]
        banded(axes, x, low, median, high, **look_of(name))
    axes.set_ylabel("loss, nats per token")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center")
    return figure
