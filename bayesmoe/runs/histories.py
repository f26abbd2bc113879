"""Rows that are steps of one run: checkpoints under the name of a run, and logs in which a run has no name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesmoe.runs.counters import CLOCKS, counts, is_counter, is_even, order_of, own_word, progress_along
from bayesmoe.runs.finding import Finding, Sheet, rows_where
from bayesmoe.runs.losses import loss_name
from bayesmoe.runs.schema import SHAPE, SIZES
from bayesmoe.runs.words import plain
from bayesmoe.tables import numbers_of

_MODEL = (*SIZES, *SHAPE, "num_experts", "top_k", "seed")
_RATES = ("lr", "learning_rate", "train_lr", "train_learning_rate")
_KEYS = ("run", "run_name", "id", "trial_id", "run_uuid")
_LEAST_LOGGED, _LEAST_IN_ONE, _LEAST_NAMED = 4, 5, 2
_WORSE, _MOST_DIVERGE = 0.03, 0.5
_EVEN = 1e-6

_WHY = "a loss before the learning rate has come down lies above the law"


@dataclass(frozen=True)
class _Ends:
    """Where runs end: rows before the last one with a loss, rows after it, and that row, each a mask over the table."""

    earlier: pd.Series
    later: pd.Series
    last: pd.Series


def checkpoints(sheet: Sheet) -> list[Finding]:
    """Rows of one run at several steps: all but the last that has a loss are checkpoints before the learning rate has come down."""
    key, sure = _key(sheet)
    if key is None:
        return []
    own = sheet.own(key)
    size = [name for name in (*_MODEL, "learning_rate") if name in sheet.frame and name not in SHAPE[1:]]
    size = [name for name in size if name != "learning_rate" or not sure]
    along = progress_along(sheet, sheet.frame[key].astype(str))
    runs = sheet.frame.groupby([sheet.frame[name].astype(str) for name in (key, *size)], sort=False).ngroup()
    runs = runs.where(sheet.frame[key].notna())
    if along is None or not (sheet.numbers(along).groupby(runs).nunique() > 1).any():
        return _unordered(sheet, runs, own) if sure and key != "run_id" else []
    sure = sure or _even_everywhere(sheet, runs)
    ends = _ends(sheet, runs, along)
    rule = f"is less than another row of the same {own} has: an undecayed checkpoint"
    if sure:
        found = sheet.wrong("checkpoint", along, ends.earlier, rule, f"keep the last row of each run: {_WHY}")
    else:
        found = sheet.look("checkpoint", along, ends.earlier, rule, f"if {own} names one run, keep its last row: {_WHY}")
    return [
        *found,
        *_budget(sheet, runs, along),
        *_without_loss(sheet, runs, along, ends),
        *_ends_worse(sheet, runs, along, ends),
    ]


def _key(sheet: Sheet) -> tuple[str | None, bool]:
    """The column that names the runs of several rows, and whether it surely does: a run's own key cannot stand for several runs; a label may."""
    if "run_id" in sheet.names and sheet.frame["run_id"].astype(str).duplicated().any():
        return "run_id", True
    if "name" in sheet.frame and sheet.frame["name"].astype(str).duplicated().any():
        return "name", "run_id" not in sheet.names and plain(sheet.own("name")) in _KEYS
    if _named(sheet):
        return None, False
    counters = [name for name in map(str, sheet.frame.columns) if is_counter(sheet, name) and counts(sheet, name)]
    for name in map(str, sheet.frame.select_dtypes(exclude="number").columns) if counters else ():
        labels = sheet.frame[name].astype(str)
        if (
            name == "run_id"
            or sheet.frame[name].isna().any()
            or not _LEAST_NAMED <= labels.nunique() <= len(labels) / _LEAST_LOGGED
        ):
            continue
        if _even_everywhere(sheet, labels.groupby(labels, sort=False).ngroup()):
            return name, False
    return None, False


def _even_everywhere(sheet: Sheet, runs: pd.Series) -> bool:
    """Whether every run has several rows, in steps of one length: so logs go, and no sweep does."""
    # A plural counts the steps of a whole run.
    singular = [
        name for name in map(str, sheet.frame.columns) if is_counter(sheet, name) and not own_word(sheet, name).endswith("s")
    ]
    along = next((name for name in singular if sheet.numbers(name).notna().all()), "")
    if not along:
        return False
    steps = sheet.numbers(along)
    return all(len(rows) >= _LEAST_LOGGED and is_even(np.sort(steps[rows])) for rows in runs.groupby(runs).groups.values())


