"""What the best design of each expert count costs in all."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.errors import InputError
from bayesmoe.planning.scenario import DEMAND_HINT
from bayesmoe.plots._statistics import of_problem, risk_of
from bayesmoe.plots.style import INK, MUTED, expert_axis, hover, new_figure
from bayesmoe.units import experts, short

_TRAINING, _SERVING = "#8c6d1f", "#56b4e9"


def total_cost(plan: xr.Dataset, problem: str | None = None) -> Figure:
    """Expected cost of training and of serving the demand, stacked, with the 90% band of their sum, by expert count.

    Parameters
    ----------
    plan : Dataset
        A plan whose scenario gives a demand, or its :func:`~bayesmoe.decisions.risk.risk`: ``design_mean_cost`` and ``design_mean_train_usd`` by ``problem``
        and ``num_experts``, ``design_lifetime_usd`` by ``quantile`` too, USD; ``closest`` by ``problem``.
    problem : str, optional
        Which problem; the scenario's goal where it is left out.

    Raises
    ------
    InputError
        The plan's scenario gives no demand.
    """
    part = of_problem(risk_of(plan), problem)
    if "design_lifetime_usd" not in part:
        raise InputError("is needed for the total cost", column="serving.lifetime_tokens", hint=DEMAND_HINT)
    counts = part["num_experts"].values.tolist()
    figure, axes = new_figure()
    positions = expert_axis(axes, counts)
    training, total = part["design_mean_train_usd"].values, part["design_mean_cost"].values
    below = np.zeros(len(counts))
    for label, color, heights in (("training", _TRAINING, training), ("serving", _SERVING, total - training)):
        bars = axes.bar(positions, heights, 0.62, bottom=below, color=color, label=label)
        for bar, count, usd in zip(bars, counts, heights, strict=True):
            hover(bar, [f"{experts(count)}: {label} USD {short(usd)}, expected"])
        below = below + np.nan_to_num(heights)
    low, _, high = part["design_lifetime_usd"].transpose("quantile", "num_experts").values
    axes.vlines(positions, low, high, color=INK, linewidth=1.6)
    sure = part["design_meets_probability"].values
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    axes.set_xticks(positions, [name if kept else f"({name})" for name, kept in zip(names, sure, strict=True)])
    top = float(np.nanmax(high)) if np.isfinite(high).any() else 1.0
    at = counts.index(int(part["closest"]))
    axes.plot(positions[at], high[at] + 0.05 * top, marker="*", markersize=12, color=MUTED, markeredgecolor="white")
    axes.set_ylim(0.0, 1.12 * top)
    axes.yaxis.set_major_formatter(lambda usd, _: short(usd, 3))
    axes.set_ylabel("cost in all, USD")
    figure.legend(frameon=False, fontsize=9, ncols=2, loc="outside lower center")
    return figure
