"""Coordinates that laws share, and the additive core that most of them have: a size term, a tokens term and a constant."""

from __future__ import annotations

import math
from typing import NamedTuple

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates

E_START = Coordinate("e_start", "above_one", 0.3, 0.6, 0.4, "shape", "experts", "effective experts of a dense model")
E_ABOVE = Coordinate(
    "e_above",
    "positive",
    math.log(350.0),
    0.7,
    0.4,
    "shape",
    "experts",
    "effective experts at saturation, above those of a dense model",
)
LOSS_REFERENCE = Coordinate(
    "loss_reference", "positive", math.log(2.7), 0.35, 0.05, "dense", "nats/token", "loss of the reference run"
)
SLOPE_SIZE = Coordinate(
    "slope_size",
    "positive",
    math.log(0.06),
    0.5,
    0.1,
    "dense",
    "1",
    "fall of ln loss per e-fold of size, at the reference run",
)
SLOPE_TOKENS = Coordinate(
    "slope_tokens",
    "positive",
    math.log(0.06),
    0.5,
    0.1,
    "dense",
    "1",
    "fall of ln loss per e-fold of tokens, at the reference run",
)
GAIN = Coordinate(
    "gain",
    "positive",
    math.log(0.1),
    0.7,
    0.2,
    "experts",
    "1",
    "fall of ln loss from a dense model to the reference expert count",
)
INTERACTION = Coordinate(
    "interaction",
    "real",
    0.1,
    0.12,
    0.05,
    "experts",
    "1",
    "part of the size slope that experts take away, from a dense model to the reference expert count",
)
REDUCIBLE = Coordinate("reducible", "unit", 0.0, 0.7, 0.2, "dense", "1", "share of the reference loss that scale can remove")
SIZE_PART = Coordinate(
    "size_part", "unit", 0.0, 0.6, 0.2, "dense", "1", "share of what scale removes that falls to parameters, not tokens"
)
ADDITIVE = (LOSS_REFERENCE, SLOPE_SIZE, SLOPE_TOKENS, REDUCIBLE, SIZE_PART)
"""Coordinates of ``L = constant + size term + tokens term``."""


class Terms(NamedTuple):
    """An additive law at its reference run: its three terms in nats per token, and the exponents of the first two."""

    size: Elementwise
    tokens: Elementwise
    constant: Elementwise
    alpha: Elementwise
    beta: Elementwise


def terms_of(q: Coordinates) -> Terms:
    """Terms from the coordinates: ``size = loss_reference reducible size_part``, ``alpha = slope_size loss_reference / size``."""
    loss = q["loss_reference"]
    size = loss * q["reducible"] * q["size_part"]
    tokens = loss * q["reducible"] * (1.0 - q["size_part"])
    return Terms(
        size, tokens, loss * (1.0 - q["reducible"]), q["slope_size"] * loss / size, q["slope_tokens"] * loss / tokens
    )


def coordinates_of_terms(terms: Terms) -> Coordinates:
    """The inverse of :func:`terms_of`."""
    scaled = terms.size + terms.tokens
    loss = scaled + terms.constant
    return {
        "loss_reference": loss,
        "slope_size": terms.alpha * terms.size / loss,
        "slope_tokens": terms.beta * terms.tokens / loss,
        "reducible": scaled / loss,
        "size_part": terms.size / scaled,
    }
