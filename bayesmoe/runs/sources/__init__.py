"""Adapters from upstream files to run tables: one file per public source, one line here per table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from bayesmoe.runs.sources import clark2022, olmoe3, own_runs, simulated

ADAPTERS: dict[str, Callable[[Mapping[str, Path]], pd.DataFrame]] = {
    "clark2022": clark2022.final,
    "olmoe3-tuned": olmoe3.tuned,
    "olmoe3-full": olmoe3.full,
    "simulated-yun-grid": simulated.yun_grid,
    "bayesmoe-sweep": own_runs.sweep,
}
