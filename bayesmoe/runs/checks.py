"""What cannot stand in a table of runs: one function a suspicion, each giving its findings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmoe.runs.aliases import BITS_PER_BYTE, PERPLEXITY, plain
from bayesmoe.runs.finding import Finding, Sheet, Suspicion, about
from bayesmoe.runs.schema import LEAST_SIZE, LEAST_TOKENS, SIZES
from bayesmoe.tables import numbers_of

_ENDED = {"finished", "completed", "complete", "done", "success", "succeeded"}
_NOT_ENDED = {
    "running", "failed", "crashed", "killed", "preempting", "preempted", "pending", "scheduled", "canceled", "timeout", "oom",
    "diverged", "stopped",
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
    state = sheet.frame["state"].astype(str).str.strip().str.lower().where(sheet.frame["state"].notna())
    if not set(state.dropna()) <= _ENDED | _NOT_ENDED:
        return []
    return about(
        sheet,
        "state",
        state.isin(_NOT_ENDED),
        kind="unfinished",
        severity="wrong",
        rule="must have finished",
        hint="its last loss is not the loss of a whole schedule: finish the run or leave it out",
    )


def diverged(sheet: Sheet) -> list[Finding]:
    """Runs that are marked as diverged."""
    if "diverged" not in sheet.frame:
        return []
    return about(
        sheet,
        "diverged",
        sheet.frame["diverged"].astype(str).str.strip().str.lower().isin(_YES),
        kind="diverged",
        severity="wrong",
        rule="must not have diverged",
        hint="leave the run out, or train it again",
    )


def checkpoints(sheet: Sheet) -> list[Finding]:
    """Rows of one run at several token counts: all but the last are checkpoints before the learning rate has come down."""
    doubled = "run_id" in sheet.names and sheet.frame["run_id"].astype(str).duplicated().any()
    key = "run_id" if doubled else "name"
    along = next((name for name in ("tokens", "steps") if sheet.numbers(name).notna().any()), None)
    if key not in sheet.frame or along is None:
        return []
    # A run's own key cannot stand for several runs; a label may.
    certain = doubled or ("run_id" not in sheet.names and plain(sheet.own(key)) in ("run", "run_name", "id"))
    size = [name for name in (*SIZES, "num_experts", "top_k", "seed", "learning_rate", "d_model") if name in sheet.frame]
    progress = sheet.numbers(along)
    same = [sheet.frame[name].astype(str) for name in (key, *size)]
    last = progress.groupby(same).transform("max")
    earlier = (progress < last) & sheet.frame[key].notna()
    return about(
        sheet,
        along,
        earlier,
        kind="checkpoint",
        severity="wrong" if certain else "look",
        rule=f"is less than another row of the same {sheet.own(key)} has: an undecayed checkpoint",
        hint="keep the last row of each run: a loss before the learning rate has come down lies above the law"
        if certain
        else f"if {sheet.own(key)} names one run, keep its last row: a loss before the learning rate has come down lies above the law",
    )


def copies(sheet: Sheet) -> list[Finding]:
    """Rows that say of one run the same twice."""
    if "run_id" not in sheet.frame:
        return []
    twice = sheet.frame.astype(str).duplicated()
    return about(
        sheet,
        "run_id",
        twice,
        kind="copy",
        severity="wrong",
        rule="stands in an earlier row with the same values",
        hint="drop the copy",
    )


def perplexity(sheet: Sheet) -> list[Finding]:
    """Losses that are perplexities: by name, beside their logarithm in another column, or by their size."""
    loss, own = sheet.numbers("loss"), sheet.own("loss")
    known = loss.notna()
    if not known.any():
        return []
    said: dict[str, Any] = {
        "kind": "perplexity",
        "hint": f"give its logarithm: ln({loss[known].iloc[0]:.4g}) = {_ln(loss[known].iloc[0])}",
    }
    if any(word in plain(own).split("_") for word in PERPLEXITY):
        return about(sheet, "loss", known, severity="wrong", rule="is a perplexity by its name, not nats per token", **said)
    for other in map(str, sheet.frame.columns):
        if other in ("loss", "run_id"):
            continue
        values = numbers_of(sheet.frame[other])
        with np.errstate(over="ignore"):
            near = np.isclose(np.exp(values[known]), loss[known], rtol=1e-3)
        if loss[known].nunique() >= 3 and near.all():
            rule = f"is a perplexity, the exponential of {sheet.own(other)}"
            return about(
                sheet, "loss", known, severity="wrong", rule=rule, **said | {"hint": f"map loss={sheet.own(other)}"}
            )
    high = (loss > _HIGH_LOSS) & (loss <= 20.0)
    rule = f"is above {_HIGH_LOSS:g}: a perplexity, or a run that learned nothing"
    return about(sheet, "loss", high, severity="look", rule=rule, **said)


def _ln(value: float) -> str:
    return f"{math.log(value):.4f}" if value > 0 else "none"


_PER_BYTE = "nats per token = bits per byte * ln 2 * bytes per token of your tokenizer on this text"


def bits_per_byte(sheet: Sheet) -> list[Finding]:
    """Losses in bits per byte: by name, or because they are too low for nats per token."""
    loss, own = sheet.numbers("loss"), plain(sheet.own("loss"))
    said: dict[str, Any] = {"kind": "bits per byte", "hint": f"convert: {_PER_BYTE}"}
    if any(word in own for word in BITS_PER_BYTE):
        return about(
            sheet, "loss", loss.notna(), severity="wrong", rule="is in bits per byte by its name, not nats per token", **said
        )
    if loss.notna().any() and 0 < loss.median() < _LOW_LOSS:
        rule = f"is mostly below {_LOW_LOSS:g}, low for nats per token: bits per byte?"
        return about(sheet, "loss", loss.notna(), severity="look", rule=rule, **said)
    return []


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
            found += about(sheet, column, wrong & sound, kind="units", severity="wrong", rule=rule, hint=hint)
    return found


OF_ROWS: tuple[Suspicion, ...] = (unfinished, diverged, checkpoints, copies)
"""Suspicions of rows that are no runs of their own; of those nothing else is asked."""

OF_VALUES: tuple[Suspicion, ...] = (perplexity, bits_per_byte, small_units)
"""Suspicions of values in other units, which explain the rules of the schema that they break."""
