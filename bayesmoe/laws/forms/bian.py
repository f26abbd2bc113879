"""Bian, Yan and Venkataraman 2025: Chinchilla's form times a price for wide and shallow shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.power import power


@dataclass(frozen=True)
class Bian(Law):
    """Dense law whose loss rises with the aspect ratio of the model.

    ``L = ( E + A N^-alpha + B D^-beta )( 1 + eps R^gamma ),   R = d_model / num_layers``

    N parameters, D tokens, R the aspect ratio; L nats per token. No coefficients are printed in what was read.

    Coordinates: those of :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla` at the reference run, ``shape_penalty = eps R0^gamma``
    there, and ``shape_exponent = gamma``.

    References
    ----------
    arXiv:2501.18107, the shape-aware law.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "bian"
    source: ClassVar[str] = "Bian et al. 2025, arXiv:2501.18107"
    equation: ClassVar[str] = "L = (E + A N^-alpha + B D^-beta)(1 + eps R^gamma), R = d_model/num_layers"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "d_model", "num_layers")
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *ADDITIVE,
        Coordinate(
            "shape_penalty", "positive", math.log(0.02), 1.0, 0.2, "dense", "1", "rise of the loss by the reference shape"
        ),
        Coordinate("shape_exponent", "positive", math.log(0.7), 0.5, 0.2, "dense", "1", "exponent of the aspect ratio"),
    )
    symbols: ClassVar[dict[str, str]] = {
        "E": "nats/token",
        "A": "nats/token parameters^alpha",
        "B": "nats/token tokens^beta",
        "alpha": "1",
        "beta": "1",
        "eps": "1",
        "gamma": "1",
    }
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {"n_total": (8e7, 1e9), "tokens": (1.6e9, 3e10)}

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        plain = p["E"] + p["A"] * power(run[self.size], -p["alpha"]) + p["B"] * power(run["tokens"], -p["beta"])
        return plain * (1.0 + p["eps"] * power(_aspect(run), p["gamma"]))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run = coordinates, reference.run
        t = terms_of({**q, "loss_reference": q["loss_reference"] / (1.0 + q["shape_penalty"])})
        return {
            "E": t.constant,
            "A": t.size * run[self.size] ** t.alpha,
            "B": t.tokens * run["tokens"] ** t.beta,
            "alpha": t.alpha,
            "beta": t.beta,
            "eps": q["shape_penalty"] * _aspect(run) ** -q["shape_exponent"],
            "gamma": q["shape_exponent"],
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        size, tokens = p["A"] * power(run[self.size], -p["alpha"]), p["B"] * power(run["tokens"], -p["beta"])
        penalty = p["eps"] * power(_aspect(run), p["gamma"])
        plain = coordinates_of_terms(Terms(size, tokens, p["E"], p["alpha"], p["beta"]))
        return {
            **plain,
            "loss_reference": plain["loss_reference"] * (1.0 + penalty),
            "shape_penalty": penalty,
            "shape_exponent": p["gamma"],
        }


def _aspect(run: Run) -> Elementwise:
    return run["d_model"] / run["num_layers"]
