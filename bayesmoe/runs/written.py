"""Numbers and dense models as people write them: 137M, tokens in billions, no expert count where there are no experts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from bayesmoe.runs.columns import with_columns
from bayesmoe.runs.model_names import is_sampling_top_k
from bayesmoe.runs.schema import SIZES
from bayesmoe.tables import numbers_of

_UNITS = {"k": 1e3, "m": 1e6, "mln": 1e6, "mio": 1e6, "b": 1e9, "bn": 1e9, "bln": 1e9, "g": 1e9, "t": 1e12}
_UNITS |= {
    f"{word}{end}": 10.0**power
    for word, power in {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}.items()
    for end in ("", "s")
}
_GROUPS = r"\d{1,3}(?:[,' _\u00a0\u202f\u2019]\d{3})+(?:\.\d*)?"
_NUMBER = re.compile(
    rf"\s*[~\u2248]?\s*(\d+(?:\.\d*)?|\.\d+|{_GROUPS}|\d+,\d{{1,2}}(?=\s*[a-z]))\s*({'|'.join(_UNITS)})?(?:\s*(?:tokens?|params?|parameters))?\s*",
    re.IGNORECASE,
)
_IN_NAME = re.compile(rf"(.+?)(?:_in)?_({'|'.join(_UNITS)})")

COUNTED = (
    "tokens",
    "unique_tokens",
    *SIZES,
    "planned_tokens",
    "batch_tokens",
    "batch_sequences",
    "steps",
    "planned_steps",
    "train_flop",
)
"""Columns of large counts, which people write in units."""

_MOST_IN_UNITS = 1e6
_SAME_SIZE = 1.005
_NO_EXPERTS = ("expert", "moe", "router", "top_k", "topk")
_BLANK = ("", "none", "null", "nan", "na", "n/a", "no", "false", "dense", "-", "\u2013")


def without_unit(plain: str) -> tuple[str, float]:
    """A column's plain name without the unit it ends in, and the unit: ``tokens_b`` is tokens, times 1e9."""
    found = _IN_NAME.fullmatch(plain)
    return (found[1], _UNITS[found[2]]) if found else (plain, 1.0)


def written_number(text: str) -> float:
    """A number with a unit (``1.7B``, ``2.4 T``) or with separators (``1,000,000``); NaN where it is neither."""
    found = _NUMBER.fullmatch(text)
    if not found:
        return float("nan")
    decimal = re.fullmatch(r"\d+,\d{1,2}", found[1])
    digits = found[1].replace(",", ".") if decimal else re.sub(r"[^\d.]", "", found[1])
    return float(digits) * _UNITS.get((found[2] or "").lower(), 1.0)


def in_ones(frame: pd.DataFrame, names: Mapping[str, str], units: Mapping[str, float]) -> tuple[pd.DataFrame, list[str]]:
    """Large counts in ones, and what was read so.

    Parameters
    ----------
    frame : DataFrame
        Under our names.
    names : mapping of str to str
        Ours to the file's own.
    units : mapping of str to float
        The unit that the name of one of our columns says.
    """
    frame, said = frame.copy(deep=False), []
    for ours in [name for name in COUNTED if name in frame]:
        own, raw, numbers = names.get(ours, ours), frame[ours], numbers_of(frame[ours])
        text = numbers.isna() & raw.notna()
        read = raw[text].astype(str).map(written_number).astype(float) if text.any() else numbers[:0]
        if read.notna().any():
            first = read.first_valid_index()
            said.append(
                f"{ours}: {int(read.notna().sum())} numbers of {own} have a unit, such as {raw[first]} = {read[first]:.4g}"
            )
            frame[ours] = raw.astype(object).where(~text | read.reindex(raw.index).isna(), read.reindex(raw.index))
        elif units.get(ours, 1.0) != 1.0 and numbers.median() < _MOST_IN_UNITS:
            said.append(f"{ours} = {units[ours]:g} {own}")
            # What the user writes over the file's own name means the file's own numbers.
            frame = with_columns(frame, {ours: numbers * units[ours], own: raw})
    return frame, said


def dense_said(frame: pd.DataFrame, names: Mapping[str, str], present: Iterable[str]) -> tuple[pd.DataFrame, list[str]]:
    """One expert where a table says of a model, or of all, that it has none, and what was read so.

    A blank or 0 is a dense model; a table without a word of experts, or in which all such words are blank, 0 or no, is one of dense models. Neither
    where the row says otherwise: more parameters in all than active, or several experts a token.

    Parameters
    ----------
    frame : DataFrame
        Under our names.
    names : mapping of str to str
        Ours to the file's own.
    present : iterable of str
        Columns of the file.
    """
    top_k = numbers_of(frame["top_k"]) if "top_k" in frame else pd.Series(np.nan, index=frame.index)
    sparse = top_k > 1
    if {"n_total", "n_active"} <= set(frame.columns):
        sparse |= numbers_of(frame["n_total"]) > _SAME_SIZE * numbers_of(frame["n_active"])
    if "num_experts" not in frame:
        ours = {own: each for each, own in names.items()}
        present = list(present)
        spoken = [
            name for name in present if name == "E" or any(word in name.lower().replace("-", "_") for word in _NO_EXPERTS)
        ]
        speaks = [name for name in spoken if not is_sampling_top_k(name, present)]
        if sparse.any() or any(not _is_no(frame[ours.get(name, name)]).all() for name in speaks):
            return frame, []
        one, why = (
            pd.Series(1, index=frame.index),
            f"{', '.join(speaks)} says no" if speaks else "no column speaks of experts",
        )
        return with_columns(frame, {"num_experts": one}), [f"num_experts = 1: {why}, so all models are dense"]
    counts = numbers_of(frame["num_experts"])
    blank = _is_no(frame["num_experts"]) & (counts != 0)
    # A row without a size says nothing of the model: its settings were lost.
    sized = frame[[size for size in SIZES if size in frame]].notna().any(axis=1)
    dense = ((blank & sized) | (counts == 0)) & ~sparse
    if not dense.any() or (sparse.any() and not (counts >= 1).any()):
        return frame, []
    frame = frame.assign(num_experts=frame["num_experts"].where(~dense, 1))
    if "top_k" in frame:
        frame["top_k"] = frame["top_k"].where(~(dense & ~(top_k >= 1)), 1)
    rows = int(dense.sum())
    return frame, [f"num_experts = 1 where it is blank or 0 ({rows} row{'s' if rows > 1 else ''}): dense models"]


def _is_no(column: pd.Series) -> pd.Series:
    """Where a column says that there is nothing: blank, 0, or a word for no."""
    return column.isna() | column.astype(str).str.strip().str.lower().isin(_BLANK) | (numbers_of(column) == 0)
