"""Weights of laws as a table grows: what forward validation would have said after each level of training compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from scipy import stats

from bayesmoe.forecasting.forward_validation import distance_axes, forward_forecasts, training_compute
from bayesmoe.forecasting.weights import average_of, laws_of, prior_of, size_of
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.spec import FitSpec
from bayesmoe.progress import Progress
from bayesmoe.runs import RunTable
from bayesmoe.units import QUANTILES


def weights_by_scale(
    spec: FitSpec,
    table: RunTable,
    limits_flop: Sequence[float],
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> xr.Dataset:
    """Weights of the laws of a spec's average from the runs up to each limit of training compute (``6 N tokens``, FLOP, rising) alone.

    Returns
    -------
    Dataset
        ``weight`` by ``law``, ``limit`` and ``quantile``: the weight, and a normal 90% band of its bootstrap standard deviation over splits, kept between 0
        and 1; NaN below two splits. ``runs`` by ``limit``, how many are seen.
    """
    size, names = size_of(spec, table.frame), laws_of(spec, table.frame)
    axes = distance_axes(table.frame, size)
    weight, spread = np.zeros((2, len(names), len(limits_flop)))
    forward: list[dict[str, dict[str, xr.Dataset]]] = [{} for _ in limits_flop]
    runs = [0] * len(limits_flop)
    for name in names:
        refits = Refits(with_law(spec, name, size), table)
        compute = training_compute(refits.frame, size)
        for place, limit in enumerate(limits_flop):
            # Rounding must not lose the runs at the limit itself.
            seen = compute <= limit * (1.0 + 1e-9)
            runs[place] = int(seen.sum())
            forward[place][name] = forward_forecasts(refits, seen, size, on_progress=on_progress)
    for place, of_limit in enumerate(forward):
        average = average_of(of_limit, axes, seed=spec.sampler.seed, prior=prior_of(spec))
        weight[:, place] = [average.weights[name] for name in names]
        spread[:, place] = [average.weight_sd[name] for name in names]
    away = stats.norm.ppf(QUANTILES)
    banded = np.clip(weight[..., None] + spread[..., None] * away, 0.0, 1.0)
    # The weight itself is known even where its spread is not.
    banded[..., 1] = weight
    return xr.Dataset(
        {"weight": (("law", "limit", "quantile"), banded), "runs": ("limit", runs)},
        coords={
            "law": list(names),
            "limit": ("limit", np.asarray(limits_flop, float), {"units": "FLOP"}),
            "quantile": list(QUANTILES),
        },
    )
