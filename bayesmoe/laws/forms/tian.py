"""Tian et al. 2025: efficiency leverage of an MoE over a dense model, and the loss law it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run
from bayesmoe.laws.coordinates import LOSS_REFERENCE, REDUCIBLE
from bayesmoe.laws.saturation import saturated

_LEVERAGE = (
    Coordinate(
        "leverage_exponent",
        "real",
        0.5,
        0.2,
        0.05,
        "experts",
        "1",
        "rise of ln leverage per e-fold of sparsity, at reference",
    ),
    Coordinate("leverage_growth", "real", 0.07, 0.05, 0.02, "experts", "1", "rise of that exponent per decade of compute"),
    Coordinate(
        "best_granularity", "positive", math.log(11.0), 0.5, 0.2, "shape", "1", "G = 2 d_model/d_expert of highest leverage"
    ),
    Coordinate(
        "granularity_curvature", "positive", math.log(0.017), 0.7, 0.2, "shape", "1", "curvature of the exponent in log2 G"
    ),
    Coordinate("a_start", "positive", math.log(0.016), 0.7, 0.3, "shape", "1", "activation ratio where gains saturate"),
)
_SYMBOLS = {"a": "1", "d": "1/decade", "gamma": "1", "beta": "1", "A_start": "1"}
_RANGE = {"train_flop": (3e17, 6e20), "activation_ratio": (0.008, 1), "granularity": (4, 32)}


@dataclass(frozen=True)
class Tian(Law):
    """Loss of an MoE as that of a dense model with leveraged compute.

    ``L = E + B ( EL C )^-b,   EL = ( (A + A_start)/(1 + A_start) )^x,   x = a + d log10 C + gamma (log2 G)^2 + beta log2 G``

    Symbols as in :class:`TianLeverage`; E the irreducible loss, B and b the dense law of loss against compute at its optimal
    allocation; L nats per token. Leverage is divided by its value at A = 1, so that a dense run has none.

    Coordinates: ``loss_reference``, ``slope_flop`` (fall of ln L per e-fold of leveraged compute) and ``reducible`` at the
    reference run, and those of the leverage.

    References
    ----------
    arXiv:2507.17702, ``L = alpha_X C^-beta_X`` with the offset of the paper's later version, and Eq. 13.
    """

    name: ClassVar[str] = "tian"
    source: ClassVar[str] = "Tian et al. 2025, arXiv:2507.17702, Eq. 13 with a dense compute law"
    equation: ClassVar[str] = (
        "L = E + B (EL C)^-b, EL = ((A + A_start)/(1 + A_start))^(a + d log10 C + gamma (log2 G)^2 + beta log2 G)"
    )
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        LOSS_REFERENCE,
        Coordinate(
            "slope_flop",
            "positive",
            math.log(0.06),
            0.5,
            0.1,
            "dense",
            "1",
            "fall of ln loss per e-fold of leveraged compute",
        ),
        REDUCIBLE,
        *_LEVERAGE,
    )
    symbols: ClassVar[dict[str, str]] = {"E": "nats/token", "B": "nats/token FLOP^b", "b": "1", **_SYMBOLS}
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = _RANGE

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns read: no size, no tokens."""
        return ("train_flop", "activation_ratio", "granularity")

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        return p["E"] + p["B"] * jnp.exp(-p["b"] * _ln_leveraged(p, run))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q = coordinates
        p = _leverage_paper(q, reference)
        b = q["slope_flop"] / q["reducible"]
        amplitude = q["loss_reference"] * q["reducible"] * jnp.exp(b * _ln_leveraged(p, reference.run))
        return {"E": q["loss_reference"] * (1.0 - q["reducible"]), "B": amplitude, "b": b, **p}

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        loss = self.loss(p, reference.run)
        reducible = 1.0 - p["E"] / loss
        return {
            "loss_reference": loss,
            "slope_flop": p["b"] * reducible,
            "reducible": reducible,
            **_leverage_center(p, reference),
        }


