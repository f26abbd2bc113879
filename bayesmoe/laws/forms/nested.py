"""The nested dense law, which holds Chinchilla and Kaplan as special cases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE

NESTING = Coordinate(
    "nesting", "positive", math.log(0.5), 0.7, 0.2, "dense", "1", "k: 1 adds size and tokens, less lets the scarcer one bind"
)


@dataclass(frozen=True)
class Nested(Law):
    """Dense law between Chinchilla's and Kaplan's.

    ``L = F + A ( N^-a + R D^-b )^k``

    N parameters, D tokens, F the irreducible loss; L nats per token. ``k = 1`` is Chinchilla's law with exponents a and b;
    ``F = 0`` with ``b k = alpha_D``, ``a k = alpha_N`` is Kaplan's.

    Coordinates: those of :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla`, with ``size_part`` the share of the size term in the
    bracket, and ``nesting = k``.

    References
    ----------
    arXiv:2608.07222.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "nested"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    source: ClassVar[str] = "arXiv:2608.07222"
    equation: ClassVar[str] = "L = F + A (N^-a + R D^-b)^k"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = (*ADDITIVE, NESTING)
    symbols: ClassVar[dict[str, str]] = {
        "F": "nats/token",
        "A": "nats/token parameters^(a k)",
        "a": "1",
        "R": "tokens^b parameters^-a",
        "b": "1",
        "k": "1",
    }

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        return nested_loss(parameters, jnp.log(run[self.size]), jnp.log(run["tokens"]))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        run = reference.run
        return nested_paper(coordinates, jnp.log(run[self.size]), jnp.log(run["tokens"]), coordinates["slope_size"])

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        run = reference.run
        return nested_coordinates(parameters, jnp.log(run[self.size]), jnp.log(run["tokens"]))


def nested_loss(p: PaperParameters, ln_size: Elementwise, ln_tokens: Elementwise) -> Elementwise:
    """``F + A ( N^-a + R D^-b )^k`` from logarithms of size and tokens."""
    return p["F"] + jnp.exp(jnp.log(p["A"]) + p["k"] * _ln_bracket(p, ln_size, ln_tokens))


def nested_paper(q: Coordinates, ln_size: Elementwise, ln_tokens: Elementwise, slope_size: Elementwise) -> PaperParameters:
    """Parameters of the nested form around a reference size and tokens where the slope with ln size is ``slope_size``."""
    k, share = q["nesting"], q["size_part"]
    a, b = slope_size / (q["reducible"] * k * share), q["slope_tokens"] / (q["reducible"] * k * (1.0 - share))
    # The bracket at the reference is N0^-a / share.
    ln_amplitude = jnp.log(q["loss_reference"] * q["reducible"]) + k * (a * ln_size + jnp.log(share))
    return {
        "F": q["loss_reference"] * (1.0 - q["reducible"]),
        "A": jnp.exp(ln_amplitude),
        "a": a,
        "R": jnp.exp(b * ln_tokens - a * ln_size + jnp.log1p(-share) - jnp.log(share)),
        "b": b,
        "k": k,
    }


def nested_coordinates(p: PaperParameters, ln_size: Elementwise, ln_tokens: Elementwise) -> Coordinates:
    """The inverse of :func:`nested_paper`."""
    loss = nested_loss(p, ln_size, ln_tokens)
    share = jnp.exp(-p["a"] * ln_size - _ln_bracket(p, ln_size, ln_tokens))
    reducible = 1.0 - p["F"] / loss
    return {
        "loss_reference": loss,
        "slope_size": reducible * p["k"] * share * p["a"],
        "slope_tokens": reducible * p["k"] * (1.0 - share) * p["b"],
        "reducible": reducible,
        "size_part": share,
        "nesting": p["k"],
    }


def _ln_bracket(p: PaperParameters, ln_size: Elementwise, ln_tokens: Elementwise) -> Elementwise:
    return jnp.logaddexp(-p["a"] * ln_size, jnp.log(p["R"]) - p["b"] * ln_tokens)
