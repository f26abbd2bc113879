"""Passes of a run over its training data: distinct tokens of each run, and which runs repeat some."""

from __future__ import annotations

import pandas as pd

UNIQUE = "unique_tokens"
"""Column of the distinct tokens of a run."""

_ROUNDED = 1.01
"""Passes up to which a run counts as one of one epoch: tables round their tokens."""


def with_unique_tokens(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the distinct tokens of each run, ``tokens / epochs`` where that is what the table says; a run of which it says nothing has one epoch."""
    tokens = frame["tokens"]
    said = frame[UNIQUE] if UNIQUE in frame else pd.Series(float("nan"), index=frame.index)
    if "epochs" in frame:
        said = said.fillna(tokens / frame["epochs"].clip(lower=1.0))
    return frame.assign(**{UNIQUE: said.fillna(tokens).clip(upper=tokens)})


def repeats(frame: pd.DataFrame) -> pd.Series:
    """Whether each run passed over its tokens more than once, by its distinct tokens or epochs."""
    if "tokens" not in frame:
        return pd.Series(False, index=frame.index)
    return frame["tokens"] > _ROUNDED * with_unique_tokens(frame)[UNIQUE]
