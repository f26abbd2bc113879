"""Canonical units: nats per token, parameters, tokens, FLOP, bytes, seconds, USD.

Column names, TOML keys and flags carry the unit as a suffix (``_flop``, ``_flop_per_s``, ``_usd``, ``_bytes``, ``_s``);
this module holds the factors between the units people write and the ones the package computes in, and writes numbers as people read them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import SupportsFloat

LN10 = math.log(10.0)
SECONDS_PER_HOUR = 3600.0
HOURS_PER_DAY = 24.0
TOKENS_PER_MILLION = 1e6
BYTES_PER_GB = 1e9
GRAMS_PER_KG = 1000.0

BAND = (0.05, 0.95)
"""Quantiles of the 90% band, the band quoted everywhere."""

QUANTILES = (BAND[0], 0.5, BAND[1])
"""Those of the band and the median, rising."""


def perplexity_to_loss(perplexity: float) -> float:
    """Loss in nats per token of a per-token perplexity: ``ln(perplexity)``."""
    return math.log(perplexity)


def finite_or_none(value: SupportsFloat) -> float | None:
    """A number for JSON, which knows no NaN: None for what is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None


_PREFIXES = ((1e15, "Q"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def short(value: float, digits: int = 2) -> str:
    """Write a count the way planners say it: ``7.1B``, ``320M``; non-finite values as a dash.

    Parameters
    ----------
    value : float
        Parameters, tokens or another dimensionless count.
    digits : int
        Significant digits kept.
    """
    if not math.isfinite(value):
        return "–"
    rounded = float(_rounded(value, digits))
    for factor, letter in _PREFIXES:
        if abs(rounded) >= factor:
            return f"{significant(value / factor, digits)}{letter}"
    return significant(value, digits)


def significant(value: float, digits: int = 2) -> str:
    """Round to ``digits`` significant digits without an exponent; non-finite values as a dash."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    rounded = _rounded(value, digits)
    decimals = digits - 1 - int(rounded.partition("e")[2])
    return f"{float(rounded):.{max(decimals, 0)}f}"


def _rounded(value: float, digits: int) -> str:
    return f"{value:.{digits - 1}e}"


def band(low: float, median: float, high: float, *, large: bool = False) -> str:
    """``2.161 (2.123–2.204)``, rounded so that the band has two digits, or each number where it spans a factor of three; counts as ``3.1B``.

    Parameters
    ----------
    low, median, high : float
        The 5%, 50% and 95% quantiles.
    large : bool
        Whether the value is a count to be shortened.
    """
    if not all(map(math.isfinite, (low, median, high))):
        return "–"
    if low == high and large:
        return short(median)
    if large or high >= 1e5:
        return f"{short(median)} ({short(low)}–{short(high)})"
    if low > 0 and high / low > 3:
        return f"{significant(median)} ({significant(low)}–{significant(high)})"
    width = high - low
    if width == 0:
        return significant(median)
    digits = max(0, min(6, 1 - math.floor(math.log10(width))))
    return f"{median:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def percent(share: float) -> str:
    """A probability, never rounded to a certainty it is not."""
    if 0 < share < 0.01:
        return "< 1%"
    if 0.99 < share < 1:
        return "> 99%"
    return f"{100 * share:.0f}%"


def experts(count: int) -> str:
    """``dense`` or ``16 experts``."""
    return "dense" if count == 1 else f"{count} experts"


def listed(counts: Iterable[int]) -> str:
    """``4, 8 or 16 experts``."""
    names = ["dense" if count == 1 else str(count) for count in counts]
    if not names:
        return "none"
    head = ", ".join(names[:-1])
    joined = f"{head} or {names[-1]}" if head else names[-1]
    return joined if names[-1] == "dense" else f"{joined} experts"
