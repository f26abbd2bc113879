"""Zhao et al. 2025: a joint law of size, tokens, active experts and shared experts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import LOSS_REFERENCE, REDUCIBLE, SIZE_PART, SLOPE_TOKENS
from bayesmoe.laws.power import power


@dataclass(frozen=True)
class Zhao(Law):
    """Comprehensive law of MoE models.

    ``L = ( e G + f/G + m S^2 + n S ) ( 1/N^alpha + k/N_a^alpha + h N_a/N ) + a/N^alpha + b/D^beta + c/N_a^alpha + eps``

    N all and N_a active parameters, D tokens, G the number of ACTIVE experts (routed and shared), S the shared share of
    them; L nats per token. ``h N_a/N`` makes the loss RISE with N_a at fixed N beyond an optimum.

    Coordinates at the reference run: ``loss_reference``, ``slope_tokens``, ``reducible``, ``size_part`` (all but the tokens term),
    ``design_part`` (of these, the bracketed product), ``active_part`` (of the rest, the c term), ``size_exponent = alpha``,
    ``active_weight = k``, ``ratio_weight = h N_a0 N0^(alpha - 1)``, and for the design factor its best counts
    ``best_active_experts = sqrt(f/e)`` and ``best_shared_ratio = -n/(2m)``, with ``shared_gain``, the part of the factor at the
    best count that the best sharing removes, so that the factor stays positive.

    Notes
    -----
    The best G and S do not depend on N, N_a and D because of the product form, not because of a test.

    References
    ----------
    arXiv:2509.23678, the joint law.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "zhao"
    source: ClassVar[str] = "Zhao et al. 2025, arXiv:2509.23678"
    equation: ClassVar[str] = (
        "L = (e G + f/G + m S^2 + n S) (1/N^alpha + k/N_a^alpha + h N_a/N) + a/N^alpha + b/D^beta + c/N_a^alpha + eps"
    )
    other_covariates: ClassVar[tuple[str, ...]] = ("n_active", "tokens", "top_k", "shared_experts")
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        LOSS_REFERENCE,
        SLOPE_TOKENS,
        REDUCIBLE,
        SIZE_PART,
        Coordinate("design_part", "unit", -2.0, 0.7, 0.3, "experts", "1", "share of the size terms that the design moves"),
        Coordinate("active_part", "unit", 0.0, 0.7, 0.3, "experts", "1", "share of the other size terms in active size"),
        Coordinate("size_exponent", "positive", math.log(0.24), 0.5, 0.1, "dense", "1", "exponent of both sizes"),
        Coordinate("active_weight", "positive", math.log(0.01), 1.5, 0.3, "experts", "1", "k"),
        Coordinate(
            "ratio_weight", "positive", 0.0, 1.0, 0.3, "experts", "1", "ratio term over size term in the design bracket"
        ),
        Coordinate(
            "best_active_experts", "positive", math.log(7.0), 0.5, 0.2, "shape", "experts", "active experts of lowest loss"
        ),
        Coordinate("best_shared_ratio", "unit", -0.8, 0.5, 0.2, "shape", "1", "shared share of lowest loss"),
        Coordinate("shared_gain", "unit", -1.2, 0.7, 0.2, "shape", "1", "part of the design factor that sharing removes"),
    )
    symbols: ClassVar[dict[str, str]] = {
        "e": "nats/token parameters^alpha",
        "f": "nats/token parameters^alpha",
        "m": "nats/token parameters^alpha",
        "n": "nats/token parameters^alpha",
        "k": "1",
        "h": "parameters^-alpha",
        "a": "nats/token parameters^alpha",
        "alpha": "1",
        "b": "nats/token tokens^beta",
        "beta": "1",
        "c": "nats/token parameters^alpha",
        "eps": "nats/token",
    }
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {"n_total": (0, 9e9), "tokens": (0, 1e11)}
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "joint",
            {
                "e": 0.1577,
                "f": 7.2446,
                "m": 5.1395,
                "n": -3.2363,
                "k": 0.0013,
                "h": 0.0450,
                "a": 38.051,
                "alpha": 0.2383,
                "b": 27129.05,
                "beta": 0.4694,
                "c": 31.096,
                "eps": 1.8182,
            },
            "Zhao et al. 2025, arXiv:2509.23678, 446 runs, from two secondary sources that agree",
            "secondary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        t = self._terms(parameters, run)
        return t.factor * t.bracket + t.total + t.active + t.tokens + parameters["eps"]

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run = coordinates, reference.run
        alpha, total, active = q["size_exponent"], run[self.size], run["n_active"]
        scaled = q["loss_reference"] * q["reducible"]
        tokens, sizes = scaled * (1.0 - q["size_part"]), scaled * q["size_part"]
        design, plain = sizes * q["design_part"], sizes * (1.0 - q["design_part"])
        beta = q["slope_tokens"] * q["loss_reference"] / tokens
        h = q["ratio_weight"] * total ** (1.0 - alpha) / active
        bracket = total**-alpha + q["active_weight"] * active**-alpha + h * active / total
        experts, shared = _design(run)
        best, best_shared = q["best_active_experts"], q["best_shared_ratio"]
        m = 2.0 * q["shared_gain"] / best_shared**2
        factor = experts / best + best / experts + m * (shared**2 - 2.0 * best_shared * shared)
        scale = design / (bracket * factor)
        return {
            "e": scale / best,
            "f": scale * best,
            "m": scale * m,
            "n": -2.0 * scale * m * best_shared,
            "k": q["active_weight"],
            "h": h,
            "a": plain * (1.0 - q["active_part"]) * total**alpha,
            "alpha": alpha,
            "b": tokens * run["tokens"] ** beta,
            "beta": beta,
            "c": plain * q["active_part"] * active**alpha,
            "eps": q["loss_reference"] * (1.0 - q["reducible"]),
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        t = self._terms(p, run)
        design, plain = t.factor * t.bracket, t.total + t.active
        loss = design + plain + t.tokens + p["eps"]
        best = self.optimal_design(p)
        return {
            "loss_reference": loss,
            "slope_tokens": p["beta"] * t.tokens / loss,
            "reducible": 1.0 - p["eps"] / loss,
            "size_part": (design + plain) / (loss - p["eps"]),
            "design_part": design / (design + plain),
            "active_part": t.active / plain,
            "size_exponent": p["alpha"],
            "active_weight": p["k"],
            "ratio_weight": p["h"] * run["n_active"] * run[self.size] ** (p["alpha"] - 1.0),
            "best_active_experts": best.active_experts,
            "best_shared_ratio": best.shared_ratio,
            "shared_gain": p["m"] * best.shared_ratio**2 / (2.0 * jnp.sqrt(p["e"] * p["f"])),
        }

    def optimal_design(self, parameters: PaperParameters) -> Design:
        """Active experts ``sqrt(f/e)``, shared ratio ``-n/(2m)`` and the factor ``2 sqrt(e f) - n^2/(4m)`` there."""
        p = parameters
        factor = 2.0 * jnp.sqrt(p["e"] * p["f"]) - p["n"] ** 2 / (4.0 * p["m"])
        return Design(jnp.sqrt(p["f"] / p["e"]), -p["n"] / (2.0 * p["m"]), factor)

    def optimal_active_share(self, parameters: PaperParameters, n_total: Elementwise) -> Elementwise:
        """``N_a*/N`` at the best design, ``N_a* = ( alpha (Phi k + c) N/(Phi h) )^(1/(1 + alpha))``."""
        p = parameters
        factor = self.optimal_design(p).factor
        ratio = p["alpha"] * (factor * p["k"] + p["c"]) * n_total / (factor * p["h"])
        return ratio ** (1.0 / (1.0 + p["alpha"])) / n_total

    def _terms(self, p: PaperParameters, run: Run) -> _Terms:
        total, active = run[self.size], run["n_active"]
        experts, shared = _design(run)
        return _Terms(
            p["e"] * experts + p["f"] / experts + p["m"] * shared**2 + p["n"] * shared,
            power(total, -p["alpha"]) + p["k"] * power(active, -p["alpha"]) + p["h"] * active / total,
            p["a"] * power(total, -p["alpha"]),
            p["c"] * power(active, -p["alpha"]),
            p["b"] * power(run["tokens"], -p["beta"]),
        )


class Design(NamedTuple):
    """Active experts, their shared share, and the design factor."""

    active_experts: Elementwise
    shared_ratio: Elementwise
    factor: Elementwise


class _Terms(NamedTuple):
    factor: Elementwise
    bracket: Elementwise
    total: Elementwise
    active: Elementwise
    tokens: Elementwise


def _design(run: Run) -> tuple[Elementwise, Elementwise]:
    """Active experts, and the shared share of them."""
    experts = run["top_k"] + run["shared_experts"]
    return experts, run["shared_experts"] / experts
