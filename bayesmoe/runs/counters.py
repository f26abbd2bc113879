"""Columns that count how far a run had come: steps, clocks, parts of a schedule."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesmoe.runs.finding import Sheet
from bayesmoe.runs.words import plain
from bayesmoe.tables import numbers_of

_COUNTERS = (
    "step", "global_step", "iteration", "iter", "iters", "train_step", "train_steps", "train_global_step", "trainer_global_step", "current_step",
    "num_updates", "updates", "epoch",
)  # fmt: skip
_STEPS = ("step", "iteration", "iter", "epoch")
_NO_COUNTERS = {
    "per",
    "max",
    "total",
    "num",
    "n",
    "planned",
    "tokens",
    "warmup",
    "time",
    "size",
    "decay",
    "accumulation",
    "eval",
    "last",
    "final",
}
CLOCKS = ("timestamp", "runtime", "wall_time", "elapsed", "relative_time", "time")
_PARTS = ("progress", "progress_pct", "percent", "percent_done", "fraction", "fraction_done", "train_progress")
_EVEN = 1e-6


def own_word(sheet: Sheet, name: str) -> str:
    """The file's name of a column without its path, in small letters and underscores."""
    return plain(sheet.own(name).rpartition("/")[2])


def is_counter(sheet: Sheet, name: str) -> bool:
    """Whether a column counts steps by its name: ``global_step``, ``ckpt_step``."""
    words = own_word(sheet, name).split("_")
    return "_".join(words) in _COUNTERS or (words[-1] in _STEPS and not set(words) & _NO_COUNTERS)


def order_of(own: str) -> int:
    """Rank of a counter's word, optimizer steps first."""
    return _COUNTERS.index(own) if own in _COUNTERS else len(_COUNTERS)


def counts(sheet: Sheet, name: str) -> bool:
    """Whether nearly all values are counts, and several."""
    if name not in sheet.frame:
        return False
    return bool((numbers_of(sheet.frame[name]) >= 0).mean() > 0.9) and sheet.frame[name].nunique() > 1


def progress_along(sheet: Sheet, runs: pd.Series) -> str | None:
    """The column that orders the rows of a run: what varies within runs, tokens first; a budget is the same in all its checkpoints."""
    others = [
        name
        for name in map(str, sheet.frame.columns)
        if is_counter(sheet, name) or own_word(sheet, name) in (*CLOCKS, *_PARTS)
    ]
    known = [name for name in dict.fromkeys(("tokens", "steps", *others)) if sheet.numbers(name).notna().any()]
    varies = [name for name in known if (sheet.numbers(name).groupby(runs).nunique() > 1).any()]
    return next(iter([*varies, *known]), None)


def is_even(steps: np.ndarray) -> bool:
    """Whether sorted steps are all of one length."""
    gaps = np.diff(steps)
    return bool((gaps > 0).all() and np.ptp(gaps) <= _EVEN * gaps.mean())
