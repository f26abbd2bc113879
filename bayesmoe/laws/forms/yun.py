"""Yun et al. 2024: loss from backbone size, tokens and saturating expert count. The primary law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run
from bayesmoe.laws.coordinates import E_ABOVE, E_START, GAIN, LOSS_REFERENCE, REDUCIBLE, SIZE_PART, SLOPE_SIZE, SLOPE_TOKENS
from bayesmoe.laws.power import power
from bayesmoe.laws.saturation import ln_effective, ln_gain, shape_coordinates, shape_of

# Width over which the gain and the size slope inside the bracket turn from free to positive: a tenth of the values seen in
# published fits, so that both coordinates are the total gain and slope wherever the law makes sense.
_WIDTH = 0.005


@dataclass(frozen=True)
class Yun(Law):
    """Loss of an MoE from dense size, tokens and experts, with a routing term.

    ``ln L = ln( A/N^alpha + B/Ehat^beta + C/D^gamma + F ) + d ln(N/N_c) ln(Ehat/e_c)``

    N is the dense model of the same depth and width, without embeddings; D tokens; Ehat Clark's effective experts, so
    ``Ehat(1) = e_start``; L nats per token. Logarithms are natural. The paper prints none of its coefficients.

    Equation 4 of the paper has ``N_c = e_c = 1`` (``interaction="paper"``). Its product term depends on the unit of N and moves
    the whole gain of experts together with the interaction. The default, ``interaction="centered"``, puts ``N_c`` at the
    reference size and ``e_c = e_start``: a dense model has no routing term, and d is the interaction alone.

    Coordinates: ``loss_reference``, ``slope_size`` and ``slope_tokens`` are the loss and its total logarithmic slopes at
    the reference run; ``gain`` is the total fall of ln L from dense to the gain expert count E1 there; ``interaction = d
    ln(Ehat(E1)/e_start)`` is the part of that gain lost per e-fold of N to routing; ``reducible``, ``experts_part`` and
    ``size_part`` split the sum in the bracket at E1. The gain and the slope inside the bracket must be positive, which a
    softplus secures; it is the identity except within 0.02 of zero.

    Parameters
    ----------
    size : str
        Column read as N.
    interaction : {"centered", "paper"}
        Where the routing term is zero.

    References
    ----------
    arXiv:2404.02852, Eq. 4.
    """

    interaction: Literal["centered", "paper"] = "centered"

    name: ClassVar[str] = "yun"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    starter_for: ClassVar[tuple[str, ...] | None] = ("num_experts", "tokens")
    source: ClassVar[str] = "Yun et al. 2024, arXiv:2404.02852"
    equation: ClassVar[str] = "ln L = ln(A/N^alpha + B/Ehat^beta + C/D^gamma + F) + d ln(N/N_c) ln(Ehat/e_c)"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        LOSS_REFERENCE,
        SLOPE_SIZE,
        SLOPE_TOKENS,
        GAIN,
        Coordinate("interaction", "real", 0.0, 0.01, 0.003, "experts", "1", "gain lost to routing per e-fold of size"),
        REDUCIBLE,
        Coordinate("experts_part", "unit", -1.4, 1.0, 0.3, "shape", "1", "share of the reducible part that experts remove"),
        SIZE_PART,
        E_START,
        E_ABOVE,
    )
    symbols: ClassVar[dict[str, str]] = {
        "A": "nats/token parameters^alpha",
        "alpha": "1",
        "B": "nats/token experts^beta",
        "beta": "1",
        "C": "nats/token tokens^gamma",
        "gamma": "1",
        "F": "nats/token",
        "d": "1",
        "e_start": "experts",
        "e_max": "experts",
        "N_c": "parameters",
        "e_c": "experts",
    }
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "out"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {
        "n_dense": (8.1e7, 6.8e8),
        "tokens": (2.5e9, 2e10),
        "num_experts": (1, 32),
    }
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "illustrative",
            {
                "A": 636.0,
                "alpha": 0.375,
                "B": 1.18,
                "beta": 0.109,
                "C": 6713.0,
                "gamma": 0.422,
                "F": 1.01,
                "d": 0.0,
                "N_c": 1.0,
                "e_c": 1.0,
                "e_start": 5.87,
                "e_max": 342.0,
            },
            "not published: matched to the headline numbers of arXiv:2404.02852 by this project; synthetic truth only",
            "derived",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        ln_experts = ln_effective(run["num_experts"], p)
        bracket = (
            p["A"] * power(run[self.size], -p["alpha"])
            + p["B"] * jnp.exp(-p["beta"] * ln_experts)
            + p["C"] * power(run["tokens"], -p["gamma"])
            + p["F"]
        )
        return bracket * jnp.exp(p["d"] * jnp.log(run[self.size] / p["N_c"]) * (ln_experts - jnp.log(p["e_c"])))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run, shape = coordinates, reference.run, shape_of(coordinates)
        centered = self.interaction == "centered"
        centers = {"N_c": run[self.size] if centered else 1.0, "e_c": q["e_start"] if centered else 1.0}
        at = _at_reference(shape, centers, run[self.size], reference)
        d = q["interaction"] / at.span
        inner_gain = _softplus(q["gain"] + d * at.tilt_size * at.span)
        inner_slope = _softplus(q["slope_size"] + d * at.tilt_experts)
        # ln of the bracket at the reference experts over the bracket at the gain experts.
        rise = jnp.where(run["num_experts"] == reference.gain_experts, 0.0, inner_gain)
        bracket = q["loss_reference"] * jnp.exp(-d * at.tilt_size * at.tilt_experts - rise)
        experts_share = q["reducible"] * q["experts_part"]
        size_share = (q["reducible"] - experts_share) * q["size_part"]
        tokens_share = (q["reducible"] - experts_share) * (1.0 - q["size_part"])
        alpha = inner_slope * jnp.exp(rise) / size_share
        gamma = q["slope_tokens"] * jnp.exp(rise) / tokens_share
        beta = jnp.log1p(jnp.expm1(inner_gain) / experts_share) / at.span
        return {
            "A": bracket * size_share * run[self.size] ** alpha,
            "alpha": alpha,
            "B": bracket * experts_share * jnp.exp(beta * at.ln_gain),
            "beta": beta,
            "C": bracket * tokens_share * run["tokens"] ** gamma,
            "gamma": gamma,
            "F": bracket * (1.0 - q["reducible"]),
            "d": d,
            **shape,
            **centers,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        at = _at_reference(p, p, run[self.size], reference)
        size_term = p["A"] * power(run[self.size], -p["alpha"])
        experts_term = p["B"] * jnp.exp(-p["beta"] * at.ln_gain)
        tokens_term = p["C"] * power(run["tokens"], -p["gamma"])
        reducible = size_term + experts_term + tokens_term
        bracket = reducible + p["F"]
        inner_gain = jnp.log1p(experts_term * jnp.expm1(p["beta"] * at.span) / bracket)
        rise = jnp.where(run["num_experts"] == reference.gain_experts, 0.0, inner_gain)
        inner_slope = p["alpha"] * size_term / bracket * jnp.exp(-rise)
        return {
            "loss_reference": bracket * jnp.exp(rise + p["d"] * at.tilt_size * at.tilt_experts),
            "slope_size": _softplus_inverse(inner_slope) - p["d"] * at.tilt_experts,
            "slope_tokens": p["gamma"] * tokens_term / bracket * jnp.exp(-rise),
            "gain": _softplus_inverse(inner_gain) - p["d"] * at.tilt_size * at.span,
            "interaction": p["d"] * at.span,
            "reducible": reducible / bracket,
            "experts_part": experts_term / reducible,
            "size_part": size_term / (size_term + tokens_term),
            **shape_coordinates(p),
        }


@dataclass(frozen=True)
class YunUnsaturated(Yun):
    """Yun's law without saturation.

    ``ln L = ln( A/N^alpha + B/Ehat^beta + C/D^gamma + F ) + d ln(N/N_c) ln(Ehat/e_c),   Ehat = E - 1 + e_start``

    The limit ``e_max -> infinity`` of :class:`Yun`, whose runs (E up to 32) cannot identify e_max.
    """

    name: ClassVar[str] = "yun-unsaturated"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "no"
    equation: ClassVar[str] = Yun.equation + ", Ehat = E - 1 + e_start"
    coordinates: ClassVar[tuple[Coordinate, ...]] = tuple(c for c in Yun.coordinates if c is not E_ABOVE)
    symbols: ClassVar[dict[str, str]] = {name: unit for name, unit in Yun.symbols.items() if name != "e_max"}
    published: ClassVar[tuple[Published, ...]] = ()


class _AtReference(NamedTuple):
    ln_gain: Elementwise
    span: Elementwise
    tilt_size: Elementwise
    tilt_experts: Elementwise


def _at_reference(p: PaperParameters, centers: PaperParameters, size: Elementwise, reference: Reference) -> _AtReference:
    span = ln_gain(reference.gain_experts, p)
    return _AtReference(
        span + jnp.log(p["e_start"]),
        span,
        jnp.log(size / centers["N_c"]),
        ln_effective(reference.run["num_experts"], p) - jnp.log(centers["e_c"]),
    )


def _softplus(x: Elementwise) -> Elementwise:
    return _WIDTH * jnp.logaddexp(x / _WIDTH, 0.0)


def _softplus_inverse(y: Elementwise) -> Elementwise:
    return y + _WIDTH * jnp.log(-jnp.expm1(-y / _WIDTH))