def _unordered(sheet: Sheet, runs: pd.Series, own: str) -> list[Finding]:
    """Rows of one run of which no column says which is the last."""
    rates = sheet.frame["learning_rate"].astype(str) if "learning_rate" in sheet.frame else pd.Series("", index=runs.index)
    twice = pd.DataFrame({"run": runs, "rate": rates}).duplicated(keep=False) & runs.notna()
    rule = f"has the same {own} and the same model as another row, and no column says which is the last"
    hint = "add the step of each row (a column step), or give runs of their own names of their own"
    return sheet.look("repeated name", "name", twice, rule, hint)


def history(sheet: Sheet) -> list[Finding]:
    """Rows that a run logged while it was trained, in a table that does not name its runs: steps in order, the same model throughout."""
    frame = sheet.frame
    if len(frame) < _LEAST_LOGGED or _named(sheet):
        return []
    counters = [name for name in map(str, frame.columns) if is_counter(sheet, name) and counts(sheet, name)]
    counter = min(counters, key=lambda name: order_of(own_word(sheet, name)), default=None)
    along = counter or ("tokens" if counts(sheet, "tokens") else None)
    if along is None:
        return []
    runs = _same_model(sheet)
    sizes = runs.groupby(runs).transform("size")
    logged = frame[sizes >= _LEAST_LOGGED]
    if len(logged) < max(len(frame) / 2, _LEAST_LOGGED):
        return []
    steps = numbers_of(frame[along])
    if not all(
        _is_log(sheet, steps[rows], counter is not None) for rows in logged.groupby(runs[logged.index]).groups.values()
    ):
        return []
    ends, count = _ends(sheet, runs, along), int(runs[logged.index].nunique())
    if count == 1:
        if len(logged) < _LEAST_IN_ONE:
            return []
        rule = f"rises row by row ({len(frame)} rows to {steps.max():g}): the history of one run, of which only the last row is a run"
        hint = f"give one row a run, or name the runs (a column run_id): {_WHY}"
        found = sheet.wrong("history", along, ends.earlier, rule, hint)
    else:
        rule = f"rises in even steps in {count} groups of rows of the same model: histories of runs?"
        hint = f"if each is one run, name it (--map name=YOUR_COLUMN), and its last row is kept: {_WHY}"
        found = sheet.look("history", along, ends.earlier, rule, hint)
        return found
    return [*found, *_without_loss(sheet, runs, along, ends), *_ends_worse(sheet, runs, along, ends)]


def _named(sheet: Sheet) -> bool:
    """Whether a column tells the rows apart by name; numbers in order do not."""
    for key in ("run_id", "name"):
        if key in sheet.names and key in sheet.frame and sheet.frame[key].astype(str).nunique() > 1:
            numbers = numbers_of(sheet.frame[key])
            return not (numbers.notna().all() and (numbers.diff().dropna() == 1).all())
    return False


def _same_model(sheet: Sheet) -> pd.Series:
    """A number for each model that the table tells apart, by its columns and by words that several rows share."""
    frame = sheet.frame
    words = [
        name
        for name in frame.select_dtypes(exclude="number")
        if name != "run_id" and frame[name].nunique() <= len(frame) / 3
    ]
    model = [name for name in _MODEL if name in frame]
    apart = [name for name in dict.fromkeys([*model, *words]) if frame[name].nunique() > 1]
    if not apart:
        return pd.Series(0, index=frame.index)
    return frame.groupby([frame[name].astype(str) for name in apart], sort=False).ngroup()


def _is_log(sheet: Sheet, steps: pd.Series, counted: bool) -> bool:
    """Whether steps rise as a log's do: under a clock or a schedule, or in even steps."""
    gaps = np.diff(steps.dropna().to_numpy(float))
    if (gaps <= 0).all():
        # From the last row to the first.
        return _is_log(sheet, steps[::-1], counted) if (gaps < 0).any() else False
    if len(gaps) < _LEAST_LOGGED - 1 or not (gaps >= 0).all() or not (gaps > 0).any():
        return False
    rows = sheet.frame.loc[steps.index]
    if counted:
        clocks = [name for name in map(str, rows.columns) if own_word(sheet, name) in CLOCKS]
        if any(
            (numbers_of(rows[name]).diff().dropna() > 0).all() and numbers_of(rows[name]).notna().all() for name in clocks
        ):
            return True
        rates = [name for name in map(str, rows.columns) if own_word(sheet, name) in _RATES]
        if len(rows) > 2 * _LEAST_LOGGED and any(numbers_of(rows[name]).nunique() > len(rows) / 2 for name in rates):
            return True
    gaps = gaps[gaps > 0][:-1]
    even = bool(len(gaps) >= 2 and np.ptp(gaps) <= _EVEN * gaps.mean())
    # Runs of so many tokens, twice and three times so many may be a sweep; a log goes on.
    return even and (counted or len(steps) > 2 * _LEAST_LOGGED)


