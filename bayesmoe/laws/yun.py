"""Yun et al. 2024: loss from backbone size, tokens and saturating expert count. The primary law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp

from bayesmoe.laws.base import (
    E_MAX,
    E_START,
    GAIN,
    LOSS_REFERENCE,
    SLOPE_SIZE,
    SLOPE_TOKENS,
    Coordinate,
    Law,
    Published,
    Reference,
    Values,
)
from bayesmoe.laws.chinchilla import REDUCIBLE, SIZE_PART
from bayesmoe.laws.saturation import effective_experts

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
    the whole gain of experts together with the interaction. The default, ``interaction="centred"``, puts ``N_c`` at the
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
    interaction : {"centred", "paper"}
        Where the routing term is zero.

    References
    ----------
    arXiv:2404.02852, Eq. 4.
    """

    interaction: Literal["centred", "paper"] = "centred"

    name: ClassVar[str] = "yun"
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
        E_MAX,
    )
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
            "D",
        ),
    )

    def loss(self, parameters: Values, run: Values) -> Any:
        p = parameters
        experts = effective_experts(run["num_experts"], p["e_start"], p["e_max"])
        bracket = (
            p["A"] * run[self.size] ** -p["alpha"]
            + p["B"] * experts ** -p["beta"]
            + p["C"] * run["tokens"] ** -p["gamma"]
            + p["F"]
        )
        return bracket * jnp.exp(p["d"] * jnp.log(run[self.size] / p["N_c"]) * jnp.log(experts / p["e_c"]))

    def paper(self, coordinates: Values, reference: Reference) -> Values:
        q = coordinates
        centred = self.interaction == "centred"
        centres = {"N_c": reference.size if centred else 1.0, "e_c": q["e_start"] if centred else 1.0}
        at = _at_reference(q, centres, reference)
        d = q["interaction"] / at.span
        inner_gain = _softplus(q["gain"] + d * at.tilt_size * at.span)
        inner_slope = _softplus(q["slope_size"] + d * at.tilt_experts)
        # ln of the bracket at the reference experts over the bracket at the gain experts.
        rise = jnp.where(reference.num_experts == reference.gain_experts, 0.0, inner_gain)
        bracket = q["loss_reference"] * jnp.exp(-d * at.tilt_size * at.tilt_experts - rise)
        experts_share = q["reducible"] * q["experts_part"]
        size_share = (q["reducible"] - experts_share) * q["size_part"]
        tokens_share = (q["reducible"] - experts_share) * (1.0 - q["size_part"])
        alpha = inner_slope * jnp.exp(rise) / size_share
        gamma = q["slope_tokens"] * jnp.exp(rise) / tokens_share
        beta = jnp.log1p(jnp.expm1(inner_gain) / experts_share) / at.span
        return {
            "A": bracket * size_share * reference.size**alpha,
            "alpha": alpha,
            "B": bracket * experts_share * jnp.exp(beta * at.ln_gain),
            "beta": beta,
            "C": bracket * tokens_share * reference.tokens**gamma,
            "gamma": gamma,
            "F": bracket * (1.0 - q["reducible"]),
            "d": d,
            "e_start": q["e_start"],
            "e_max": q["e_max"],
            **centres,
        }

    def centre(self, parameters: Values, reference: Reference) -> Values:
        p = parameters
        at = _at_reference(p, p, reference)
        size_term = p["A"] * reference.size ** -p["alpha"]
        experts_term = p["B"] * jnp.exp(-p["beta"] * at.ln_gain)
        tokens_term = p["C"] * reference.tokens ** -p["gamma"]
        reducible = size_term + experts_term + tokens_term
        bracket = reducible + p["F"]
        inner_gain = jnp.log1p(experts_term * jnp.expm1(p["beta"] * at.span) / bracket)
        rise = jnp.where(reference.num_experts == reference.gain_experts, 0.0, inner_gain)
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
            "e_start": p["e_start"],
            "e_max": p["e_max"],
        }


class _AtReference(NamedTuple):
    ln_gain: Any
    span: Any
    tilt_size: Any
    tilt_experts: Any


def _at_reference(p: Values, centres: Values, reference: Reference) -> _AtReference:
    ln_reference = jnp.log(effective_experts(reference.num_experts, p["e_start"], p["e_max"]))
    ln_gain = jnp.log(effective_experts(reference.gain_experts, p["e_start"], p["e_max"]))
    return _AtReference(
        ln_gain,
        ln_gain - jnp.log(p["e_start"]),
        jnp.log(reference.size / centres["N_c"]),
        ln_reference - jnp.log(centres["e_c"]),
    )


def _softplus(x: Any) -> Any:
    return _WIDTH * jnp.logaddexp(x / _WIDTH, 0.0)


def _softplus_inverse(y: Any) -> Any:
    return y + _WIDTH * jnp.log(-jnp.expm1(-y / _WIDTH))
