"""Hoffmann et al. 2022, approach 3: the dense law in parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.power import power


@dataclass(frozen=True)
class Chinchilla(Law):
    """Additive law of dense language models.

    ``L = E + A/N^alpha + B/D^beta``

    N parameters (all, with embeddings in the paper), D tokens, E the irreducible loss; L nats per token.

    Coordinates: the loss of the reference run, its logarithmic slopes ``slope_size = alpha w_N`` and ``slope_tokens =
    beta w_D``, and the shares of the reference loss ``w_N = reducible size_part``, ``w_D = reducible (1 - size_part)``.

    Notes
    -----
    The printed two-digit coefficients move the optimal tokens per parameter at 5.76e23 FLOP from 59 to 93; ``hoffmann``
    holds the unrounded ones. Runs: more than 400, with tokens of 5e9 to 5e11.

    References
    ----------
    arXiv:2203.15556, Eq. 10 (the paper's approach 3); refit by Besiroglu et al. 2024, arXiv:2404.10102.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "chinchilla"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    starter_for: ClassVar[tuple[str, ...] | None] = ("tokens",)
    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv:2203.15556, Eq. 10"
    equation: ClassVar[str] = "L = E + A/N^alpha + B/D^beta"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = ADDITIVE
    symbols: ClassVar[dict[str, str]] = {
        "E": "nats/token",
        "A": "nats/token parameters^alpha",
        "B": "nats/token tokens^beta",
        "alpha": "1",
        "beta": "1",
    }
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "in"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {"n_total": (7e7, 1.6e10), "tokens": (5e9, 5e11)}
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "hoffmann",
            {"E": 1.6933737, "A": 406.40102, "B": 410.72283, "alpha": 0.33917084, "beta": 0.2849083},
            "Hoffmann et al. 2022, arXiv:2203.15556, approach 3, unrounded",
            "primary",
        ),
        Published(
            "besiroglu",
            {"E": 1.81686, "A": 482.006, "B": 2085.434, "alpha": 0.34781, "beta": 0.36585},
            "Besiroglu et al. 2024, arXiv:2404.10102",
            "primary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        return p["E"] + p["A"] * power(run[self.size], -p["alpha"]) + p["B"] * power(run["tokens"], -p["beta"])

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        t = terms_of(coordinates)
        return {
            "E": t.constant,
            "A": t.size * reference.run[self.size] ** t.alpha,
            "B": t.tokens * reference.run["tokens"] ** t.beta,
            "alpha": t.alpha,
            "beta": t.beta,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        size = p["A"] * power(reference.run[self.size], -p["alpha"])
        tokens = p["B"] * power(reference.run["tokens"], -p["beta"])
        return coordinates_of_terms(Terms(size, tokens, p["E"], p["alpha"], p["beta"]))
