"""What cannot stand in a table of runs: one function a suspicion, each giving its findings."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

from bayesmoe.runs.aliases import BITS_PER_BYTE, PERPLEXITY, plain
from bayesmoe.runs.finding import Finding, Sheet, Suspicion
from bayesmoe.runs.schema import LEAST_SIZE, LEAST_TOKENS, MOST_LOSS, SIZES
from bayesmoe.tables import numbers_of

_ENDED = {"finished", "completed", "complete", "done", "success", "succeeded"}
_NOT_ENDED = {
    "running", "failed", "crashed", "killed", "preempting", "preempted", "pending", "scheduled", "canceled", "timeout", "oom",
    "diverged", "stopped", "cancelled", "aborted", "queued", "out_of_memory", "node_fail", "timed_out", "interrupted", "error",
}  # fmt: skip
_YES = {"true", "yes", "1", "1.0"}
_HIGH_LOSS = 10.0
_LOW_LOSS = 1.2
_USUAL_RATIOS = (1.0, 900.0)
_WORDS = {"thousands": 1e3, "millions": 1e6, "billions": 1e9}


def unfinished(sheet: Sheet) -> list[Finding]:
    """Runs that crashed, were killed or still go on, by the tracker's own word."""
    if "state" not in sheet.frame:
        return []
    said = sheet.frame["state"].astype(str).str.strip().str.lower().where(sheet.frame["state"].notna())
    # Schedulers add who or why: "CANCELLED by 1001".
    state = said.map(lambda text: re.split(r"[\s:(+]", text, maxsplit=1)[0], na_action="ignore")
    if state.isin(_ENDED | _NOT_ENDED).sum() <= state.notna().sum() / 2:
        return []
    hint = "its last loss is not the loss of a whole schedule: finish the run or leave it out"
    found = sheet.wrong("unfinished", "state", state.isin(_NOT_ENDED), "must have finished", hint)
    unknown = state.notna() & ~state.isin(_ENDED | _NOT_ENDED)
    rule = "is no word for how a run ends that is known here"
    return found + sheet.look("unknown state", "state", unknown, rule, "leave the run out if it did not finish")


def diverged(sheet: Sheet) -> list[Finding]:
    """Runs that are marked as diverged."""
    if "diverged" not in sheet.frame:
        return []
    marked = sheet.frame["diverged"].astype(str).str.strip().str.lower().isin(_YES)
    return sheet.wrong("diverged", "diverged", marked, "must not have diverged", "leave the run out, or train it again")


def checkpoints(sheet: Sheet) -> list[Finding]:
    """Rows of one run at several token counts: all but the last are checkpoints before the learning rate has come down."""
    doubled = "run_id" in sheet.names and sheet.frame["run_id"].astype(str).duplicated().any()
    key = "run_id" if doubled else "name"
    if key not in sheet.frame or not sheet.frame[key].duplicated().any():
        return []
    known = [name for name in ("tokens", "steps") if sheet.numbers(name).notna().any()]
    # Tokens that are a run's budget are the same in all its checkpoints.
    varies = [name for name in known if (sheet.numbers(name).groupby(sheet.frame[key].astype(str)).nunique() > 1).any()]
    along = next(iter([*varies, *known]), None)
    if along is None:
        return []
    size = [name for name in (*SIZES, "num_experts", "top_k", "seed", "learning_rate", "d_model") if name in sheet.frame]
    progress, own = sheet.numbers(along), sheet.own(key)
    last = progress.groupby([sheet.frame[name].astype(str) for name in (key, *size)]).transform("max")
    earlier = (progress < last) & sheet.frame[key].notna()
    rule = f"is less than another row of the same {own} has: an undecayed checkpoint"
    why = "a loss before the learning rate has come down lies above the law"
    # A run's own key cannot stand for several runs; a label may.
    if doubled or ("run_id" not in sheet.names and plain(own) in ("run", "run_name", "id")):
        return sheet.wrong("checkpoint", along, earlier, rule, f"keep the last row of each run: {why}")
    return sheet.look("checkpoint", along, earlier, rule, f"if {own} names one run, keep its last row: {why}")


