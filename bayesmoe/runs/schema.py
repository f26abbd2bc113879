"""The schema of a run table: columns, units, rules, and the hint for each broken rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from bayesmoe.errors import InputError
from bayesmoe.runs.suggest import which
from bayesmoe.tables import numbers_of
from bayesmoe.units import perplexity_to_loss


@dataclass(frozen=True)
class Column:
    """A column of the run table: unit and meaning."""

    unit: str
    meaning: str


COLUMNS: dict[str, Column] = {
    "run_id": Column("text", "unique key; made from the row number when absent"),
    "group": Column("text", "router, corpus, recipe or lab: runs that share one recipe"),
    "loss": Column("nats/token", "final loss"),
    "leverage": Column("ratio", "training FLOP of the dense model of equal loss over those of this run"),
    "tokens": Column("tokens", "training tokens"),
    "num_experts": Column("count", "routed experts; 1 for dense"),
    "top_k": Column("count", "routed experts per token"),
    "n_dense": Column("parameters", "backbone before expert expansion, without embeddings"),
    "n_active": Column("parameters", "used per token, without embeddings"),
    "n_total": Column("parameters", "all, without embeddings"),
    "granularity": Column("ratio", "4 d_model / d_expert"),
    "activation_ratio": Column("ratio", "(top_k + shared_experts) / (num_experts + shared_experts); 1 for dense"),
    "shared_experts": Column("count", "always-on experts"),
    "train_flop": Column("FLOP", "training compute as the source counts it"),
    "unique_tokens": Column("tokens", "distinct training tokens; tokens / epochs when absent"),
    "epochs": Column("passes", "passes over the distinct tokens"),
    "seed": Column("integer", "seed of the run"),
}

SIZES = ("n_dense", "n_active", "n_total")

SHAPE = ("d_model", "num_layers", "d_ff", "num_moe_layers", "d_expert")
"""Columns that give the sizes of a gated transformer when all are there."""

MAPPABLE = (*COLUMNS, *SHAPE, "d_shared")
"""Columns that a law or a derivation may read."""

MOST_LOSS = 20.0
LEAST_TOKENS = 1e5
LEAST_SIZE = 1e4
"""Fewest tokens and parameters of a run; fewer are millions or billions written as ones."""

MOST_EPOCHS = 1e4
"""Most passes over the same tokens: 25 times the most of any public run."""


@dataclass(frozen=True)
class _Rule:
    says: str
    holds: Callable[[pd.Series], Any]
    hint: Callable[[float], str]


def _rule(says: str, holds: Callable[[pd.Series], Any], hint: str | Callable[[float], str]) -> _Rule:
    return _Rule(says, holds, hint if callable(hint) else lambda value: hint)


def _positive(hint: str) -> _Rule:
    return _rule("must be positive", lambda column: column > 0, hint)


_FINITE = _rule(
    "must be a finite number",
    lambda column: column.abs() < float("inf"),
    "remove the run (diverged or unfinished) or fill in its value",
)
_COUNT = (
    _rule(
        _FINITE.says, _FINITE.holds, "write 1 for a dense model, and the routed experts, or those of a token, of a mixture"
    ),
    _rule("must be at least 1", lambda column: column >= 1, "write 1 for a dense model"),
    _rule("must be a whole number", lambda column: column % 1 == 0, "count routed experts only"),
)
_GIVEN = _rule(_FINITE.says, _FINITE.holds, "fill in its value, or leave the run out")
_SIZE = (
    _GIVEN,
    _positive("give parameters"),
    _rule(
        f"must be at least {LEAST_SIZE:.0e} parameters",
        lambda column: column >= LEAST_SIZE,
        lambda value: (
            f"it looks like millions or billions: multiply the column ({value * 1e6:.3g} or {value * 1e9:.3g} parameters)"
        ),
    ),
)
_MAY_BE_ZERO = ("num_moe_layers", "d_shared", "shared_experts")
_NOT_NEGATIVE = _rule("must be 0 or more", lambda column: column >= 0, "correct it")
_ENOUGH_TOKENS = _rule(
    f"must be at least {LEAST_TOKENS:.0e}",
    lambda column: column >= LEAST_TOKENS,
    lambda value: f"it looks like billions of tokens: multiply the column by 1e9 ({value * 1e9:.3g} tokens)",
)
_RULES: dict[str, tuple[_Rule, ...]] = {
    "loss": (
        _FINITE,
        _positive("losses are nats per token; remove the run or correct it"),
        _rule(
            f"must be at most {MOST_LOSS:g} nats per token",
            lambda column: column <= MOST_LOSS,
            lambda value: f"it looks like a perplexity: give its logarithm, {perplexity_to_loss(value):.3f}",
        ),
    ),
    "tokens": (_GIVEN, _positive("give training tokens"), _ENOUGH_TOKENS),
    "unique_tokens": (_FINITE, _positive("give the distinct training tokens"), _ENOUGH_TOKENS),
    "epochs": (
        _FINITE,
        _positive("give passes over the distinct tokens, 1 where none repeats"),
        _rule(
            f"must be at most {MOST_EPOCHS:g} passes",
            lambda column: column <= MOST_EPOCHS,
            "give passes over the distinct tokens, not steps or tokens",
        ),
    ),
    **dict.fromkeys(("num_experts", "top_k"), _COUNT),
    **dict.fromkeys(SIZES, _SIZE),
    **{
        name: (_FINITE, _NOT_NEGATIVE if name in _MAY_BE_ZERO else _positive("give a positive number"))
        for name in (*SHAPE, "d_shared", "granularity", "shared_experts", "train_flop")
    },
    "leverage": (_FINITE, _positive("leverage is a ratio of FLOP; remove the run or correct it")),
    "activation_ratio": (
        _FINITE,
        _positive("give active over all experts"),
        _rule("must be at most 1", lambda column: column <= 1, "give active over all experts, 1 for dense"),
    ),
}

_BOUNDS = (
    ("top_k", "num_experts", 1.0, "swap the columns, or write num_experts 1 and top_k 1 for a dense model"),
    # Half a per cent of slack: sources round the two counts separately.
    ("n_active", "n_total", 1.005, "swap the columns or correct the counts: both without embeddings"),
)
"""Columns that another bounds, with the slack."""

_OF_REPEATS = ("unique_tokens", "epochs")
NUMERIC = tuple(name for name in _RULES if name not in ("loss", "leverage", *_OF_REPEATS))
"""Columns of numbers that describe a run before its result; what repeats, a fit keeps where its law reads it."""

_MAY_BE_BLANK = set(_RULES) - {"tokens", "num_experts"}


def run_schema(response: str | None = "loss") -> pa.DataFrameSchema:
    """The pandera schema of a run table, for users who validate their own frames."""
    columns = {
        name: pa.Column(
            float,
            [pa.Check(rule.holds, name=rule.says, error=rule.says) for rule in rules],
            nullable=name in _MAY_BE_BLANK and name != response,
            required=name in _required(response),
            coerce=True,
            description=f"{COLUMNS[name].meaning} [{COLUMNS[name].unit}]"
            if name in COLUMNS
            else "width or count of the shape",
        )
        for name, rules in _RULES.items()
    }
    return pa.DataFrameSchema({**columns, "run_id": pa.Column(str, unique=True, coerce=True)}, strict=False)


def _required(response: str | None) -> tuple[str, ...]:
    """Columns that every table must have: what was observed, if anything, and the expert count unless that was a leverage."""
    if response is None:
        return ("num_experts",)
    return (response, "num_experts") if response == "loss" else (response,)


def checked(frame: pd.DataFrame, origin: str, response: str = "loss") -> pd.DataFrame:
    """Return the frame with canonical types, or raise :class:`InputError` for the first broken rule.

    Parameters
    ----------
    frame : DataFrame
        Indexed by the row numbers of the file.
    origin : str
        File name for the message.
    response : str
        Column that the runs are there for: ``loss``, or ``leverage``.
    """
    frame, broken = complaints(frame, origin, response)
    if broken:
        raise broken[0]
    return frame


def complaints(
    frame: pd.DataFrame, origin: str, response: str | None = "loss", present: Iterable[str] | None = None
) -> tuple[pd.DataFrame, list[InputError]]:
    """The frame with canonical types, and every broken rule: one complaint a cell, in the order in which they are met.

    Parameters as in :func:`checked`; ``present`` are the file's own column names, if others. Numbers that cannot be read are NaN in the frame; a complaint about the whole table names no row,
    and where there is one no row is looked at.
    """
    if frame.empty:
        return frame, [InputError("has no runs", file=origin, hint="add one row a trained model")]
    known = set(map(str, frame.columns if present is None else present))
    unread = [str(name) for name in frame.columns if str(name) in known and name not in (*COLUMNS, *SHAPE)]
    absent = [_absent(name, frame, unread, origin) for name in _required(response) if name not in frame]
    if absent:
        return frame, absent
    frame, broken = _numeric(frame, origin)
    ruled = frame[[name for name in (*_RULES, "run_id") if name in frame]]
    try:
        ruled = run_schema(response).validate(ruled, lazy=True)
        frame = frame.assign(**{str(name): ruled[name] for name in ruled})
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.dropna(subset=["index"]).sort_values("index", kind="stable")
        broken += [
            _failure(int(row), str(name), check, frame, origin)
            for row, name, check in zip(cases["index"], cases["column"], cases["check"], strict=True)
        ]
    broken += _cross_checks(frame, origin)
    first = {(error.row, error.column): error for error in reversed(broken)}
    return frame, [error for error in broken if first[error.row, error.column] is error]


def _absent(name: str, frame: pd.DataFrame, unread: list[str], origin: str) -> InputError:
    column = COLUMNS[name]
    hint = f"map your own name with --map {name}=YOUR_COLUMN ({which(name, frame, unread)})"
    return InputError(f"is missing ({column.meaning}, {column.unit})", file=origin, column=name, hint=hint)


def _numeric(frame: pd.DataFrame, origin: str) -> tuple[pd.DataFrame, list[InputError]]:
    frame, broken = frame.copy(deep=False), []
    hint = "write plain numbers, such as 2.5e9"
    for name in [name for name in _RULES if name in frame]:
        numbers = numbers_of(frame[name])
        unread = numbers.isna() & frame[name].notna() & (frame[name].astype(str).str.strip().str.lower() != "nan")
        for row, value in zip(frame.index[unread], frame.loc[unread, name].astype(str), strict=True):
            broken.append(InputError("must be a number", file=origin, row=int(row), column=name, value=value, hint=hint))
        frame[name] = numbers
    if "run_id" in frame:
        hint = "give each run its own key, or drop the column to have them numbered"
        blank = frame.index[frame["run_id"].isna()]
        broken += [InputError("must not be blank", file=origin, row=int(row), column="run_id", hint=hint) for row in blank]
        numbered = pd.Series([f"row-{row}" for row in frame.index], index=frame.index)
        frame["run_id"] = frame["run_id"].where(frame["run_id"].notna(), numbered).astype(str)
    return frame, broken


def _failure(row: int, name: str, check: object, frame: pd.DataFrame, origin: str) -> InputError:
    if name == "run_id":
        value = frame.loc[row, "run_id"]
        alike = [int(i) for i in frame.index[frame["run_id"] == value]]
        rows = ", ".join(map(str, alike[:4]))
        hint = f"it stands in rows {rows}: drop the copy, or give repeats their own run_id and a seed"
        return InputError("must be unique", file=origin, row=row, column=name, value=value, hint=hint)
    value = _at(frame, row, name)
    rule = _RULES[name][0] if np.isnan(value) else next(rule for rule in _RULES[name] if rule.says == check)
    return InputError(rule.says, file=origin, row=row, column=name, value=value, hint=rule.hint(value))


def _at(frame: pd.DataFrame, row: int, column: str) -> float:
    return float(frame[column].to_numpy(float)[frame.index.get_loc(row)])


def _cross_checks(frame: pd.DataFrame, origin: str) -> list[InputError]:
    broken = []
    for column, bound, slack, hint in _BOUNDS:
        if column not in frame or bound not in frame:
            continue
        for row in frame.index[(frame[column] > frame[bound] * slack) & (frame[bound] > 0)]:
            rule = f"must be at most {bound} ({_at(frame, row, bound):g})"
            value = _at(frame, row, column)
            broken.append(InputError(rule, file=origin, row=int(row), column=column, value=value, hint=hint))
    return broken
