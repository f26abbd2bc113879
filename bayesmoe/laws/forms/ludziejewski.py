"""Ludziejewski et al. 2025: the joint MoE law in active parameters, tokens and experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, E_ABOVE, E_START, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.saturation import ln_effective, ln_gain, shape_coordinates, shape_of


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
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "where tokens vary"
    source: ClassVar[str] = "Ludziejewski et al. 2025, arXiv:2502.05172"
    equation: ClassVar[str] = "L = a Ehat^delta N^(alpha + gamma ln Ehat) + b Ehat^omega D^(beta + zeta ln Ehat) + c"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *ADDITIVE,
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
        E_ABOVE,
    )
    symbols: ClassVar[dict[str, str]] = {
        "a": "nats/token parameters^-alpha",
        "alpha": "1",
        "delta": "1",
        "gamma": "1",
        "b": "nats/token tokens^-beta",
        "beta": "1",
        "omega": "1",
        "zeta": "1",
        "c": "nats/token",
        "e_start": "experts",
        "e_max": "experts",
    }
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "in"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {
        "n_active": (0, 2.7e9),
        "tokens": (5e8, 8e10),
        "num_experts": (1, 32),
    }
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
            "primary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        ln_experts = ln_effective(run["num_experts"], p)
        ln_size, ln_tokens = jnp.log(run[self.size]), jnp.log(run["tokens"])
        size_term = p["a"] * jnp.exp(p["delta"] * ln_experts + (p["alpha"] + p["gamma"] * ln_experts) * ln_size)
        tokens_term = p["b"] * jnp.exp(p["omega"] * ln_experts + (p["beta"] + p["zeta"] * ln_experts) * ln_tokens)
        return size_term + tokens_term + p["c"]

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run, shape = coordinates, reference.run, shape_of(coordinates)
        ln_experts, span = ln_effective(run["num_experts"], shape), ln_gain(reference.gain_experts, shape)
        ln_size, ln_tokens = jnp.log(run[self.size]), jnp.log(run["tokens"])
        t = terms_of(q)
        gamma, zeta = q["size_interaction"] / span, q["tokens_interaction"] / span
        delta = -q["size_gain"] / span - gamma * ln_size
        omega = -q["tokens_gain"] / span - zeta * ln_tokens
        return {
            "a": t.size * jnp.exp(-delta * ln_experts + t.alpha * ln_size),
            "alpha": -t.alpha - gamma * ln_experts,
            "delta": delta,
            "gamma": gamma,
            "b": t.tokens * jnp.exp(-omega * ln_experts + t.beta * ln_tokens),
            "beta": -t.beta - zeta * ln_experts,
            "omega": omega,
            "zeta": zeta,
            "c": t.constant,
            **shape,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        ln_experts, span = ln_effective(run["num_experts"], p), ln_gain(reference.gain_experts, p)
        ln_size, ln_tokens = jnp.log(run[self.size]), jnp.log(run["tokens"])
        alpha, beta = -p["alpha"] - p["gamma"] * ln_experts, -p["beta"] - p["zeta"] * ln_experts
        size_term = p["a"] * jnp.exp(p["delta"] * ln_experts - alpha * ln_size)
        tokens_term = p["b"] * jnp.exp(p["omega"] * ln_experts - beta * ln_tokens)
        return {
            **coordinates_of_terms(Terms(size_term, tokens_term, p["c"], alpha, beta)),
            "size_gain": -(p["delta"] + p["gamma"] * ln_size) * span,
            "tokens_gain": -(p["omega"] + p["zeta"] * ln_tokens) * span,
            "size_interaction": p["gamma"] * span,
            "tokens_interaction": p["zeta"] * span,
            **shape_coordinates(p),
        }


@dataclass(frozen=True)
class LudziejewskiUnsaturated(Ludziejewski):
    """Ludziejewski's law without saturation.

    ``L = a Ehat^delta N^(alpha + gamma ln Ehat) + b Ehat^omega D^(beta + zeta ln Ehat) + c,   Ehat = E - 1 + e_start``

    The limit ``e_max -> infinity`` of :class:`Ludziejewski`.
    """

    name: ClassVar[str] = "ludziejewski-unsaturated"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "no"
    equation: ClassVar[str] = Ludziejewski.equation + ", Ehat = E - 1 + e_start"
    coordinates: ClassVar[tuple[Coordinate, ...]] = tuple(c for c in Ludziejewski.coordinates if c is not E_ABOVE)
    symbols: ClassVar[dict[str, str]] = {name: unit for name, unit in Ludziejewski.symbols.items() if name != "e_max"}
    published: ClassVar[tuple[Published, ...]] = ()
