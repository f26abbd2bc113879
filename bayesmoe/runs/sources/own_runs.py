"""Run tables that the project trained itself and ships in ``datasets/``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def sweep(raw: Mapping[str, Path]) -> pd.DataFrame:
    """The sweep's runs, as ``datasets/make_bayesmoe_sweep.py`` wrote them."""
    return pd.read_csv(raw["runs"])
