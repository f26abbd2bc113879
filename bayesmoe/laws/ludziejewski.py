"""Ludziejewski et al. 2025: the joint MoE law in active parameters, tokens and experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from bayesmoe.laws.base import (
    E_MAX,
    E_START,
    LOSS_REFERENCE,
    SLOPE_SIZE,
    SLOPE_TOKENS,
    Coordinate,
    Law,
    Published,
    Reference,
    Size,
    Values,
)
from bayesmoe.laws.chinchilla import REDUCIBLE, SIZE_PART
from bayesmoe.laws.saturation import effective_experts


@dataclass(frozen=True)
class Ludziejewski(Law):
    """Joint law whose size and tokens exponents both move with the effective expert count.

    ``L = a Ehat^delta N^(alpha + gamma ln Ehat) + b Ehat^omega D^(beta + zeta ln Ehat) + c``

    N is the ACTIVE parameters, with both embedding matrices in the paper; D tokens; alpha and beta are NEGATIVE; Ehat Clark's
    effective experts. L nats per token.

    Coordinates: the loss and the slopes of the reference run, the shares of its size and tokens terms, and for each of the
    two terms its fall on the log scale from dense to the gain expert count (``size_gain``, ``tokens_gain``) and how much of
    that fall is lost per e-fold of N or D (``size_interaction``, ``tokens_interaction``).

    References
    ----------
    arXiv:2502.05172, Eq. 6 and Table 3. Secondary sources list the exponents with opposite signs.
    """

    size: Size = "n_active"

    name: ClassVar[str] = "ludziejewski"
    source: ClassVar[str] = "Ludziejewski et al. 2025, arXiv:2502.05172"
    equation: ClassVar[str] = "L = a Ehat^delta N^(alpha + gamma ln Ehat) + b Ehat^omega D^(beta + zeta ln Ehat) + c"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        LOSS_REFERENCE,
        SLOPE_SIZE,
        SLOPE_TOKENS,
        REDUCIBLE,
        SIZE_PART,
        Coordinate(
            "size_gain", "real", 0.1, 0.15, 0.05, "experts", "1", "fall of ln of the size term from dense to the gain count"
        ),
        Coordinate(
            "tokens_gain",
            "real",
            0.1,
            0.15,
            0.05,
            "experts",
            "1",
            "fall of ln of the tokens term from dense to the gain count",
        ),
        Coordinate("size_interaction", "real", 0.0, 0.05, 0.01, "experts", "1", "size gain lost per e-fold of size"),
        Coordinate("tokens_interaction", "real", 0.0, 0.05, 0.01, "experts", "1", "tokens gain lost per e-fold of tokens"),
        E_START,
        E_MAX,
    )
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "joint",
            {
                "a": 35.91,
                "alpha": -0.1889,
                "delta": -0.2285,
                "gamma": 0.0098,
                "b": 35.98,
                "beta": -0.1775,
                "omega": 0.5529,
                "zeta": -0.0259,
                "c": 1.3637,
                "e_start": 2.0732,
                "e_max": 290.4521,
            },
            "Ludziejewski et al. 2025, arXiv:2502.05172, Table 3",
            "P",
        ),
    )

    def loss(self, parameters: Values, run: Values) -> Any:
        p = parameters
        ln_experts = jnp.log(effective_experts(run["num_experts"], p["e_start"], p["e_max"]))
        ln_size, ln_tokens = jnp.log(run[self.size]), jnp.log(run["tokens"])
        size_term = p["a"] * jnp.exp(p["delta"] * ln_experts + (p["alpha"] + p["gamma"] * ln_experts) * ln_size)
        tokens_term = p["b"] * jnp.exp(p["omega"] * ln_experts + (p["beta"] + p["zeta"] * ln_experts) * ln_tokens)
        return size_term + tokens_term + p["c"]

    def paper(self, coordinates: Values, reference: Reference) -> Values:
        q = coordinates
        ln_experts, span = _logs(q, reference)
        ln_size, ln_tokens = jnp.log(reference.size), jnp.log(reference.tokens)
        size_share = q["reducible"] * q["size_part"]
        tokens_share = q["reducible"] * (1.0 - q["size_part"])
        gamma, zeta = q["size_interaction"] / span, q["tokens_interaction"] / span
        delta = -q["size_gain"] / span - gamma * ln_size
        omega = -q["tokens_gain"] / span - zeta * ln_tokens
        size_exponent, tokens_exponent = -q["slope_size"] / size_share, -q["slope_tokens"] / tokens_share
        return {
            "a": q["loss_reference"] * size_share * jnp.exp(-delta * ln_experts - size_exponent * ln_size),
            "alpha": size_exponent - gamma * ln_experts,
            "delta": delta,
            "gamma": gamma,
            "b": q["loss_reference"] * tokens_share * jnp.exp(-omega * ln_experts - tokens_exponent * ln_tokens),
            "beta": tokens_exponent - zeta * ln_experts,
            "omega": omega,
            "zeta": zeta,
            "c": q["loss_reference"] * (1.0 - q["reducible"]),
            "e_start": q["e_start"],
            "e_max": q["e_max"],
        }

    def centre(self, parameters: Values, reference: Reference) -> Values:
        p = parameters
        ln_experts, span = _logs(p, reference)
        ln_size, ln_tokens = jnp.log(reference.size), jnp.log(reference.tokens)
        size_exponent = p["alpha"] + p["gamma"] * ln_experts
        tokens_exponent = p["beta"] + p["zeta"] * ln_experts
        size_term = p["a"] * jnp.exp(p["delta"] * ln_experts + size_exponent * ln_size)
        tokens_term = p["b"] * jnp.exp(p["omega"] * ln_experts + tokens_exponent * ln_tokens)
        total = size_term + tokens_term + p["c"]
        return {
            "loss_reference": total,
            "slope_size": -size_exponent * size_term / total,
            "slope_tokens": -tokens_exponent * tokens_term / total,
            "reducible": (size_term + tokens_term) / total,
            "size_part": size_term / (size_term + tokens_term),
            "size_gain": -(p["delta"] + p["gamma"] * ln_size) * span,
            "tokens_gain": -(p["omega"] + p["zeta"] * ln_tokens) * span,
            "size_interaction": p["gamma"] * span,
            "tokens_interaction": p["zeta"] * span,
            "e_start": p["e_start"],
            "e_max": p["e_max"],
        }


def _logs(p: Values, reference: Reference) -> tuple[Any, Any]:
    ln_experts = jnp.log(effective_experts(reference.num_experts, p["e_start"], p["e_max"]))
    ln_gain = jnp.log(effective_experts(reference.gain_experts, p["e_start"], p["e_max"]))
    return ln_experts, ln_gain - jnp.log(p["e_start"])
