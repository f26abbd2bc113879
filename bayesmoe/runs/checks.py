"""What values cannot stand in a table of runs: one function a suspicion, each giving its findings."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bayesmoe.runs.finding import Finding, Sheet, Suspicion
from bayesmoe.runs.schema import LEAST_SIZE, LEAST_TOKENS, MOST_LOSS
from bayesmoe.runs.words import BITS_PER_BYTE, PERPLEXITY, plain
from bayesmoe.tables import numbers_of

_HIGH_LOSS = 10.0
_LOW_LOSS = 1.2
_USUAL_RATIOS = (1.0, 900.0)
_WORDS = {"thousands": 1e3, "millions": 1e6, "billions": 1e9}


def perplexity(sheet: Sheet) -> list[Finding]:
    """Losses that are perplexities: by name, beside their logarithm in another column, or by their size."""
    loss, own = sheet.numbers("loss"), sheet.own("loss")
    known = loss.notna()
    if not known.any():
        return []
    rows = loss.index[known]
    for other in sheet.frame.columns if loss[known].nunique() >= 3 else ():
        # A few rows tell most columns apart.
        if other not in ("loss", "run_id") and all(
            _is_exponential(loss, sheet.frame[other], few) for few in (rows[:3], rows)
        ):
            rule = f"is a perplexity, the exponential of {sheet.own(other)}"
            return sheet.wrong("perplexity", "loss", known, rule, f"map loss={sheet.own(other)}")
    words = plain(own).split("_")
    if any(word in words for word in PERPLEXITY) and "log" not in words:
        if "loss" in sheet.mapped:
            rule = "is a perplexity by its name, and was taken for nats per token because it was mapped so"
            return sheet.look("perplexity", "loss", known, rule, f"if it is a perplexity, {_logarithm(loss[known])}")
        hint = _logarithm(loss[known])
        if loss[known].max() < _HIGH_LOSS:
            hint += f"; if it holds nats per token after all, say so: --map loss={own}"
        return sheet.wrong("perplexity", "loss", known, "is a perplexity by its name, not nats per token", hint)
    rule = f"is above {_HIGH_LOSS:g}: a perplexity, or a run that learned nothing"
    high = (loss > _HIGH_LOSS) & (loss <= MOST_LOSS)
    return sheet.look("perplexity", "loss", high, rule, _logarithm(loss[high]) if high.any() else "")


def _logarithm(perplexities: pd.Series) -> str:
    first = perplexities.iloc[0]
    return f"give its logarithm: ln({first:.4g}) = {f'{math.log(first):.4f}' if first > 0 else 'none'}"


def _is_exponential(loss: pd.Series, of: pd.Series, rows: pd.Index) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isclose(np.exp(numbers_of(of.loc[rows])), loss.loc[rows], rtol=1e-3).all())


def bits_per_byte(sheet: Sheet) -> list[Finding]:
    """Losses in bits per byte: by name, or because they are too low for nats per token."""
    loss, own = sheet.numbers("loss"), plain(sheet.own("loss"))
    hint = "convert: nats per token = bits per byte * ln 2 * bytes per token of your tokenizer on this text"
    if any(word in own for word in BITS_PER_BYTE):
        if "loss" in sheet.mapped:
            rule = "is in bits per byte by its name, and was taken for nats per token because it was mapped so"
            return sheet.look("bits per byte", "loss", loss.notna(), rule, f"if it is in bits per byte, {hint}")
        rule = "is in bits per byte by its name, not nats per token"
        return sheet.wrong("bits per byte", "loss", loss.notna(), rule, hint)
    low = loss.notna() & (0 < loss.median() < _LOW_LOSS)
    rule = f"is mostly below {_LOW_LOSS:g}, low for nats per token: bits per byte?"
    return sheet.look("bits per byte", "loss", low, rule, hint)


def small_units(sheet: Sheet) -> list[Finding]:
    """Tokens or parameters written in millions or billions, where the other of the two tells which."""
    parameters, size = sheet.size()
    if not size:
        return []
    tokens = sheet.numbers("tokens")
    few = (parameters > 0) & (parameters < LEAST_SIZE)
    # The smallest runs that are worth a law have several tokens for each parameter; hundreds of billions, in millions, have fewer.
    small = (tokens > 0) & ((tokens < LEAST_TOKENS) | ((tokens < 10.0 * LEAST_TOKENS) & (tokens < parameters)))
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


OF_VALUES: tuple[Suspicion, ...] = (perplexity, bits_per_byte, small_units)
"""Suspicions of values in other units, which explain the rules of the schema that they break."""
