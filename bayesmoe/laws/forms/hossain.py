"""Hossain et al. 2025: one form for dense, pruned and routed models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.power import power

_SOURCE = "Hossain et al. 2025, arXiv:2508.06617, Tables VII-IX, from two secondary sources that agree"


@dataclass(frozen=True)
class Hossain(Law):
    """Generalised law whose constant and size amplitude move with sparsity.

    ``L = e (1-S)^gamma + ( a (1-S)^alpha + c S )/N^alpha + b/D^beta``

    N parameters used per token, D tokens, ``1 - S = n_active/n_total``; L nats per token. The same alpha stands twice.

    Coordinates: those of :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla` at the reference run (its constant is ``e (1-S)^gamma``),
    ``sparse_ratio = c/a``, and ``constant_exponent = gamma``.

    Notes
    -----
    Fitted to other papers' curves, without new runs.

    References
    ----------
    arXiv:2508.06617, the generalised law.
    """

    size: Size = "n_active"

    name: ClassVar[str] = "hossain"
    source: ClassVar[str] = "Hossain et al. 2025, arXiv:2508.06617"
    equation: ClassVar[str] = "L = e (1-S)^gamma + (a (1-S)^alpha + c S)/N^alpha + b/D^beta"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "n_total")
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *ADDITIVE,
        Coordinate("sparse_ratio", "positive", math.log(0.35), 0.7, 0.2, "experts", "1", "c / a"),
        Coordinate("constant_exponent", "positive", math.log(0.1), 1.2, 0.3, "experts", "1", "exponent of the constant"),
    )
    symbols: ClassVar[dict[str, str]] = {
        "e": "nats/token",
        "a": "nats/token parameters^alpha",
        "b": "nats/token tokens^beta",
        "c": "nats/token parameters^alpha",
        "alpha": "1",
        "beta": "1",
        "gamma": "1",
    }
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "moe",
            {"e": 0.57, "a": 8.26, "b": 6324.82, "c": 3.57, "alpha": 0.08, "beta": 0.40, "gamma": 1.19},
            _SOURCE,
            "secondary",
        ),
        Published(
            "pruned",
            {"e": 0.15, "a": 86.03, "b": 7.90, "c": 29.26, "alpha": 0.28, "beta": 0.08, "gamma": 2.00},
            _SOURCE,
            "secondary",
        ),
        Published(
            "dense",
            {"e": 1.69, "a": 406.4, "b": 410.7, "c": 93.45, "alpha": 0.34, "beta": 0.28, "gamma": 0.01},
            _SOURCE,
            "secondary",
            "one of two sources prints c = 0 and gamma = 0.001; neither matters at S = 0, where it is Hoffmann's rounded set",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        return sum(self._terms(parameters, run))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run, t = coordinates, reference.run, terms_of(coordinates)
        active = run[self.size] / run["n_total"]
        a = t.size * run[self.size] ** t.alpha / (active**t.alpha + q["sparse_ratio"] * (1.0 - active))
        return {
            "e": t.constant * active ** -q["constant_exponent"],
            "a": a,
            "b": t.tokens * run["tokens"] ** t.beta,
            "c": q["sparse_ratio"] * a,
            "alpha": t.alpha,
            "beta": t.beta,
            "gamma": q["constant_exponent"],
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        constant, size, tokens = self._terms(p, reference.run)
        return {
            **coordinates_of_terms(Terms(size, tokens, constant, p["alpha"], p["beta"])),
            "sparse_ratio": p["c"] / p["a"],
            "constant_exponent": p["gamma"],
        }

    def _terms(self, p: PaperParameters, run: Run) -> tuple[Elementwise, Elementwise, Elementwise]:
        active = run[self.size] / run["n_total"]
        amplitude = p["a"] * power(active, p["alpha"]) + p["c"] * (1.0 - active)
        return (
            p["e"] * power(active, p["gamma"]),
            amplitude * power(run[self.size], -p["alpha"]),
            p["b"] * power(run["tokens"], -p["beta"]),
        )
