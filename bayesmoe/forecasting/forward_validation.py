"""Forward validation: which parts of a table to fit, which larger runs to forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.architecture import train_flop
from bayesmoe.inference.refits import Refits
from bayesmoe.progress import Progress
from bayesmoe.runs.levels import levels

_MANY_LEVELS = 9
_LARGEST_SHARES = (0.15, 0.35)
_LARGEST_BUDGETS = (0.15, 0.35, 0.6)
_LEAST_SEEN, _LEAST_ASKED, _LEAST_LEVELS = 8, 2, 2


@dataclass(frozen=True)
class Split:
    """A part of a table to fit, and the runs beyond it.

    Attributes
    ----------
    name : str
        Along what, and how much is held out.
    seen, asked : array of bool, shape (n,)
        Runs to fit, and runs to predict.
    """

    name: str
    seen: np.ndarray
    asked: np.ndarray


def axes_of(frame: pd.DataFrame, size: str) -> tuple[str, ...]:
    """Covariates that vary in a table: those of size, tokens and experts with at least two levels."""
    return tuple(
        name for name in distance_axes(frame, size) if len(np.unique(levels(frame[name].to_numpy(float)))) >= _LEAST_LEVELS
    )


def distance_axes(frame: pd.DataFrame, size: str) -> tuple[str, ...]:
    """Covariates along which a plan may leave a table, whether they vary in it or not: those of size, tokens and experts that it has."""
    return tuple(name for name in (size, "tokens", "num_experts") if name in frame and frame[name].notna().all())


def training_compute(frame: pd.DataFrame, size: str) -> np.ndarray:
    """``6 N tokens`` of each run in FLOP, shape (n,); of one token each where tokens are not known, so that size alone orders runs."""
    tokens = frame["tokens"].to_numpy(float) if has_tokens(frame) else 1.0
    return train_flop(frame[size].to_numpy(float), tokens)


def has_tokens(frame: pd.DataFrame) -> bool:
    """Whether a table says of every run how many tokens it was trained on."""
    return "tokens" in frame and bool(frame["tokens"].notna().all())


def splits(frame: pd.DataFrame, seen: np.ndarray, axes: tuple[str, ...], size: str) -> tuple[Split, ...]:
    """Splits inside the runs seen, a mask of shape (n,): along each of :func:`axes_of`, and along training compute.

    An axis of few levels loses its largest, then its two largest; one of many loses the largest 15% and 35% of its runs. Training
    compute ``size * tokens`` loses 15%, 35% and 60% where both vary. Each split has at least eight runs to fit and two to predict.
    """
    candidates = []
    for axis in axes:
        value = np.log(frame[axis].to_numpy(float))
        level = levels(frame[axis].to_numpy(float))
        seen_levels = np.unique(level[seen])
        if len(seen_levels) <= _MANY_LEVELS:
            few = [count for count in (1, 2) if len(seen_levels) - count >= _LEAST_LEVELS]
            candidates += [(f"{axis}: largest {count}", level < seen_levels[-count]) for count in few]
        else:
            candidates += [(f"{axis}: largest {share:.0%}", _below(value, seen, share)) for share in _LARGEST_SHARES]
    if size in axes and "tokens" in axes:
        budget = np.log(training_compute(frame, size))
        candidates += [(f"budget: largest {share:.0%}", _below(budget, seen, share)) for share in _LARGEST_BUDGETS]
    made = (Split(name, seen & smaller, seen & ~smaller) for name, smaller in candidates)
    return tuple(split for split in made if split.seen.sum() >= _LEAST_SEEN and split.asked.sum() >= _LEAST_ASKED)


def _below(value: np.ndarray, seen: np.ndarray, share: float) -> Any:
    return value < np.quantile(value[seen], 1.0 - share)


def forward_forecasts(
    refits: Refits, seen: np.ndarray, size: str, *, near: np.ndarray | None = None, on_progress: Callable[[Progress], None]
) -> dict[str, xr.Dataset]:
    """Forecasts of a law at every split inside the runs seen: by split, what :meth:`bayesmoe.inference.refits.Refits.fit` predicts.

    ``near``, shape (entry,), is a mode of the fit to all runs seen; that of the first split where it is not given.
    """
    forecasts, axes = {}, distance_axes(refits.frame, size)
    made = splits(refits.frame, seen, axes_of(refits.frame[seen], size), size)
    for done, split in enumerate(made):
        on_progress(Progress(f"{refits.law.name}: splits", done, len(made)))
        fit = refits.fit(split.seen, axes=axes, near=near)
        near = fit["mode"].values if near is None else near
        forecasts[split.name] = fit.isel(run=split.asked)
    on_progress(Progress(f"{refits.law.name}: splits", len(made), max(len(made), 1)))
    return forecasts
