"""A number of a scenario that is known, or known up to a factor."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
from pydantic import Field, Tag

from bayesmoe.specs import NUMBER, NUMBER_OR_SPREAD, SPREAD, spec

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


@spec
class Uncertain:
    """A positive number known up to a factor: log-normal with that median and standard deviation of the logarithm."""

    median: Positive
    log_sd: Annotated[float, Field(ge=0)]


@spec
class UncertainShare:
    """A share in (0, 1] known up to a factor; draws above 1 count as 1."""

    median: Share
    log_sd: Annotated[float, Field(ge=0)]


Quantity = Annotated[Annotated[Positive, Tag(NUMBER)] | Annotated[Uncertain, Tag(SPREAD)], NUMBER_OR_SPREAD]
"""A number, or ``{ median = 2.0, log_sd = 0.2 }``."""

QuantityOrNothing = Annotated[
    Annotated[Annotated[float, Field(ge=0)], Tag(NUMBER)] | Annotated[Uncertain, Tag(SPREAD)], NUMBER_OR_SPREAD
]
"""A number that may be 0, or a spread."""

QuantityShare = Annotated[Annotated[Share, Tag(NUMBER)] | Annotated[UncertainShare, Tag(SPREAD)], NUMBER_OR_SPREAD]
"""A share such as 0.4, or ``{ median = 0.4, log_sd = 0.2 }``."""


def sample(quantity: Any, size: int | tuple[int, ...], rng: np.random.Generator, *, most: float = np.inf) -> np.ndarray:
    """Draws of a quantity, shape ``size``; at most ``most`` (1 for a share)."""
    if isinstance(quantity, Uncertain | UncertainShare):
        return np.minimum(quantity.median * np.exp(quantity.log_sd * rng.standard_normal(size)), most)
    return np.full(size, min(float(quantity), most))


def median(quantity: Any) -> float:
    """Median of a quantity."""
    return float(quantity.median if isinstance(quantity, Uncertain | UncertainShare) else quantity)


def quantile(quantity: Any, level: float) -> float:
    """Quantile of a quantity."""
    spread = quantity.log_sd if isinstance(quantity, Uncertain | UncertainShare) else 0.0
    return median(quantity) * math.exp(spread * NormalDist().inv_cdf(level))


def with_median(quantity: Any, value: float) -> Any:
    """A quantity with another median and the spread that it has."""
    return (
        type(quantity)(median=value, log_sd=quantity.log_sd) if isinstance(quantity, Uncertain | UncertainShare) else value
    )


def fixed_at(quantity: Any, value: float) -> Any:
    """A quantity at a value, without a spread; draws of others stay as they were."""
    return type(quantity)(median=value, log_sd=0.0) if isinstance(quantity, Uncertain | UncertainShare) else value
