"""What may be wrong with a table of runs: one function a suspicion, each giving its findings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bayesmoe.architecture import parameters_from_shape
from bayesmoe.runs.aliases import BITS_PER_BYTE, PERPLEXITY, TRAINING, VALIDATION, plain
from bayesmoe.runs.audit.finding import Finding, Sheet, about, rows_where
from bayesmoe.runs.audit.robust_trend import power_law_residuals
from bayesmoe.runs.schema import LEAST_SIZE, LEAST_TOKENS, SHAPE, SIZES, numbers_of

Suspicion = Callable[[Sheet], list[Finding]]

_ENDED = {"finished", "completed", "complete", "done", "success", "succeeded"}
_NOT_ENDED = {
    "running", "failed", "crashed", "killed", "preempting", "preempted", "pending", "scheduled", "canceled", "timeout", "oom",
    "diverged", "stopped",
}  # fmt: skip
_YES = {"true", "yes", "1", "1.0"}

MANY_MADS = 7.0
"""Distance from the trend, in scaled MADs, at which a run is looked at."""

_LEAST_DISTANCE = 0.02
_HIGH_LOSS = 10.0
_LOW_LOSS = 1.2
_FEW_STEPS = 2000
_RATIOS = (0.01, 1e5)
_USUAL_RATIOS = (1.0, 900.0)
_WORDS = {"thousands": 1e3, "millions": 1e6, "billions": 1e9}
_DECAYED_TO = 0.5
_WHOLE_SCHEDULE = 0.98
_VOCABULARIES = (8e3, 6e5)


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


def mixed_losses(sheet: Sheet) -> list[Finding]:
    """Losses of several kinds: training and held-out columns side by side, or a column that says what was measured."""
    plainly = {name: plain(name) for name in sheet.present}
    held_out = [name for name, word in plainly.items() if word in VALIDATION]
    training = [name for name, word in plainly.items() if word in TRAINING or (word == "loss" and held_out)]
    found = []
    if held_out and training:
        found.append(
            Finding(
                kind="kinds of loss",
                severity="look",
                rule=f"was read as the loss; the table also has {', '.join(n for n in (*held_out, *training) if n != sheet.own('loss'))}",
                column=sheet.own("loss"),
                hint="training loss is a noisy average over other text: use one kind for all runs (--map loss=YOUR_COLUMN)",
            )
        )
    return found + _several(
        sheet,
        "loss_kind",
        "kinds of loss",
        "losses on different text cannot be compared: keep one, or group by it (--map group=...)",
    )


def mixed_tokenizers(sheet: Sheet) -> list[Finding]:
    """Losses under several tokenizers or vocabularies, unless the groups of runs tell them apart."""
    hint = "a loss per token depends on the tokenizer: keep one, group by it (--map group=...), or convert through bits per byte"
    return [*_several(sheet, "tokenizer", "mixed tokenizers", hint), *_several(sheet, "vocab", "mixed tokenizers", hint)][:1]


def _several(sheet: Sheet, ours: str, kind: str, hint: str) -> list[Finding]:
    """A finding where a column that should hold one value holds several within a group of runs."""
    if ours not in sheet.frame:
        return []
    values = sheet.frame[ours].astype(str).where(sheet.frame[ours].notna())
    group = sheet.frame["group"].astype(str) if "group" in sheet.frame else pd.Series("", index=sheet.frame.index)
    if (values.groupby(group).nunique() <= 1).all():
        return []
    counts = values.value_counts()
    rarer = values.notna() & (values != counts.index[0])
    rule = f"differs between runs ({', '.join(map(str, counts.index[:4]))}{', ...' if len(counts) > 4 else ''}){_offset(sheet, values)}"
    return about(sheet, ours, rarer, kind=kind, severity="look", rule=rule, hint=hint)


def _offset(sheet: Sheet, values: pd.Series) -> str:
    trend = power_law_residuals(sheet.frame.assign(group=values.fillna("blank")))
    if trend is None:
        return ""
    return f"; at equal size and tokens losses lie {100.0 * (trend.levels.max() - trend.levels.min()):.1f}% apart"


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


def units(sheet: Sheet) -> list[Finding]:
    """Tokens and parameters whose ratio no one trains at: one of the two is in other units."""
    size = next((name for name in ("n_active", "n_dense", "n_total") if sheet.numbers(name).notna().any()), None)
    if size is None:
        return []
    ratio = sheet.numbers("tokens") / sheet.numbers(size)
    return about(
        sheet,
        "tokens",
        (ratio < _RATIOS[0]) | (ratio > _RATIOS[1]),
        kind="units",
        severity="look",
        rule=f"is outside {_RATIOS[0]:g} to {_RATIOS[1]:g} tokens per parameter of {sheet.own(size)}",
        hint="check that tokens are counted in ones, not thousands or millions, and parameters too",
    )


def embeddings(sheet: Sheet) -> list[Finding]:
    """Sizes that exceed what the shape gives by a vocabulary's embedding: embeddings were counted."""
    if any(column not in sheet.frame for column in (*SHAPE, "num_experts", "top_k")):
        return []
    d_shared = sheet.numbers("d_shared").fillna(0.0)
    shape = {name: sheet.numbers(name) for name in (*SHAPE, "num_experts", "top_k")}
    sizes = parameters_from_shape(**shape, d_shared=d_shared)
    vocab, width = sheet.numbers("vocab"), shape["d_model"]
    found = []
    for column in SIZES:
        if column not in sheet.names:
            continue
        excess = sheet.numbers(column) - sizes[column]
        matrix = vocab * width
        notable = excess > 0.01 * sizes[column]
        if matrix.notna().any():
            counted = notable & (np.isclose(excess, matrix, rtol=0.1) | np.isclose(excess, 2.0 * matrix, rtol=0.1))
            more = "the embedding"
        else:
            implied = (excess / width)[notable]
            steady = len(implied) >= 3 and width[notable].nunique() >= 2 and implied.std() < 0.05 * implied.mean()
            counted = notable & bool(steady and _VOCABULARIES[0] < implied.mean() < _VOCABULARIES[1])
            more = f"an embedding of {implied.mean():.0f} words" if steady else ""
        rule = f"exceeds what the shape gives by {more}: it counts embeddings"
        hint = (
            f"sizes here are without embeddings: subtract them, or drop the column to have {column} derived from the shape"
        )
        found += about(sheet, column, counted, kind="embeddings counted", severity="look", rule=rule, hint=hint)
    return found


