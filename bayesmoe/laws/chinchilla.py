"""Hoffmann et al. 2022, approach 3: the dense law in parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bayesmoe.laws.base import (
    LOSS_REFERENCE,
    SLOPE_SIZE,
    SLOPE_TOKENS,
    Coordinate,
    Law,
    Published,
    Reference,
    Values,
)

REDUCIBLE = Coordinate("reducible", "unit", 0.0, 0.7, 0.2, "dense", "1", "share of the reference loss that scale can remove")
SIZE_PART = Coordinate(
    "size_part", "unit", 0.0, 0.6, 0.2, "dense", "1", "share of that part that parameters, not tokens, remove"
)


@dataclass(frozen=True)
class Chinchilla(Law):
    """Additive law of dense language models.

    ``L = E + A/N^alpha + B/D^beta``

    N in parameters (with embeddings in the paper; ``size`` says which column is read), D tokens, E the irreducible loss in
    nats per token.

    Coordinates: the loss of the reference run, its logarithmic slopes ``slope_size = alpha w_N`` and ``slope_tokens =
    beta w_D``, and the shares of the reference loss ``w_N = reducible size_part``, ``w_D = reducible (1 - size_part)``.

    References
    ----------
    arXiv:2203.15556, Eq. 10 (the paper's approach 3); refit by Besiroglu et al. 2024, arXiv:2404.10102.
    """

    name: ClassVar[str] = "chinchilla"
    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv:2203.15556"
    equation: ClassVar[str] = "L = E + A/N^alpha + B/D^beta"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = (LOSS_REFERENCE, SLOPE_SIZE, SLOPE_TOKENS, REDUCIBLE, SIZE_PART)
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "hoffmann",
            {"E": 1.693371, "A": 406.401018, "B": 410.722828, "alpha": 0.33917084, "beta": 0.2849083},
            "Hoffmann et al. 2022, arXiv:2203.15556, approach 3, unrounded",
            "P",
        ),
        Published(
            "besiroglu",
            {"E": 1.81686, "A": 482.006, "B": 2085.434, "alpha": 0.34781, "beta": 0.36585},
            "Besiroglu et al. 2024, arXiv:2404.10102",
            "P",
        ),
    )

    def loss(self, parameters: Values, run: Values) -> Any:
        p = parameters
        return p["E"] + p["A"] * run[self.size] ** -p["alpha"] + p["B"] * run["tokens"] ** -p["beta"]

    def paper(self, coordinates: Values, reference: Reference) -> Values:
        q = coordinates
        size_share = q["reducible"] * q["size_part"]
        tokens_share = q["reducible"] * (1.0 - q["size_part"])
        alpha, beta = q["slope_size"] / size_share, q["slope_tokens"] / tokens_share
        return {
            "E": q["loss_reference"] * (1.0 - q["reducible"]),
            "A": q["loss_reference"] * size_share * reference.size**alpha,
            "B": q["loss_reference"] * tokens_share * reference.tokens**beta,
            "alpha": alpha,
            "beta": beta,
        }

    def centre(self, parameters: Values, reference: Reference) -> Values:
        p = parameters
        size_term = p["A"] * reference.size ** -p["alpha"]
        tokens_term = p["B"] * reference.tokens ** -p["beta"]
        total = p["E"] + size_term + tokens_term
        return {
            "loss_reference": total,
            "slope_size": p["alpha"] * size_term / total,
            "slope_tokens": p["beta"] * tokens_term / total,
            "reducible": (size_term + tokens_term) / total,
            "size_part": size_term / (size_term + tokens_term),
        }
