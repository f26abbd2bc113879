"""What a table says of its runs that no column of ours holds: words that explain the losses, and what a law would need."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesmoe.runs.audit.robust_trend import power_law_residuals
from bayesmoe.runs.finding import Finding, Sheet
from bayesmoe.runs.schema import SIZES
from bayesmoe.runs.suggest import candidates

_MOST_LEVELS, _MOST_NUMBERS, _LEAST_OF_A_LEVEL = 12, 6, 2
_EXPLAINED, _LEAST_APART, _WORTH_A_FIT = 0.8, 0.03, 0.2
_NAMED = 4
_NOT_A_RECIPE = ("run_id", "name", "state", "diverged", "tokenizer", "vocab", "loss_kind", "loss")


def words_that_explain(sheet: Sheet) -> list[Finding]:
    """A column of words that explains nearly all of what a power law in size, tokens and experts leaves."""
    frame = sheet.frame
    if "group" in frame and "group" in sheet.names and frame["group"].nunique() > 1:
        return []
    one = pd.Series("", index=frame.index)
    found: list[tuple[float, str, pd.Series]] = []
    without: pd.Series | None = None
    for name in _words(sheet):
        values = frame[name].astype(str).where(frame[name].notna(), "blank")
        counts = values.value_counts()
        most = _MOST_LEVELS if frame[name].dtype.kind not in "iu" else _MOST_NUMBERS
        if not 2 <= len(counts) <= most or counts.min() < _LEAST_OF_A_LEVEL or _follows(values, frame):
            continue
        if without is None:
            trend = power_law_residuals(frame, group=one)
            if trend is None:
                return []
            without = trend.residuals
        if without.groupby(values).transform("mean").var() < _WORTH_A_FIT * without.var():
            continue
        beside = power_law_residuals(frame, group=values)
        if beside is None:
            continue
        left = float(beside.residuals.var() / without.var()) if without.var() > 0 else 1.0
        # Every level takes one number, which explains its part of pure noise.
        chance = 1.0 - (len(counts) - 1) / max(len(frame) - 4, 1)
        if left < (1.0 - _EXPLAINED) * chance and np.ptp(beside.levels) > _LEAST_APART:
            found.append((left, name, beside.levels))
    if not found:
        return []
    left, name, levels = min(found, key=lambda each: each[0])
    named = ", ".join(map(str, levels.index[:_NAMED])) + (", ..." if len(levels) > _NAMED else "")
    apart = 100.0 * float(np.expm1(np.ptp(levels)))
    rule = f"explains {1.0 - left:.0%} of what a power law leaves: losses differ by {name} ({named}), up to {apart:.0f}% at equal size and tokens"
    return [Finding("structure", "look", rule, f"group by it (--map group={name}), or keep one", column=name)]


def _words(sheet: Sheet) -> list[str]:
    """Columns of words, and of a few whole numbers that nothing else was read from, such as the number of a corpus."""
    frame, ours = sheet.frame, {*sheet.names} - {"sequence_length"}
    words = [str(name) for name in frame.select_dtypes(exclude="number") if str(name) not in _NOT_A_RECIPE]
    few = [str(name) for name in frame.select_dtypes(include="integer") if name in {*sheet.present, *sheet.names} - ours]
    return [*words, *(name for name in few if name not in _NOT_A_RECIPE and frame[name].nunique() <= _MOST_NUMBERS)]


def _follows(values: pd.Series, frame: pd.DataFrame) -> bool:
    """Whether the size, the tokens or the expert count of a run says its word."""
    axes = [name for name in (*SIZES, "tokens", "num_experts") if name in frame and frame[name].nunique() > 1]
    # A number of its own for every run says every word of it.
    return any((values.groupby(frame[name]).nunique() <= 1).all() for name in axes if frame[name].nunique() < len(frame))


def no_law(sheet: Sheet) -> list[Finding]:
    """A table in which no size of the models was recognized: no law can be fitted to it."""
    if sheet.numbers("loss").isna().all():
        return []
    unread = [str(name) for name in sheet.frame.columns if str(name) in sheet.present and name not in sheet.names.values()]
    if any(sheet.numbers(name).notna().any() for name in SIZES):
        if sheet.numbers("tokens").notna().any():
            return []
        likely = "".join(f", such as --map tokens={name}" for name in candidates("tokens", sheet.frame, unread)[:1])
        for planned, ours in (("planned_tokens", "tokens"), ("planned_steps", "steps")):
            if planned in sheet.names and ours not in sheet.names:
                likely = likely or f", such as --map {ours}={sheet.own(planned)} where every run came to its end"
        batch = [name for name in unread if "batch" in name.lower()]
        if batch and ("steps" in sheet.names) and not likely:
            likely = (
                f", such as --map batch_sequences={batch[0]} if a step of all devices has so many (with sequence_length)"
            )
        hint = f"say which column they are{likely}, or give steps and the batch (steps, batch_tokens)"
        return [
            Finding(
                "no tokens",
                "look",
                "no column of training tokens was recognized: only laws in size and experts can be fitted",
                hint,
            )
        ]
    lacks = ["size (n_dense, n_active or n_total)"]
    lacks += [] if sheet.numbers("tokens").notna().any() else ["tokens"]
    likely = [
        f"--map {ours}={own}"
        for ours in (("n_total", "tokens") if len(lacks) > 1 else ("n_total",))
        for own in candidates(ours, sheet.frame, unread)[:1]
    ]
    rule = f"no column of {' or '.join(lacks)} was recognized: no law can be fitted"
    hint = (
        f"say which it is ({', '.join(likely)})"
        if likely
        else "add it, or say which column it is: --map n_total=YOUR_COLUMN"
    )
    return [Finding("no law", "wrong", rule, hint)]


def constants(sheet: Sheet) -> list[Finding]:
    """One size or one number of tokens over runs whose other columns differ: a column of something else, or of a default."""
    frame, found = sheet.frame, []
    if len(frame) < 2 * _LEAST_OF_A_LEVEL:
        return []
    known = [name for name in (*SIZES, "tokens") if name in sheet.names and sheet.numbers(name).notna().all()]
    constant = [name for name in known if sheet.numbers(name).nunique() == 1]
    shape = [
        name for name in ("d_model", "num_layers", "d_ff", "d_expert") if name in frame and sheet.numbers(name).nunique() > 1
    ]
    for name in constant:
        also = shape if name in SIZES else [each for each in ("steps",) if sheet.numbers(each).nunique() > 1]
        # Experts add to the whole; a backbone and what a token uses may be the same by design.
        also = also or [each for each in ("num_experts",) if name == "n_total" and sheet.numbers(each).nunique() > 1]
        if also:
            rule = f"is the same in all runs while {sheet.own(also[0])} differs: the column of something else, or a default"
            hint = f"check that it is {'the size of the model' if name in SIZES else 'what each run was trained on'}"
            found.append(Finding("constant", "look", rule, hint, column=sheet.own(name)))
    return found
