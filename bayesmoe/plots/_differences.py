"""What another expert count would change: its best design against the recommended one, draw by draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import of_problem, risk_of
from bayesmoe.plots.style import MUTED, banded, decimal, expert_axis, look_of, new_panels
from bayesmoe.units import experts, short

_COST = {"lifetime_usd": "total cost, USD", "serving_usd_per_million_tokens": "serving cost, USD per M"}


def differences(plan: xr.Dataset, problem: str | None = None) -> Figure:
    """Loss and cost of the best design of every expert count less those of the recommended design, in the same draw.

    Parameters
    ----------
    plan : Dataset
        A plan, or its :func:`~bayesmoe.decisions.risk.risk`: ``design_loss_difference`` (nats per token) and ``design_cost_difference`` by ``problem``,
        ``num_experts`` and ``quantile``; ``closest`` by ``problem``; ``design_meets_probability``, without which a design is hollow.
    problem : str, optional
        Which problem; the scenario's goal where it is left out.
    """
    part = of_problem(risk_of(plan), problem)
    counts = part["num_experts"].values.tolist()
    figure, panels = new_panels(1, 4.6, 4.4, rows=2, sharex=True)
    cost = _COST["lifetime_usd" if "design_lifetime_usd" in part else "serving_usd_per_million_tokens"]
    for axes, name, label in zip(panels, ("loss", "cost"), ("loss, nats per token", cost), strict=True):
        positions = expert_axis(axes, counts)
        bands = part[f"design_{name}_difference"].transpose("quantile", "num_experts").values
        _paired(axes, positions, bands, part, label)
        axes.axhline(0.0, color=MUTED, linewidth=1, linestyle="--")
        axes.yaxis.set_major_formatter(lambda value, _: short(value, 3) if abs(value) >= 1e3 else decimal(value))
        axes.set_ylabel(label)
    panels[0].set_xlabel("")
    figure.suptitle(f"difference to {experts(int(part['closest']))}, draw by draw", fontsize=10)
    return figure


def _paired(axes: Any, positions: list[int], bands: np.ndarray, part: xr.Dataset, label: str) -> None:
    chosen = part["num_experts"].values == int(part["closest"])
    sure, look = part["design_meets_probability"].values, look_of(str(part["problem"].item()))
    x = np.asarray(positions)
    banded(axes, x[~chosen], *bands[:, ~chosen], **{**look, "label": label})
    hollow = ~chosen & ~sure
    axes.plot(
        x[hollow],
        bands[1, hollow],
        linestyle="none",
        marker=look["marker"],
        color=look["color"],
        markerfacecolor="white",
        markersize=6,
    )
    axes.plot(x[chosen], [0.0], marker="*", markersize=13, color=look["color"], markeredgecolor="white")
