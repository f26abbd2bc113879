"""What deserves a look in a table of runs: one function a suspicion, each giving its findings."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bayesmoe.architecture import parameters_from_shape
from bayesmoe.runs.audit.kinds_of_loss import kinds_of_loss
from bayesmoe.runs.audit.robust_trend import power_law_residuals
from bayesmoe.runs.audit.structure import constants, no_law, words_that_explain
from bayesmoe.runs.derive import tokens_per_step
from bayesmoe.runs.epochs import UNIQUE, with_unique_tokens
from bayesmoe.runs.epochs import repeats as repeated_tokens
from bayesmoe.runs.finding import Finding, Sheet, Suspicion, rows_where
from bayesmoe.runs.losses import is_another_loss
from bayesmoe.runs.model_names import counts_embeddings, is_sampling_top_k, size_name, speaks_of_parameters, words_of
from bayesmoe.runs.schema import SHAPE, SIZES

MANY_MADS = 7.0
"""Distance from the trend, in scaled MADs, at which a run is looked at."""

_LEAST_DISTANCE = 0.02
_FEW_STEPS = 2000
_RATIOS, _USUAL_RATIOS, _THOUSANDFOLD = (0.01, 1e5), (0.3, 3000.0), 90.0
_DECAYED_TO = 0.5
_WHOLE_SCHEDULE = 0.98
_PASSES_APART = 0.1
_VOCABULARIES = (8e3, 6e5)


def mixed_losses(sheet: Sheet) -> list[Finding]:
    """Losses of several kinds: training and held-out columns side by side, or a column that says what was measured."""
    hint = "losses on different text cannot be compared: keep one, or group by it (--map group=...)"
    return kinds_of_loss(sheet) + _several(sheet, "loss_kind", "kinds of loss", hint)


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
    return sheet.look(kind, ours, rarer, rule, hint)


def _offset(sheet: Sheet, values: pd.Series) -> str:
    trend = power_law_residuals(sheet.frame, group=values.fillna("blank"))
    if trend is None:
        return ""
    return f"; at equal size and tokens losses lie {100.0 * (trend.levels.max() - trend.levels.min()):.1f}% apart"


def units(sheet: Sheet) -> list[Finding]:
    """Tokens and parameters whose ratio no one trains at: one of the two is in other units, in all runs or in some."""
    sizes, size = sheet.size()
    if not size:
        return []
    ratio = sheet.numbers("tokens") / sizes
    middle = ratio.median()
    beyond = (ratio < _RATIOS[0]) | (ratio > _RATIOS[1])
    # Of models of one number of tokens the smallest see thousands a parameter, and are right.
    apart = (ratio < middle / _THOUSANDFOLD) | (ratio > middle * _THOUSANDFOLD)
    all_of_them = not _USUAL_RATIOS[0] <= middle <= _USUAL_RATIOS[1]
    odd = beyond | (((ratio < _USUAL_RATIOS[0]) | (ratio > _USUAL_RATIOS[1])) & (apart | all_of_them))
    low, high = _RATIOS if (beyond == odd).all() else _USUAL_RATIOS
    rule = f"is outside {low:g} to {high:g} tokens per parameter of {sheet.own(size)} (median {middle:.3g})"
    hint = "check that tokens are counted in ones, not thousands or millions, and parameters too; and that a batch was not multiplied twice"
    return sheet.look("units", "tokens", odd, rule, hint)


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
        found += sheet.look("embeddings counted", column, counted, rule, hint)
    return found


def embeddings_by_name(sheet: Sheet) -> list[Finding]:
    """Sizes of which a name says that embeddings are counted, or of which only one is said to be without."""
    said = {ours: size_name(sheet.names[ours]) for ours in SIZES if ours in sheet.names}
    known = {ours: one.embeddings for ours, one in said.items() if one is not None}
    beside = [name for name in sheet.present if counts_embeddings(name)]
    found = []
    for ours, spoken in known.items():
        own = sheet.own(ours)
        without = [sheet.own(other) for other, one in known.items() if one == "without"]
        if spoken == "with":
            rule = "counts embeddings, by its name"
        elif spoken == "" and without:
            rule = f"does not say that embeddings are left out, as {without[0]} does"
        elif spoken == "" and beside and ours != "n_dense":
            rule = f"may count embeddings: {beside[0]} stands beside it"
        else:
            continue
        hint = "sizes here are without embeddings: subtract them, or name a column that has them left out (--map ours=YOUR_COLUMN)"
        found.append(Finding("embeddings counted", "look", rule, hint, column=own))
    return found


def mapped(sheet: Sheet) -> list[Finding]:
    """Columns that the user named, and whose names say another thing: they are believed."""
    rules = {
        "loss": (is_another_loss, "is another loss than that of the text"),
        "tokens": (_is_of_other_tokens, "counts other tokens than those of training"),
        "top_k": (lambda name: is_sampling_top_k(name, sheet.present), "is a setting of sampling text"),
        **dict.fromkeys(SIZES, (_is_of_a_part, "counts the parameters of a part of the model")),
    }
    return [
        Finding(
            "mapped",
            "look",
            f"{says} by its name, and was read as {ours} because it was mapped so",
            "check the map",
            column=own,
        )
        for ours, (speaks, says) in rules.items()
        if ours in sheet.mapped and speaks(own := sheet.own(ours))
    ]


def _is_of_a_part(name: str) -> bool:
    return speaks_of_parameters(name) and size_name(name) is None


def _is_of_other_tokens(name: str) -> bool:
    return bool(set(words_of(name)) & {"val", "valid", "validation", "eval", "test", "per", "vocab"})


def few_steps(sheet: Sheet) -> list[Finding]:
    """Runs of so few optimizer steps that the loss is the optimizer's, not the law's."""
    per_step, _ = tokens_per_step(sheet.frame)
    steps = (
        (sheet.numbers("tokens") / (np.nan if per_step is None else per_step))
        .fillna(sheet.numbers("steps"))
        .fillna(sheet.numbers("planned_steps"))
    )
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
    found, late = [], "the learning rate had not come down"
    for done, planned in (("tokens", "planned_tokens"), ("steps", "planned_steps")):
        short = sheet.numbers(done) < _WHOLE_SCHEDULE * sheet.numbers(planned)
        hint = "finish the run or leave it out: its loss lies above the law"
        found += sheet.look("undecayed", done, short, f"is less than its schedule's {sheet.own(planned)}: {late}", hint)
    high = sheet.numbers("final_learning_rate") > _DECAYED_TO * sheet.numbers("learning_rate")
    rule = f"is more than half of the peak in {sheet.own('learning_rate')}: {late}"
    hint = "finish the decay or leave the run out, unless all runs share a constant schedule"
    return found + sheet.look("undecayed", "final_learning_rate", high, rule, hint)


def several_epochs(sheet: Sheet) -> list[Finding]:
    """Runs that pass over their data more than once, and passes that contradict the distinct tokens."""
    if "tokens" not in sheet.frame:
        return []
    numbers = pd.DataFrame({name: sheet.numbers(name) for name in ("tokens", UNIQUE, "epochs")})
    many = repeated_tokens(numbers)
    passes = numbers["tokens"] / with_unique_tokens(numbers)[UNIQUE]
    column = UNIQUE if UNIQUE in sheet.names else "epochs"
    where = f" (row {passes.idxmax()})" if many.any() else ""
    rule = f"says that tokens repeat, up to {passes.max():.3g} passes over the same data{where}"
    hint = "a fit counts repeats as worth less than fresh tokens; if these tokens are all distinct, correct it"
    odd = ((numbers["epochs"] / passes - 1.0).abs() > _PASSES_APART) & (numbers["epochs"] > 1.0) & numbers[UNIQUE].notna()
    return [
        *sheet.look("several epochs", column, many, rule, hint),
        *sheet.look(
            "several epochs", "epochs", odd, "is not tokens over distinct tokens, which are believed", "correct one of them"
        ),
    ]


def repeats(sheet: Sheet) -> list[Finding]:
    """Runs under several names that are equal to the last digit of the loss."""
    known = [name for name in sheet.names if name in sheet.frame and name not in ("run_id", "name", "state")]
    if "loss" not in known:
        return []
    looked_at = sheet.frame[known]
    # Lists have no hash; numbers need no text.
    twice = looked_at.astype({name: str for name, kind in looked_at.dtypes.items() if kind.kind == "O"}).duplicated()
    rule = "equals an earlier run in every column that was recognized, loss included"
    return sheet.look("repeat", "run_id", twice, rule, "drop it if it is a copy, or give repeats a seed")


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


OF_RUNS: tuple[Suspicion, ...] = (
    no_law, mixed_losses, mixed_tokenizers, words_that_explain, constants, units, embeddings, embeddings_by_name, few_steps, several_epochs, mapped, undecayed, repeats, outliers,
)  # fmt: skip
"""Suspicions of runs that keep every rule of the schema, with what was derived."""
