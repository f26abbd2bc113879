"""Kaplan et al. 2020: the dense law without an irreducible loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import LOSS_REFERENCE, SIZE_PART, SLOPE_SIZE, SLOPE_TOKENS


@dataclass(frozen=True)
class Kaplan(Law):
    """Joint law in parameters and tokens whose loss falls to zero.

    ``L = [ (N_c/N)^(alpha_N/alpha_D) + D_c/D ]^alpha_D``

    N parameters without embeddings, D tokens; L nats per token. As D grows without bound this is ``(N_c/N)^alpha_N``, and
    as N does, ``(D_c/D)^alpha_D``: the paper's two single-variable laws.

    Coordinates: the loss of the reference run and its logarithmic slopes ``slope_size = alpha_N w`` and ``slope_tokens =
    alpha_D (1 - w)``, with ``size_part = w`` the share of the size term in the bracket.

    Notes
    -----
    The joint law with C = 6 N D implies ``N* ~ C^0.575``; the paper's 0.73 does not follow from it.

    References
    ----------
    arXiv:2001.08361, Eq. 1.5 (joint), 1.1 and 1.2 (limits).
    """

    size: Size = "n_total"

    name: ClassVar[str] = "kaplan"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    starter_for: ClassVar[tuple[str, ...] | None] = ()
    source: ClassVar[str] = "Kaplan et al. 2020, arXiv:2001.08361, Eq. 1.5"
    equation: ClassVar[str] = "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = (LOSS_REFERENCE, SLOPE_SIZE, SLOPE_TOKENS, SIZE_PART)
    symbols: ClassVar[dict[str, str]] = {"N_c": "parameters", "D_c": "tokens", "alpha_N": "1", "alpha_D": "1"}
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "out"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {"n_total": (768, 1.5e9), "tokens": (2.2e7, 2.3e10)}
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "joint",
            {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            "Kaplan et al. 2020, arXiv:2001.08361, Table 2, from two secondary sources that agree",
            "secondary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        size = p["alpha_N"] / p["alpha_D"] * jnp.log(p["N_c"] / run[self.size])
        return jnp.exp(p["alpha_D"] * jnp.logaddexp(size, jnp.log(p["D_c"] / run["tokens"])))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q = coordinates
        alpha_n, alpha_d = q["slope_size"] / q["size_part"], q["slope_tokens"] / (1.0 - q["size_part"])
        ln_bracket = jnp.log(q["loss_reference"]) / alpha_d
        return {
            "N_c": reference.run[self.size] * jnp.exp((ln_bracket + jnp.log(q["size_part"])) * alpha_d / alpha_n),
            "D_c": reference.run["tokens"] * jnp.exp(ln_bracket + jnp.log1p(-q["size_part"])),
            "alpha_N": alpha_n,
            "alpha_D": alpha_d,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        ln_size = p["alpha_N"] / p["alpha_D"] * jnp.log(p["N_c"] / reference.run[self.size])
        share = 1.0 / (1.0 + jnp.exp(jnp.log(p["D_c"] / reference.run["tokens"]) - ln_size))
        return {
            "loss_reference": self.loss(p, reference.run),
            "slope_size": p["alpha_N"] * share,
            "slope_tokens": p["alpha_D"] * (1.0 - share),
            "size_part": share,
        }
