"""Loss by expert count, training tokens and size."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe.plots.style import budget_colors, expert_axis, new_panels, ribbon
from bayesmoe.units import short


def loss_by_tokens(found: xr.Dataset) -> Figure:
    """One panel a size: median loss by expert count in its 90% band, one color a token count; rings are runs.

    Parameters
    ----------
    found : Dataset
        ``loss`` by ``quantile``, ``n_dense``, ``tokens`` and ``num_experts``, nats per token; ``observed``, the runs' own there.
    """
    figure, panels = new_panels(found.sizes["n_dense"], sharey=True)
    colors = budget_colors(found.sizes["tokens"])
    for axes, size in zip(panels, found["n_dense"].values, strict=True):
        positions = expert_axis(axes, found["num_experts"].values.tolist())
        for color, tokens in zip(colors, found["tokens"].values, strict=True):
            own = found.sel(n_dense=size, tokens=tokens)
            ribbon(
                axes,
                positions,
                *own["loss"].transpose("quantile", ...).values,
                color=color,
                label=f"{short(tokens)} tokens",
            )
            if np.isfinite(own["observed"]).any():
                axes.plot(positions, own["observed"], "o", markersize=5, color=color, markerfacecolor="white")
        axes.set_xlim(-0.4, len(positions) - 0.6)
        axes.set_title(f"{short(size)} backbone parameters", fontsize=10)
    panels[0].set_ylabel("loss, nats per token")
    handles, labels = panels[0].get_legend_handles_labels()
    (ring,) = panels[0].plot([], [], "o", markersize=5, color="#6b6b6b", markerfacecolor="white")
    figure.legend([*handles, ring], [*labels, "runs"], frameon=False, fontsize=9, ncols=5, loc="outside lower center")
    return figure