def few_steps(sheet: Sheet) -> list[Finding]:
    """Runs of so few optimizer steps that the loss is the optimizer's, not the law's."""
    per_step = sheet.numbers("batch_tokens").fillna(sheet.numbers("batch_sequences") * sheet.numbers("sequence_length"))
    steps = (sheet.numbers("tokens") / per_step).fillna(sheet.numbers("steps")).fillna(sheet.numbers("planned_steps"))
    few = steps < _FEW_STEPS
    if not few.any():
        return []
    return [
        Finding(
            kind="few steps",
            severity="look",
            rule=f"makes fewer than {_FEW_STEPS} optimizer steps",
            rows=rows_where(few),
            column=next(
                sheet.own(name)
                for name in ("steps", "planned_steps", "batch_tokens", "batch_sequences")
                if name in sheet.frame
            ),
            value=round(float(steps[few].iloc[0])),
            hint="its loss is above what its size and tokens allow: train such runs with a smaller batch, or leave them out",
        )
    ]


def undecayed(sheet: Sheet) -> list[Finding]:
    """Runs that stopped before their schedule's end, or whose last learning rate is near their peak."""
    found = []
    for done, planned in (("tokens", "planned_tokens"), ("steps", "planned_steps")):
        short = sheet.numbers(done) < _WHOLE_SCHEDULE * sheet.numbers(planned)
        found += about(
            sheet,
            done,
            short,
            kind="undecayed",
            severity="look",
            rule=f"is less than its schedule's {sheet.own(planned)}: the learning rate had not come down",
            hint="finish the run or leave it out: its loss lies above the law",
        )
    high = sheet.numbers("final_learning_rate") > _DECAYED_TO * sheet.numbers("learning_rate")
    found += about(
        sheet,
        "final_learning_rate",
        high,
        kind="undecayed",
        severity="look",
        rule=f"is more than half of the peak in {sheet.own('learning_rate')}: the learning rate had not come down",
        hint="finish the decay or leave the run out, unless all runs share a constant schedule",
    )
    return found


def repeats(sheet: Sheet) -> list[Finding]:
    """Runs under several names that are equal to the last digit of the loss."""
    told = [name for name in sheet.names if name in sheet.frame and name not in ("run_id", "name", "state")]
    if "loss" not in told:
        return []
    return about(
        sheet,
        "run_id",
        sheet.frame[told].astype(str).duplicated(),
        kind="repeat",
        severity="look",
        rule="equals an earlier run in every column that was understood, loss included",
        hint="drop it if it is a copy, or give repeats a seed",
    )


def outliers(sheet: Sheet) -> list[Finding]:
    """Runs far from a power law in size, tokens and experts, fitted so that few runs cannot bend it."""
    trend = power_law_residuals(sheet.frame)
    if trend is None:
        return []
    loss, distance = sheet.numbers("loss"), trend.residuals / trend.mad
    far = (distance.abs() > MANY_MADS) & (trend.residuals.abs() > _LEAST_DISTANCE)
    order = distance[far].abs().sort_values(ascending=False).index
    return [
        Finding(
            kind="outlier",
            severity="look",
            rule=f"is {abs(distance[row]):.0f} MADs {'above' if distance[row] > 0 else 'below'} a power law in {trend.of} "
            f"({100.0 * math.expm1(trend.residuals[row]):+.0f}%)",
            rows=(int(row),),
            column=sheet.own("loss"),
            value=float(loss[row]),
            hint="look at the run: diverged, undecayed, another recipe, or a typing error",
        )
        for row in order
    ]


OF_ROWS: tuple[Suspicion, ...] = (unfinished, diverged, checkpoints, copies)
"""Suspicions of rows that are no runs of their own; of those nothing else is asked."""

OF_VALUES: tuple[Suspicion, ...] = (perplexity, bits_per_byte, small_units)
"""Suspicions of values in other units, which explain the rules of the schema that they break."""

OF_RUNS: tuple[Suspicion, ...] = (
    mixed_losses, mixed_tokenizers, units, embeddings, few_steps, undecayed, repeats, outliers,
)  # fmt: skip
"""Suspicions of runs that keep every rule of the schema, with what was derived."""
