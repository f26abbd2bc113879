"""Over-training ratio by expert count."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import risk_of
from bayesmoe.plots.style import MUTED, banded, beside, expert_axis, look_of, new_figure


def over_training(plan: xr.Dataset) -> Figure:
    """Medians and 90% bands of tokens chosen over loss-optimal tokens, one color a problem.

    Parameters
    ----------
    plan : Dataset
        A plan, or its :func:`~bayesmoe.decisions.risk.risk`: ``over_training_ratio`` by ``problem``, ``num_experts`` and ``quantile``.
    """
    risk = risk_of(plan)
    figure, axes = new_figure()
    positions = expert_axis(axes, risk["num_experts"].values.tolist())
    for i, name in enumerate(str(name) for name in risk["problem"].values):
        low, median, high = (risk["over_training_ratio"].sel(problem=name).isel(quantile=q).values for q in range(3))
        x = [p + beside(risk.sizes["problem"], i) for p in positions]
        banded(axes, x, low, median, high, **look_of(name))
    axes.axhline(1.0, color=MUTED, linewidth=1, linestyle="--")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_ylabel("tokens / loss-optimal tokens")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center")
    return figure
