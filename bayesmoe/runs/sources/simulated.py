"""Run tables that the project simulated itself and ships in ``datasets/``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def yun_grid(raw: Mapping[str, Path]) -> pd.DataFrame:
    """Ludziejewski's published law on Yun's grid of runs, as ``datasets/make_simulated_yun_grid.py`` wrote it."""
    return pd.read_csv(raw["runs"])
