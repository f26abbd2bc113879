"""Abnar et al. 2025: parameters against FLOP per token, through sparsity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import LOSS_REFERENCE, REDUCIBLE, SLOPE_SIZE, SLOPE_TOKENS
from bayesmoe.laws.power import power


@dataclass(frozen=True)
class Abnar(Law):
    """Law in all parameters, tokens and the share of experts that rest.

    ``L = a/N^alpha + b/D^beta + c/(1-S)^lambda + d/( (1-S)^delta N^gamma ) + e``

    N ALL parameters, D tokens, ``S = (E - K)/E`` sparsity, read as ``1 - S = activation_ratio``; L nats per token. lambda is
    NEGATIVE: the third term falls with sparsity, the fourth rises.

    Coordinates at the reference run: the loss; ``slope_size`` over both size terms; ``slope_tokens``; ``reducible``, all but
    e; its shares ``tokens_part``, ``sparsity_part`` (third term) and, of the rest, ``cross_part`` (fourth term);
    ``exponent_ratio = gamma/alpha``; and the two sparsity exponents.

    Notes
    -----
    Held out at S = 0.98 the paper's error is ten times that of the fit (MSE .0058 against .00056): extrapolation in S is
    poor. With C = 6 (1-S) N D the best S tends to 1 as N grows.

    References
    ----------
    arXiv:2501.12370, Table 3.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "abnar"
    source: ClassVar[str] = "Abnar et al. 2025, arXiv:2501.12370"
    equation: ClassVar[str] = "L = a/N^alpha + b/D^beta + c/(1-S)^lambda + d/((1-S)^delta N^gamma) + e"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "activation_ratio")
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        LOSS_REFERENCE,
        SLOPE_SIZE,
        SLOPE_TOKENS,
        REDUCIBLE,
        Coordinate("tokens_part", "unit", -0.5, 0.6, 0.2, "dense", "1", "share of the reducible part in the tokens term"),
        Coordinate("sparsity_part", "unit", -1.4, 0.7, 0.3, "experts", "1", "share of the rest that sparsity alone moves"),
        Coordinate("cross_part", "unit", 0.0, 0.7, 0.3, "experts", "1", "share of the size terms that sparsity raises"),
        Coordinate("exponent_ratio", "positive", math.log(0.4), 0.5, 0.2, "shape", "1", "gamma / alpha"),
        Coordinate("lambda", "real", -0.15, 0.1, 0.03, "shape", "1", "exponent of 1/(1-S) alone"),
        Coordinate("delta", "positive", math.log(0.15), 0.5, 0.2, "shape", "1", "exponent of 1/(1-S) with size"),
    )
    symbols: ClassVar[dict[str, str]] = {
        "a": "nats/token parameters^alpha",
        "alpha": "1",
        "b": "nats/token tokens^beta",
        "beta": "1",
        "c": "nats/token",
        "lambda": "1",
        "d": "nats/token parameters^gamma",
        "delta": "1",
        "gamma": "1",
        "e": "nats/token",
    }
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "table-3",
            {
                "a": 16612.50,
                "alpha": 0.5962,
                "b": 5455.67,
                "beta": 0.3954,
                "c": 0.4598,
                "lambda": -0.1666,
                "d": 17.26,
                "delta": 0.1603,
                "gamma": 0.1595,
                "e": 0.94,
            },
            "Abnar et al. 2025, arXiv:2501.12370, Table 3, from two secondary sources that agree",
            "secondary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        return sum(self._terms(parameters, run)) + parameters["e"]

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run = coordinates, reference.run
        size, active = run[self.size], run["activation_ratio"]
        scaled = q["loss_reference"] * q["reducible"]
        tokens, rest = scaled * q["tokens_part"], scaled * (1.0 - q["tokens_part"])
        sparsity, sizes = rest * q["sparsity_part"], rest * (1.0 - q["sparsity_part"])
        plain, cross = sizes * (1.0 - q["cross_part"]), sizes * q["cross_part"]
        alpha = q["slope_size"] * q["loss_reference"] / (plain + q["exponent_ratio"] * cross)
        beta, gamma = q["slope_tokens"] * q["loss_reference"] / tokens, q["exponent_ratio"] * alpha
        return {
            "a": plain * size**alpha,
            "alpha": alpha,
            "b": tokens * run["tokens"] ** beta,
            "beta": beta,
            "c": sparsity * active ** q["lambda"],
            "lambda": q["lambda"],
            "d": cross * active ** q["delta"] * size**gamma,
            "delta": q["delta"],
            "gamma": gamma,
            "e": q["loss_reference"] * (1.0 - q["reducible"]),
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        plain, tokens, sparsity, cross = self._terms(p, reference.run)
        scaled = plain + tokens + sparsity + cross
        loss = scaled + p["e"]
        return {
            "loss_reference": loss,
            "slope_size": (p["alpha"] * plain + p["gamma"] * cross) / loss,
            "slope_tokens": p["beta"] * tokens / loss,
            "reducible": scaled / loss,
            "tokens_part": tokens / scaled,
            "sparsity_part": sparsity / (scaled - tokens),
            "cross_part": cross / (plain + cross),
            "exponent_ratio": p["gamma"] / p["alpha"],
            "lambda": p["lambda"],
            "delta": p["delta"],
        }

    def _terms(self, p: PaperParameters, run: Run) -> tuple[Elementwise, Elementwise, Elementwise, Elementwise]:
        size, active = run[self.size], run["activation_ratio"]
        return (
            p["a"] * power(size, -p["alpha"]),
            p["b"] * power(run["tokens"], -p["beta"]),
            p["c"] * power(active, -p["lambda"]),
            p["d"] * power(active, -p["delta"]) * power(size, -p["gamma"]),
        )
