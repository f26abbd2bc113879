"""Krajewski, Ludziejewski et al. 2024: fine-grained experts at a fixed expansion rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import ADDITIVE, Terms, coordinates_of_terms, terms_of
from bayesmoe.laws.power import power

_PAPER = "Krajewski et al. 2024, arXiv:2402.07871"


@dataclass(frozen=True)
class Krajewski(Law):
    """Additive law whose size term falls with granularity.

    ``L = c + ( g/G^gamma + a )/N^alpha + b/D^beta``

    N ALL parameters without embeddings, D tokens, ``G = d_ff/d_expert`` granularity (4 d_model/d_expert for the paper's
    layers); L nats per token. The expert count enters through N only: each set holds for its own expansion rate.

    Coordinates: those of :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla` at the reference run, ``granularity_part``, the share of
    the size term there that finer experts would remove, and ``granularity_exponent = gamma``.

    Notes
    -----
    Granularity has no optimum in the loss; the paper's comes from the FLOP of routing (:func:`train_flop`). "64 x 100M"
    names the active size, which is not N.

    References
    ----------
    arXiv:2402.07871, Eq. 9 and Table 1.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "krajewski"
    source: ClassVar[str] = _PAPER + ", Eq. 9"
    equation: ClassVar[str] = "L = c + (g/G^gamma + a)/N^alpha + b/D^beta"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "granularity")
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *ADDITIVE,
        Coordinate(
            "granularity_part", "unit", -2.5, 1.0, 0.3, "experts", "1", "share of the size term that finer experts remove"
        ),
        Coordinate("granularity_exponent", "positive", math.log(0.6), 0.5, 0.2, "shape", "1", "exponent of granularity"),
    )
    symbols: ClassVar[dict[str, str]] = {
        "a": "nats/token parameters^alpha",
        "alpha": "1",
        "b": "nats/token tokens^beta",
        "beta": "1",
        "g": "nats/token parameters^alpha",
        "gamma": "1",
        "c": "nats/token",
    }
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "out"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {
        "n_total": (1.29e8, 3.7e9),
        "tokens": (1.6e10, 1.3e11),
        "granularity": (1, 16),
    }
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "moe-e64",
            {"a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147, "g": 2.1, "gamma": 0.58, "c": 0.47},
            _PAPER + ", Table 1, 64 x expansion",
            "primary",
        ),
        Published(
            "moe-e64-held-out",
            {"a": 17.6, "alpha": 0.114, "b": 26.7, "beta": 0.140, "g": 2.07, "gamma": 0.570, "c": 0.472},
            _PAPER + ", Table 5, without the best fifth of the runs",
            "primary",
        ),
        Published(
            "moe-e16",
            {"a": 19.64, "alpha": 0.124, "b": 57.07, "beta": 0.169, "g": 1.18, "gamma": 0.986, "c": 0.472},
            _PAPER + ", Table 8, 16 x expansion, fewer and shorter runs",
            "primary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        amplitude = p["g"] * power(run["granularity"], -p["gamma"]) + p["a"]
        return p["c"] + amplitude * power(run[self.size], -p["alpha"]) + p["b"] * power(run["tokens"], -p["beta"])

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run, t = coordinates, reference.run, terms_of(coordinates)
        amplitude = t.size * run[self.size] ** t.alpha
        return {
            "a": amplitude * (1.0 - q["granularity_part"]),
            "alpha": t.alpha,
            "b": t.tokens * run["tokens"] ** t.beta,
            "beta": t.beta,
            "g": amplitude * q["granularity_part"] * run["granularity"] ** q["granularity_exponent"],
            "gamma": q["granularity_exponent"],
            "c": t.constant,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        fine = p["g"] * power(run["granularity"], -p["gamma"])
        size, tokens = (fine + p["a"]) * power(run[self.size], -p["alpha"]), p["b"] * power(run["tokens"], -p["beta"])
        return {
            **coordinates_of_terms(Terms(size, tokens, p["c"], p["alpha"], p["beta"])),
            "granularity_part": fine / (fine + p["a"]),
            "granularity_exponent": p["gamma"],
        }


def train_flop(
    d_model: Elementwise,
    num_layers: Elementwise,
    tokens: Elementwise,
    granularity: Elementwise,
    *,
    expansion: float | int,
    c_f: float = 6.0,
    c_r: float = 14.0,
) -> Elementwise:
    """Training FLOP of a fine-grained MoE with its routing (arXiv:2402.07871, Eq. 10; c_r = 14, and 6 to 20 allowed).

    ``F = ( 12 d^2 c_f + d E G c_r ) D n_blocks``

    d width, D tokens, G granularity, E expansion rate (experts over granularity); c_f and c_r FLOP per parameter of the model and of
    the router.
    """
    return (12.0 * d_model**2 * c_f + d_model * expansion * granularity * c_r) * tokens * num_layers
