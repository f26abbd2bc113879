"""How forecasts of larger runs from smaller ones have done: of the fit's own average, and of a backtest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from bayesmoe.documents.backtest import BacktestDocument
from bayesmoe.errors import InputError
from bayesmoe.inference.spec import AVERAGE
from bayesmoe.inference.store import FitInfo
from bayesmoe.reporting import text
from bayesmoe.units import percent

_LEVEL = "0.9"


def own_coverage(fit: xr.DataTree) -> str:
    """What the fit's own forward validation says, or that there was none."""
    if AVERAGE not in fit.children:
        return text.NO_FORECASTS
    forward = FitInfo.read(fit).forward
    return text.own_coverage(forward.coverage if forward else {})


def read_backtest(path: str | Path) -> list[dict[str, Any]]:
    """Backtests of a document that ``bayesmoe backtest --json`` printed.

    Raises
    ------
    InputError
        The file is missing, or no such document.
    """
    hint = "make it with `bayesmoe backtest ... --json > backtest.json`"
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("no such file", file=path, hint=hint) from error
    except (OSError, ValueError) as error:
        raise InputError("is not JSON", file=path, hint=hint) from error
    stamp = BacktestDocument.stamp()
    if not (isinstance(found, dict) and stamp.items() <= found.items()):
        rule = f"is not a {stamp['schema']} document of version {stamp['schema_version']}"
        raise InputError(rule, file=path, hint=hint)
    return found["backtests"]


def forecast_rows(backtests: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for each forecaster of each backtest."""
    return [
        {
            "held_out": f"{each['held_out']} ({len(each['runs'])} runs)",
            "forecaster": forecaster,
            "coverage": percent(score["coverage"][_LEVEL]),
            "bias": f"{100 * score['bias_ln']:+.1f}%",
            "crps": f"{score['crps_nats_per_token']:.4f}",
        }
        for each in backtests
        for forecaster, score in each["forecasts"].items()
    ]
