"""Frantar et al. 2023: weight sparsity, as a donor of form for sparsity between experts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.power import power

_SOURCE = "Frantar et al. 2023, arXiv:2309.08520"


@dataclass(frozen=True)
class Frantar(Law):
    """Law of sparse weights: the amplitude of the size term falls with sparsity.

    ``L = ( a_S (1-S)^b_S + c_S ) (1/N)^b_N + (a_D/D)^b_D + c``

    N NON-ZERO parameters, here those used per token; ``1 - S = n_active/n_total``; D tokens; L nats per token.

    Coordinates: those of :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla` at the reference run, ``sparse_ratio = c_S/a_S``, and
    ``sparse_exponent = b_S``.

    Notes
    -----
    The paper's S is unstructured weight sparsity, not experts: its coefficients say nothing about an MoE.

    References
    ----------
    arXiv:2309.08520, Eq. 1.
    """

    size: Size = "n_active"

    name: ClassVar[str] = "frantar"
    source: ClassVar[str] = _SOURCE + ", Eq. 1"
    equation: ClassVar[str] = "L = (a_S (1-S)^b_S + c_S) (1/N)^b_N + (a_D/D)^b_D + c"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "n_total")
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *ADDITIVE,
        Coordinate("sparse_ratio", "positive", math.log(2.0), 0.7, 0.2, "experts", "1", "c_S / a_S"),
        Coordinate("sparse_exponent", "positive", math.log(0.75), 0.5, 0.2, "shape", "1", "exponent of 1 - S"),
    )
    symbols: ClassVar[dict[str, str]] = {
        "a_S": "nats/token parameters^b_N",
        "b_S": "1",
        "c_S": "nats/token parameters^b_N",
        "b_N": "1",
        "a_D": "tokens (nats/token)^(1/b_D)",
        "b_D": "1",
        "c": "nats/token",
    }
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "t5-c4",
            {"a_S": 16.8, "b_S": 0.722, "c_S": 45.0, "b_N": 0.245, "a_D": 6.90e8, "b_D": 0.203, "c": 0.651},
            _SOURCE + ", T5 on C4, from two secondary sources that agree",
            "secondary",
            "weight sparsity, not experts",
        ),
        Published(
            "vit-jft",
            {"a_S": 294.0, "b_S": 0.821, "c_S": 468.0, "b_N": 0.392, "a_D": 2.37e8, "b_D": 0.890, "c": 4.517},
            _SOURCE + ", ViT on JFT-4B; D counts images, from two secondary sources that agree",
            "secondary",
            "weight sparsity of vision models, not experts",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        return sum(self._terms(parameters, run)) + parameters["c"]

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run, t = coordinates, reference.run, terms_of(coordinates)
        active = run[self.size] / run["n_total"]
        amplitude = t.size * run[self.size] ** t.alpha / (active ** q["sparse_exponent"] + q["sparse_ratio"])
        return {
            "a_S": amplitude,
            "b_S": q["sparse_exponent"],
            "c_S": q["sparse_ratio"] * amplitude,
            "b_N": t.alpha,
            "a_D": run["tokens"] * t.tokens ** (1.0 / t.beta),
            "b_D": t.beta,
            "c": t.constant,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        size, tokens = self._terms(p, reference.run)
        return {
            **coordinates_of_terms(Terms(size, tokens, p["c"], p["b_N"], p["b_D"])),
            "sparse_ratio": p["c_S"] / p["a_S"],
            "sparse_exponent": p["b_S"],
        }

    def dense_multiplier(self, parameters: PaperParameters, active_share: Elementwise) -> Elementwise:
        """Size of the dense model of equal loss over the non-zero size, ``((a_S + c_S)/(a_S (1-S)^b_S + c_S))^(1/b_N)``."""
        p = parameters
        return ((p["a_S"] + p["c_S"]) / (p["a_S"] * active_share ** p["b_S"] + p["c_S"])) ** (1.0 / p["b_N"])

    def optimal_sparsity(self, parameters: PaperParameters, size: Elementwise, train_flop: Elementwise) -> Elementwise:
        """Sparsity of lowest loss at N non-zero parameters and ``D = C (1-S)/(6 N)`` tokens, at least 0.

        ``1 - S* = exp{ [ ln( b_D a_D^b_D/(a_S b_S) ) + b_N ln N ]/(b_D + b_S) } (C/(6N))^( -b_D/(b_D + b_S) )``
        """
        p = parameters
        both = p["b_D"] + p["b_S"]
        ln_front = jnp.log(p["b_D"] / (p["a_S"] * p["b_S"])) + p["b_D"] * jnp.log(p["a_D"]) + p["b_N"] * jnp.log(size)
        ln_active = (ln_front - p["b_D"] * jnp.log(train_flop / (6.0 * size))) / both
        return jnp.maximum(0.0, 1.0 - jnp.exp(ln_active))

    def _terms(self, p: PaperParameters, run: Run) -> tuple[Elementwise, Elementwise]:
        amplitude = p["a_S"] * power(run[self.size] / run["n_total"], p["b_S"]) + p["c_S"]
        tokens = jnp.exp(p["b_D"] * (jnp.log(p["a_D"]) - jnp.log(run["tokens"])))
        return amplitude * power(run[self.size], -p["b_N"]), tokens