@dataclass(frozen=True)
class TianLeverage(Law):
    """Efficiency leverage: how much more compute a dense model needs for the same loss.

    ``EL = Ahat^x,   x = a + d log10 C + gamma (log2 G)^2 + beta log2 G,   Ahat = A + A_start``

    A activation ratio ``(K + s)/(E + s)``, ``G = 2 d_model/d_expert`` (half of the column ``granularity``), C training FLOP; EL a
    ratio of FLOP. Logarithms are log10 of C and log2 of G: of all bases only these give the paper's leverage (7.2 at A =
    1/32, G = 12, C = 1e22) and best G (11.3) together. d is NEGATIVE: Ahat < 1, so leverage grows with compute.

    Coordinates: minus the exponent at the reference run, minus d, the best G, gamma, and A_start.

    Notes
    -----
    The printed A_max of 5e16 is no saturation at all and is left out of the coordinates. EL(A = 1) is 0.99, not 1. C must
    include the backward pass. The fit covers up to 6e20 FLOP; the claim at 1e22 extrapolates.

    References
    ----------
    arXiv:2507.17702, Eq. 13 and Table 2.
    """

    name: ClassVar[str] = "tian-leverage"
    source: ClassVar[str] = "Tian et al. 2025, arXiv:2507.17702, Eq. 13"
    equation: ClassVar[str] = "EL = (A + A_start)^(a + d log10 C + gamma (log2 G)^2 + beta log2 G)"
    coordinates: ClassVar[tuple[Coordinate, ...]] = _LEVERAGE
    symbols: ClassVar[dict[str, str]] = _SYMBOLS
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = _RANGE
    response: ClassVar[Literal["loss", "leverage"]] = "leverage"
    noise_median: ClassVar[float] = 0.05
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "table-2",
            {"a": 1.23, "d": -7.61e-2, "gamma": 1.67e-2, "beta": -1.17e-1, "A_start": 1.63e-2},
            "Tian et al. 2025, arXiv:2507.17702, Table 2",
            "primary",
        ),
    )

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns read: no size, no tokens."""
        return ("train_flop", "activation_ratio", "granularity")

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        ln_ratio = jnp.log(saturated(run["activation_ratio"], p["A_start"], p.get("A_max", jnp.inf)))
        return jnp.exp(_exponent(p, run) * ln_ratio)

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        return _leverage_paper(coordinates, reference)

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        return _leverage_center(parameters, reference)


def _log2_granularity(run: Run) -> Elementwise:
    """log2 of Tian's G, which is half of the run table's."""
    return jnp.log2(run["granularity"]) - 1.0


def _exponent(p: PaperParameters, run: Run) -> Elementwise:
    g = _log2_granularity(run)
    return p["a"] + p["d"] * jnp.log10(run["train_flop"]) + p["gamma"] * g**2 + p["beta"] * g


def _ln_leveraged(p: PaperParameters, run: Run) -> Elementwise:
    """ln(EL C) with leverage relative to a dense model."""
    ratio = (run["activation_ratio"] + p["A_start"]) / (1.0 + p["A_start"])
    return jnp.log(run["train_flop"]) + _exponent(p, run) * jnp.log(ratio)


def _leverage_paper(q: Coordinates, reference: Reference) -> PaperParameters:
    gamma, d = q["granularity_curvature"], -q["leverage_growth"]
    beta = -2.0 * gamma * jnp.log2(q["best_granularity"])
    rest = _exponent({"a": 0.0, "d": d, "gamma": gamma, "beta": beta}, reference.run)
    return {"a": -q["leverage_exponent"] - rest, "d": d, "gamma": gamma, "beta": beta, "A_start": q["a_start"]}


def _leverage_center(p: PaperParameters, reference: Reference) -> Coordinates:
    return {
        "leverage_exponent": -_exponent(p, reference.run),
        "leverage_growth": -p["d"],
        "best_granularity": 2.0 ** (-p["beta"] / (2.0 * p["gamma"])),
        "granularity_curvature": p["gamma"],
        "a_start": p["A_start"],
    }