def copies(sheet: Sheet) -> list[Finding]:
    """Rows that say of one run the same twice."""
    if "run_id" not in sheet.frame:
        return []
    alike = sheet.frame[sheet.frame["run_id"].astype(str).duplicated(keep=False)]
    twice = alike.astype(str).duplicated()
    return sheet.wrong("copy", "run_id", twice, "stands in an earlier row with the same values", "drop the copy")


def perplexity(sheet: Sheet) -> list[Finding]:
    """Losses that are perplexities: by name, beside their logarithm in another column, or by their size."""
    loss, own = sheet.numbers("loss"), sheet.own("loss")
    known = loss.notna()
    if not known.any():
        return []
    first = loss[known].iloc[0]
    hint = f"give its logarithm: ln({first:.4g}) = {f'{math.log(first):.4f}' if first > 0 else 'none'}"
    if any(word in plain(own).split("_") for word in PERPLEXITY):
        return sheet.wrong("perplexity", "loss", known, "is a perplexity by its name, not nats per token", hint)
    rows = loss.index[known]
    for other in sheet.frame.columns if loss[known].nunique() >= 3 else ():
        # A few rows tell most columns apart.
        if other not in ("loss", "run_id") and all(
            _is_exponential(loss, sheet.frame[other], few) for few in (rows[:3], rows)
        ):
            rule = f"is a perplexity, the exponential of {sheet.own(other)}"
            return sheet.wrong("perplexity", "loss", known, rule, f"map loss={sheet.own(other)}")
    rule = f"is above {_HIGH_LOSS:g}: a perplexity, or a run that learned nothing"
    return sheet.look("perplexity", "loss", (loss > _HIGH_LOSS) & (loss <= MOST_LOSS), rule, hint)


def _is_exponential(loss: pd.Series, of: pd.Series, rows: pd.Index) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isclose(np.exp(numbers_of(of.loc[rows])), loss.loc[rows], rtol=1e-3).all())


def bits_per_byte(sheet: Sheet) -> list[Finding]:
    """Losses in bits per byte: by name, or because they are too low for nats per token."""
    loss, own = sheet.numbers("loss"), plain(sheet.own("loss"))
    hint = "convert: nats per token = bits per byte * ln 2 * bytes per token of your tokenizer on this text"
    if any(word in own for word in BITS_PER_BYTE):
        rule = "is in bits per byte by its name, not nats per token"
        return sheet.wrong("bits per byte", "loss", loss.notna(), rule, hint)
    low = loss.notna() & (0 < loss.median() < _LOW_LOSS)
    rule = f"is mostly below {_LOW_LOSS:g}, low for nats per token: bits per byte?"
    return sheet.look("bits per byte", "loss", low, rule, hint)


def small_units(sheet: Sheet) -> list[Finding]:
    """Tokens or parameters written in millions or billions, where the other of the two tells which."""
    size = next((name for name in ("n_active", "n_dense", "n_total") if sheet.numbers(name).notna().any()), None)
    if size is None:
        return []
    tokens, parameters = sheet.numbers("tokens"), sheet.numbers(size)
    small, few = (tokens > 0) & (tokens < LEAST_TOKENS), (parameters > 0) & (parameters < LEAST_SIZE)
    found = []
    for column, wrong, sound in (("tokens", small, ~few), (size, few, ~small)):
        ratio = (tokens / parameters)[wrong & sound].median()
        ratios = {word: ratio * (factor if column == "tokens" else 1.0 / factor) for word, factor in _WORDS.items()}
        fit = [word for word, times in ratios.items() if _USUAL_RATIOS[0] <= times <= _USUAL_RATIOS[1]]
        if len(fit) == 1:
            rule = f"is in {fit[0]}, by the tokens per parameter that follow"
            hint = f"write {'tokens' if column == 'tokens' else 'parameters'} in ones: multiply the column by {_WORDS[fit[0]]:.0e}"
            found += sheet.wrong("units", column, wrong & sound, rule, hint)
    return found


OF_ROWS: tuple[Suspicion, ...] = (unfinished, diverged, checkpoints, copies)
"""Suspicions of rows that are no runs of their own; of those nothing else is asked."""

OF_VALUES: tuple[Suspicion, ...] = (perplexity, bits_per_byte, small_units)
"""Suspicions of values in other units, which explain the rules of the schema that they break."""
