"""Expected regret of every fixed option."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bayesmoe.plots._statistics import regret_of
from bayesmoe.plots.style import expert_axis, hover, look_of, new_figure
from bayesmoe.units import experts


def regret_map(plan: xr.Dataset, problem: str | None = None) -> Figure:
    """Options by expert count and size, colored by regret; rings are those that meet their constraints with the required probability, the star is the choice.

    Parameters
    ----------
    plan : Dataset
        A plan whose scenario gives a demand, or its :func:`~bayesmoe.decisions.total_cost.option_regret`: ``regret_usd``, ``n_dense``, ``sure`` and ``chosen`` by ``problem`` and ``option``; ``num_experts`` by ``option``.
    problem : str, optional
        Which problem; the first where it is left out.

    Raises
    ------
    InputError
        The plan's scenario gives no demand.
    """
    regret = regret_of(plan)
    problem = str(regret["problem"].values[0]) if problem is None else problem
    part = regret.sel(problem=problem)
    counts = [int(count) for count in dict.fromkeys(part["num_experts"].values)]
    figure, axes = new_figure(6.4, 4.4)
    positions = dict(zip(counts, expert_axis(axes, counts), strict=True))
    x = np.array([positions[int(count)] for count in part["num_experts"].values], dtype=float)
    size, value, sure = part["n_dense"].values, np.maximum(part["regret_usd"].values, 1.0), part["sure"].values
    shown = axes.scatter(
        x, size, c=value, norm=LogNorm(), cmap="cividis_r", s=70, zorder=2, edgecolors=np.where(sure, "#1b1b1b", "#ffffff")
    )
    rows = zip(part["num_experts"].values, size, part["regret_usd"].values, sure, strict=True)
    hover(
        shown,
        [
            f"{experts(count)}, {own:.3g} backbone: regret USD {usd:,.0f}{'' if keeps else ', below the required probability'}"
            for count, own, usd, keeps in rows
        ],
    )
    chosen = part["chosen"].values
    axes.scatter(x[chosen], size[chosen], marker="*", s=260, color="#d55e00", edgecolors="white", zorder=3)
    axes.set_yscale("log")
    axes.set_ylabel("backbone parameters")
    bar = figure.colorbar(shown, ax=axes)
    bar.set_label("expected regret, USD")
    bar.ax.yaxis.set_major_formatter(lambda usd, _: f"{usd:,.0f}")
    axes.set_title(look_of(problem)["label"], fontsize=10)
    return figure
