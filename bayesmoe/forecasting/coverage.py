"""How often bands of every width held what came, beside what chance alone allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import stats

from bayesmoe.forecasting.backtest import Backtest
from bayesmoe.forecasting.scores import inside
from bayesmoe.units import QUANTILES

STEPS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Central intervals from 5% to 95%."""


def coverage_by_level(
    backtest: Backtest, *, forecasters: Sequence[str] | None = None, levels: Sequence[float] = STEPS
) -> xr.Dataset:
    """Share of the runs held out that lay in a forecast's central interval, by the interval's nominal level.

    Returns
    -------
    Dataset
        ``coverage`` by ``forecaster`` (all of the backtest where none is named) and ``level``; ``by_chance`` by ``level`` and ``quantile``,
        the coverage that a perfect forecaster of so many independent runs would show: correlated errors would widen the band. The number
        of ``runs`` as attribute.
    """
    names = list(backtest.draws) if forecasters is None else list(forecasters)
    coverage = [[inside(backtest.draws[name], backtest.observed, level).mean() for level in levels] for name in names]
    runs = len(backtest.observed)
    by_chance = [[stats.binom.ppf(q, runs, level) / runs for q in QUANTILES] for level in levels]
    return xr.Dataset(
        {
            "coverage": (("forecaster", "level"), np.array(coverage)),
            "by_chance": (("level", "quantile"), np.array(by_chance)),
        },
        coords={"forecaster": names, "level": list(levels), "quantile": list(QUANTILES)},
        attrs={"runs": runs},
    )