def _ends(sheet: Sheet, runs: pd.Series, along: str) -> _Ends:
    progress, loss = sheet.numbers(along), sheet.numbers("loss")
    final = progress.groupby(runs).transform("max")
    last = progress.where(loss.notna()).groupby(runs).transform("max")
    blank = loss.isna() & (progress > last)
    # A loss that was never logged differs from one that became NaN: others were logged beside it, or it was blank before.
    between = (loss.isna() & (progress < last)).any()
    training = [name for name in map(str, sheet.frame.columns) if name != "loss" and _is_of_training(name)]
    beside = sheet.frame[training].apply(numbers_of) if training else pd.DataFrame(index=sheet.frame.index)
    # Nearly all runs diverge in no sweep.
    many = runs[blank].nunique() > _MOST_DIVERGE * runs.nunique() and not training and runs.nunique() > 1
    not_logged = blank & (beside.notna().any(axis=1) if training else bool(between or many))
    seldom = not_logged.groupby(runs).transform("sum") == blank.groupby(runs).transform("sum")
    last = last.where(seldom & last.notna(), final)
    stands = runs.notna()
    # Trainers log the loss of an evaluation in a row of its own, beside others of the same step.
    beside_it = (progress == last) & loss.isna() & ((progress == last) & loss.notna()).groupby(runs).transform("any")
    return _Ends(
        (progress < last) & stands, ((progress > last) | beside_it) & stands, (progress == last) & ~beside_it & stands
    )


def _is_of_training(name: str) -> bool:
    said = loss_name(name)
    return said is not None and (said.text == "training" or plain(name) == "loss")


def _budget(sheet: Sheet, runs: pd.Series, along: str) -> list[Finding]:
    """Tokens that do not grow along a run are those that were planned."""
    if (
        along == "tokens"
        or sheet.numbers("tokens").isna().all()
        or (sheet.numbers("tokens").groupby(runs).nunique() > 1).any()
    ):
        return []
    rule = f"is the same in all rows of a run while {sheet.own(along)} grows: the budget of the run, not what it had seen"
    hint = f"check that the last {sheet.own(along)} of each run is its end"
    return [Finding("token budget", "look", rule, hint, column=sheet.own("tokens"))]


def _without_loss(sheet: Sheet, runs: pd.Series, along: str, ends: _Ends) -> list[Finding]:
    """Runs whose loss was logged less often than other values: what stands is the last row that has one."""
    if not ends.later.any():
        return []
    # People count steps where both are there.
    counted = "steps" if (sheet.numbers("steps").groupby(runs).nunique() > 1).any() else along
    own, progress = sheet.own(counted), sheet.numbers(counted)
    rule = f"has no {sheet.own('loss')}: of its run the last row that has one stands"
    hint = "log the loss once more at the end of training"
    found = sheet.wrong("no loss", "loss", ends.later, rule, hint)
    short = ends.last & (progress < progress.groupby(runs).transform("max"))
    rows = rows_where(short)
    if not rows:
        return found
    final = float(progress.groupby(runs).transform("max")[rows[0]])
    rule = f"is the last row that has a {sheet.own('loss')}, at {own} {progress[rows[0]]:g} of {final:g}: the learning rate had not come down"
    return [*found, *sheet.look("undecayed", counted, short, rule, f"{hint}, or leave the run out: {_WHY}")]


def _ends_worse(sheet: Sheet, runs: pd.Series, along: str, ends: _Ends) -> list[Finding]:
    """Runs whose last loss lies above what they had reached."""
    loss = sheet.numbers("loss")
    lowest = loss.where(ends.earlier).groupby(runs).transform("min")
    worse = ends.last & (loss > (1.0 + _WORSE) * lowest)
    if not worse.any():
        return []
    rule = f"is above what the same run had reached ({lowest[rows_where(worse)[0]]:.4g}): it diverged late, or saw its data too often"
    return sheet.look("ends worse", "loss", worse, rule, "leave the run out, or train it again")
