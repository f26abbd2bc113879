"""Wang et al. 2024: Chinchilla's form with the size term divided by a power of the expert count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.power import power


@dataclass(frozen=True)
class Wang(Law):
    """Additive law whose size term falls with experts, without saturation.

    ``L = A/(N^alpha E^gamma) + B/D^beta + sigma``

    N parameters used per token, E routed experts, D tokens; L nats per token. The amplitudes are not printed in what was
    read.

    Coordinates: those of :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla` at the reference run, and ``size_gain = gamma ln E1``,
    the fall of ln of the size term from dense to the gain expert count E1.

    References
    ----------
    arXiv:2410.05661.
    """

    size: Size = "n_active"

    name: ClassVar[str] = "wang"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "where tokens vary"
    source: ClassVar[str] = "Wang et al. 2024, arXiv:2410.05661"
    equation: ClassVar[str] = "L = A/(N^alpha E^gamma) + B/D^beta + sigma"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *ADDITIVE,
        Coordinate(
            "size_gain",
            "positive",
            math.log(0.3),
            0.7,
            0.2,
            "experts",
            "1",
            "fall of ln of the size term from dense to the reference expert count",
        ),
    )
    symbols: ClassVar[dict[str, str]] = {
        "A": "nats/token parameters^alpha",
        "B": "nats/token tokens^beta",
        "sigma": "nats/token",
        "alpha": "1",
        "beta": "1",
        "gamma": "1",
    }

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        size = p["A"] * power(run[self.size], -p["alpha"]) * power(run["num_experts"], -p["gamma"])
        return size + p["B"] * power(run["tokens"], -p["beta"]) + p["sigma"]

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        run, t = reference.run, terms_of(coordinates)
        gamma = coordinates["size_gain"] / jnp.log(reference.gain_experts)
        return {
            "A": t.size * run[self.size] ** t.alpha * run["num_experts"] ** gamma,
            "B": t.tokens * run["tokens"] ** t.beta,
            "sigma": t.constant,
            "alpha": t.alpha,
            "beta": t.beta,
            "gamma": gamma,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        size = p["A"] * power(run[self.size], -p["alpha"]) * power(run["num_experts"], -p["gamma"])
        tokens = p["B"] * power(run["tokens"], -p["beta"])
        return {
            **coordinates_of_terms(Terms(size, tokens, p["sigma"], p["alpha"], p["beta"])),
            "size_gain": p["gamma"] * jnp.log(reference.gain_experts),
        }
