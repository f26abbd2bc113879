"""Clark et al. 2022: loss of routed models from backbone size and saturating expert count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run
from bayesmoe.laws.coordinates import E_ABOVE, E_START, GAIN, INTERACTION, LOSS_REFERENCE, SLOPE_SIZE
from bayesmoe.laws.power import power
from bayesmoe.laws.saturation import ln_effective, ln_gain, shape_coordinates, shape_of
from bayesmoe.units import LN10

_SOURCE = "Clark et al. 2022, arXiv:2202.01169, Table 3, from two secondary sources that agree"


@dataclass(frozen=True)
class Clark(Law):
    """Saturating bilinear law of routed language models.

    ``log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d``

    N is the dense backbone without embeddings, Ehat Clark's effective experts (:mod:`bayesmoe.laws.saturation`), L the
    loss in nats per token. The runs behind the law all saw the same number of tokens, so it has no tokens term: it speaks
    only about models trained on the table's own token count.

    Coordinates: with ``x = ln(N/N0)`` and ``K = ln(Ehat(E1)/e_start)`` for the reference size N0 and gain expert count E1,
    the gain of experts over dense is ``gain - interaction slope_size x``, and ``slope_size`` the slope at the reference run. Writing
    the interaction as a part of the slope keeps the loss falling with N for every expert count worth asking about.

    Notes
    -----
    c is printed with one or two digits: never derive from it the size at which routing stops helping (937B, 85B and 83B in
    the paper; 1e12, 3.2e10 and 2.2e11 from the table).

    References
    ----------
    arXiv:2202.01169, Eq. 1 and section 5.1.
    """

    name: ClassVar[str] = "clark"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    starter_for: ClassVar[tuple[str, ...] | None] = ("num_experts",)
    source: ClassVar[str] = "Clark et al. 2022, arXiv:2202.01169"
    equation: ClassVar[str] = "log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d"
    other_covariates: ClassVar[tuple[str, ...]] = ("num_experts",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = (LOSS_REFERENCE, SLOPE_SIZE, GAIN, INTERACTION, E_START, E_ABOVE)
    symbols: ClassVar[dict[str, str]] = {
        "a": "1",
        "b": "1",
        "c": "1",
        "d": "log10 nats/token",
        "e_start": "experts",
        "e_max": "experts",
    }
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "out"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {
        "n_dense": (1.5e7, 1.3e9),
        "num_experts": (1, 512),
        "tokens": (1.3e11, 1.3e11),
    }
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "s-base",
            {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104, "e_start": 1.847, "e_max": 314.478},
            _SOURCE,
            "secondary",
        ),
        Published(
            "rl-r",
            {"a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111, "e_start": 1.880, "e_max": 469.982},
            _SOURCE,
            "secondary",
        ),
        Published(
            "hash",
            {"a": -0.087, "b": -0.136, "c": 0.012, "d": 1.157, "e_start": 4.175, "e_max": 477.741},
            _SOURCE,
            "secondary",
        ),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        size, experts = jnp.log10(run[self.size]), ln_effective(run["num_experts"], _expert_shape(p)) / LN10
        return power(10.0, p["a"] * size + p["b"] * experts + p.get("c", 0.0) * size * experts + p["d"])

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q = {**coordinates, **_expert_shape(shape_of({"e_start": 1.0, **coordinates}))}
        ln_size, ln_experts, span = self._reference_logs(q, reference)
        c = q.get("interaction", 0.0) * q["slope_size"] / span
        b = -q["gain"] / span - c * ln_size
        a = -q["slope_size"] - c * ln_experts
        d = jnp.log(q["loss_reference"]) - a * ln_size - b * ln_experts - c * ln_size * ln_experts
        return {
            name: value
            for name, value in {"a": a, "b": b, "c": c * LN10, "d": d / LN10, **q}.items()
            if name in self.symbols
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = {**parameters, **_expert_shape(parameters)}
        ln_size, ln_experts, span = self._reference_logs(p, reference)
        c = p.get("c", 0.0) / LN10
        slope = -(p["a"] + c * ln_experts)
        coordinates = {
            "loss_reference": self.loss(p, reference.run),
            "slope_size": slope,
            "gain": -(p["b"] + c * ln_size) * span,
            "interaction": c * span / slope,
            **shape_coordinates(p),
        }
        return {coordinate.name: coordinates[coordinate.name] for coordinate in self.coordinates}

    def effective_parameters(self, parameters: PaperParameters, run: Run) -> Elementwise:
        """Effective parameter count, ``L(EPC, 1) = L(N, E)``: the dense model that is worth as much as this run.

        ``EPC = N^( s(Ehat)/s(e_start) ) ( Ehat/e_start )^( b/s(e_start) ),   s(x) = a + c log10 x``

        References
        ----------
        arXiv:2202.01169, section 5.2.
        """
        p = {**parameters, **_expert_shape(parameters)}
        experts, start = ln_effective(run["num_experts"], p) / LN10, jnp.log10(p["e_start"])
        slope, dense_slope = p["a"] + p.get("c", 0.0) * experts, p["a"] + p.get("c", 0.0) * start
        return 10.0 ** ((slope * jnp.log10(run[self.size]) + p["b"] * (experts - start)) / dense_slope)

    def _reference_logs(self, p: PaperParameters, reference: Reference) -> tuple[Elementwise, Elementwise, Elementwise]:
        run = reference.run
        return jnp.log(run[self.size]), ln_effective(run["num_experts"], p), ln_gain(reference.gain_experts, p)


def _expert_shape(parameters: PaperParameters) -> PaperParameters:
    """e_start and e_max; the laws in the plain expert count have neither: they start at 1 and never saturate."""
    return {"e_start": parameters.get("e_start", 1.0), "e_max": parameters.get("e_max", jnp.inf)}


@dataclass(frozen=True)
class ClarkUnsaturated(Clark):
    """Clark's law without saturation.

    ``log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d,   Ehat = E - 1 + e_start``

    The limit ``e_max -> infinity`` of :class:`Clark`: gains of experts never end.
    """

    name: ClassVar[str] = "clark-unsaturated"
    equation: ClassVar[str] = "log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d, Ehat = E - 1 + e_start"
    coordinates: ClassVar[tuple[Coordinate, ...]] = tuple(c for c in Clark.coordinates if c is not E_ABOVE)
    symbols: ClassVar[dict[str, str]] = {name: unit for name, unit in Clark.symbols.items() if name != "e_max"}
    published: ClassVar[tuple[Published, ...]] = ()


@dataclass(frozen=True)
class ClarkBilinear(Clark):
    """Clark's law in the plain expert count.

    ``log10 L = a log10 N + b log10 E + c log10 N log10 E + d``

    The paper's second step, before saturation.
    """

    name: ClassVar[str] = "clark-bilinear"
    equation: ClassVar[str] = "log10 L = a log10 N + b log10 E + c log10 N log10 E + d"
    coordinates: ClassVar[tuple[Coordinate, ...]] = tuple(c for c in Clark.coordinates if c.of != "shape")
    symbols: ClassVar[dict[str, str]] = {name: unit for name, unit in Clark.symbols.items() if name in ("a", "b", "c", "d")}
    published: ClassVar[tuple[Published, ...]] = ()


@dataclass(frozen=True)
class ClarkSeparable(Clark):
    """Clark's law whose gain from experts is the same at every size.

    ``log10 L = a log10 N + b log10 E + d``

    The paper's first step: no interaction, no saturation.
    """

    name: ClassVar[str] = "clark-separable"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "no"
    equation: ClassVar[str] = "log10 L = a log10 N + b log10 E + d"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (LOSS_REFERENCE, SLOPE_SIZE, GAIN)
    symbols: ClassVar[dict[str, str]] = {name: unit for name, unit in Clark.symbols.items() if name in ("a", "b", "d")}
    published: ClassVar[tuple[Published, ...]] = ()
