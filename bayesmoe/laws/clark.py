"""Clark et al. 2022: loss of routed models from backbone size and saturating expert count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from bayesmoe.laws.base import (
    E_MAX,
    E_START,
    GAIN,
    LOSS_REFERENCE,
    SLOPE_SIZE,
    Coordinate,
    Law,
    Published,
    Reference,
    Values,
)
from bayesmoe.laws.saturation import effective_experts
from bayesmoe.units import LN10

_SOURCE = "Clark et al. 2022, arXiv:2202.01169, Table 3"


@dataclass(frozen=True)
class Clark(Law):
    """Saturating bilinear law of routed language models.

    ``log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d``

    N is the dense backbone without embeddings, Ehat Clark's effective experts (:mod:`bayesmoe.laws.saturation`), L the
    loss in nats per token. The runs behind the law all saw the same number of tokens, so it has no tokens term: it speaks
    only about models trained on the table's own token count.

    Coordinates: with ``x = ln(N/N0)`` and ``K = ln(Ehat(E1)/e_start)`` for the reference size N0 and gain expert count E1,
    the gain of experts over dense is ``gain - gain_slope x`` and the dense slope is ``slope_size``.

    References
    ----------
    arXiv:2202.01169, Eq. 1 and section 5.1.
    """

    name: ClassVar[str] = "clark"
    source: ClassVar[str] = "Clark et al. 2022, arXiv:2202.01169"
    equation: ClassVar[str] = "log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d"
    other_covariates: ClassVar[tuple[str, ...]] = ("num_experts",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        LOSS_REFERENCE,
        SLOPE_SIZE,
        GAIN,
        Coordinate("gain_slope", "real", 0.01, 0.02, 0.003, "experts", "1", "fall of the gain per e-fold of size"),
        E_START,
        E_MAX,
    )
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "s-base",
            {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104, "e_start": 1.847, "e_max": 314.478},
            _SOURCE,
            "SS",
        ),
        Published(
            "rl-r",
            {"a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111, "e_start": 1.880, "e_max": 469.982},
            _SOURCE,
            "SS",
        ),
        Published(
            "hash",
            {"a": -0.087, "b": -0.136, "c": 0.012, "d": 1.157, "e_start": 4.175, "e_max": 477.741},
            _SOURCE,
            "SS",
        ),
    )

    def loss(self, parameters: Values, run: Values) -> Any:
        p = parameters
        size = jnp.log10(run[self.size])
        experts = jnp.log10(effective_experts(run["num_experts"], p["e_start"], p["e_max"]))
        return 10.0 ** (p["a"] * size + p["b"] * experts + p["c"] * size * experts + p["d"])

    def paper(self, coordinates: Values, reference: Reference) -> Values:
        q = coordinates
        ln_size, ln_experts, span = self._reference_logs(q, reference)
        c = q["gain_slope"] / span
        b = -q["gain"] / span - c * ln_size
        a = -q["slope_size"] - c * ln_experts
        d = jnp.log(q["loss_reference"]) - a * ln_size - b * ln_experts - c * ln_size * ln_experts
        return {"a": a, "b": b, "c": c * LN10, "d": d / LN10, "e_start": q["e_start"], "e_max": q["e_max"]}

    def centre(self, parameters: Values, reference: Reference) -> Values:
        p = parameters
        ln_size, ln_experts, span = self._reference_logs(p, reference)
        c = p["c"] / LN10
        run = {self.size: reference.size, "num_experts": reference.num_experts}
        return {
            "loss_reference": self.loss(p, run),
            "slope_size": -(p["a"] + c * ln_experts),
            "gain": -(p["b"] + c * ln_size) * span,
            "gain_slope": c * span,
            "e_start": p["e_start"],
            "e_max": p["e_max"],
        }

    @staticmethod
    def _reference_logs(p: Values, reference: Reference) -> tuple[Any, Any, Any]:
        ln_experts = jnp.log(effective_experts(reference.num_experts, p["e_start"], p["e_max"]))
        ln_gain = jnp.log(effective_experts(reference.gain_experts, p["e_start"], p["e_max"]))
        return jnp.log(reference.size), ln_experts, ln_gain - jnp.log(p["e_start"])
