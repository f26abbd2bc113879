"""Losses in bits as losses in nats, by the name of their column or by a perplexity beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayesmoe.runs.columns import with_columns
from bayesmoe.runs.finding import Finding
from bayesmoe.runs.words import BITS_PER_BYTE, PERPLEXITY, plain
from bayesmoe.tables import numbers_of

_IN_BITS = {"bits", "bit", "bpt", "log2", "base2", "shannon"}
_UNIT = re.compile(r"(.+?)(?:_in)?_(?:nats?|bits?|log2|base2)(?:_per_(?:token|tok))?")
_LEAST_RUNS, _SAME, _NEAR = 3, 1e-3, 0.1


def without_loss_unit(name: str) -> str:
    """A loss's plain name without the unit that it ends in: ``val_loss_bits`` is ``val_loss``."""
    found = _UNIT.fullmatch(name)
    return found[1] if found else name


def in_nats(frame: pd.DataFrame, names: Mapping[str, str]) -> tuple[pd.DataFrame, list[str], list[Finding]]:
    """Losses in nats per token, ``ln 2`` times those in bits per token, with what was read so.

    Parameters
    ----------
    frame : DataFrame
        Under our names.
    names : mapping of str to str
        Ours to the file's own.
    """
    if "loss" not in frame:
        return frame, [], []
    own, loss = names.get("loss", "loss"), numbers_of(frame["loss"])
    if loss.isna().all():
        return frame, [], []
    why = _by_name(own) or _by_perplexity(frame, loss)
    if why is None:
        return frame, [], []
    nats = loss * math.log(2.0)
    rows = loss.index[loss.notna()]
    finding = Finding(
        kind="bits per token",
        severity="look",
        rule=f"is in bits per token, {why}: multiplied by ln 2 ({loss[rows[0]]:g} becomes {nats[rows[0]]:.4f} nats per token)",
        hint="write nats per token, or give the column another name if it already holds these",
        column=own,
    )
    # What the user writes over the file's own name means the file's own numbers.
    frame = with_columns(frame, {"loss": nats} | ({own: frame["loss"]} if own != "loss" else {}))
    return frame, [f"loss = ln 2 {own}, {why}"], [finding]


def _by_name(own: str) -> str | None:
    word = plain(own)
    if any(unit in word for unit in BITS_PER_BYTE) or not set(word.split("_")) & _IN_BITS:
        return None
    return "by its name"


def _by_perplexity(frame: pd.DataFrame, loss: pd.Series) -> str | None:
    known = loss.index[loss.notna()]
    if loss[known].nunique() < _LEAST_RUNS:
        return None
    with np.errstate(over="ignore"):
        power = np.exp2(loss)
    few = frame.loc[known[:3]]
    for other in map(str, frame.columns):
        # A few rows tell most columns apart.
        for rows, looked_at in ((known[:3], few), (known, frame)):
            beside = numbers_of(looked_at[other].loc[rows])
            both = beside.notna()
            if other == "loss" or both.sum() < min(len(rows), _LEAST_RUNS):
                break
            if not np.isclose(power[rows][both], beside[both], rtol=_SAME).all():
                break
        else:
            return f"for {other} is 2 to its power"
    return _by_perplexity_of_other_text(frame, loss[known])


def _by_perplexity_of_other_text(frame: pd.DataFrame, loss: pd.Series) -> str | None:
    """The logarithm of a perplexity, such as that of training, lies near a loss in nats, and near ln 2 times one in bits."""
    for other in map(str, frame.columns):
        if not set(plain(other).split("_")) & {*PERPLEXITY}:
            continue
        beside = numbers_of(frame[other]).loc[loss.index]
        with np.errstate(all="ignore"):
            ratio = np.log(beside) / (loss * math.log(2.0))
        if ratio.notna().sum() >= _LEAST_RUNS and (abs(ratio.dropna() - 1.0) < _NEAR).all():
            return f"for the logarithm of {other} lies near ln 2 times it, not near it"
    return None
