"""The project's own law: the nested dense law in an effective size that grows with experts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Reference, Run
from bayesmoe.laws.coordinates import E_ABOVE, E_START
from bayesmoe.laws.forms.nested import Nested, nested_coordinates, nested_loss, nested_paper
from bayesmoe.laws.saturation import ln_effective, ln_gain, shape_coordinates, shape_of


@dataclass(frozen=True)
class EffectiveSize(Law):
    """Joint law of size, tokens and experts that holds Clark's, Kaplan's and Chinchilla's.

    ``L = F + A ( N_e^-a + R D^-b )^k,   ln N_e = ln N + ( g + h ln(N/N_0) ) ln(Ehat/e_start)``

    N backbone parameters, D tokens, Ehat Clark's effective experts, N_e the size of the dense model that is worth as much,
    F the irreducible loss; L nats per token. N_0 is the reference size. A dense model has ``N_e = N``: the nested law
    (:class:`~bayesmoe.laws.forms.nested.Nested`). With ``F = 0`` and many tokens it is Clark's law, with N_e his effective
    parameter count.

    Coordinates: those of the nested law, ``size_gain = ln(N_e/N)`` at the reference size and the gain expert count, and
    ``size_gain_slope``, how much of it is lost per e-fold of N.

    References
    ----------
    This project; the dense part is arXiv:2608.07222, the effective size is arXiv:2202.01169, section 5.
    """

    name: ClassVar[str] = "effective-size"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    source: ClassVar[str] = "this project, on arXiv:2608.07222 and arXiv:2202.01169"
    equation: ClassVar[str] = "L = F + A (N_e^-a + R D^-b)^k, ln N_e = ln N + (g + h ln(N/N_0)) ln(Ehat/e_start)"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        *Nested.coordinates,
        Coordinate(
            "size_gain",
            "positive",
            math.log(1.0),
            0.6,
            0.2,
            "experts",
            "1",
            "ln of effective over true size at the reference expert count",
        ),
        Coordinate("size_gain_slope", "real", 0.1, 0.1, 0.03, "experts", "1", "size gain lost per e-fold of size"),
        E_START,
        E_ABOVE,
    )
    symbols: ClassVar[dict[str, str]] = {
        **Nested.symbols,
        "g": "1",
        "h": "1",
        "N_0": "parameters",
        "e_start": "experts",
        "e_max": "experts",
    }

    def effective_size(self, parameters: PaperParameters, run: Run) -> Elementwise:
        """``N_e``: parameters of the dense model of equal loss."""
        return jnp.exp(self._ln_effective_size(parameters, run))

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        return nested_loss(parameters, self._ln_effective_size(parameters, run), jnp.log(run["tokens"]))

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q, run, shape = coordinates, reference.run, shape_of(coordinates)
        span = ln_gain(reference.gain_experts, shape)
        p = {"g": q["size_gain"] / span, "h": -q["size_gain_slope"] / span, "N_0": run[self.size], **shape}
        slope = q["slope_size"] / self._growth(p, run)
        return {**nested_paper(q, self._ln_effective_size(p, run), jnp.log(run["tokens"]), slope), **p}

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p, run = parameters, reference.run
        span = ln_gain(reference.gain_experts, p)
        q = nested_coordinates(p, self._ln_effective_size(p, run), jnp.log(run["tokens"]))
        return {
            **q,
            "slope_size": q["slope_size"] * self._growth(p, run),
            "size_gain": (p["g"] + p["h"] * jnp.log(run[self.size] / p["N_0"])) * span,
            "size_gain_slope": -p["h"] * span,
            **shape_coordinates(p),
        }

    def _ln_effective_size(self, p: PaperParameters, run: Run) -> Elementwise:
        ln_size = jnp.log(run[self.size])
        return ln_size + (p["g"] + p["h"] * (ln_size - jnp.log(p["N_0"]))) * self._ln_worth(p, run)

    def _growth(self, p: PaperParameters, run: Run) -> Elementwise:
        """Rise of ln N_e per e-fold of N."""
        return 1.0 + p["h"] * self._ln_worth(p, run)

    def _ln_worth(self, p: PaperParameters, run: Run) -> Elementwise:
        return ln_effective(run["num_experts"], p) - jnp.log(p["e_start"])


@dataclass(frozen=True)
class EffectiveSizeUnsaturated(EffectiveSize):
    """The effective-size law without saturation.

    ``L = F + A ( N_e^-a + R D^-b )^k,   ln N_e = ln N + ( g + h ln(N/N_0) ) ln( (E - 1 + e_start)/e_start )``

    The limit ``e_max -> infinity`` of :class:`EffectiveSize`: gains of experts never end.
    """

    name: ClassVar[str] = "effective-size-unsaturated"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "where tokens vary"
    equation: ClassVar[str] = (
        "L = F + A (N_e^-a + R D^-b)^k, ln N_e = ln N + (g + h ln(N/N_0)) ln((E - 1 + e_start)/e_start)"
    )
    coordinates: ClassVar[tuple[Coordinate, ...]] = tuple(c for c in EffectiveSize.coordinates if c is not E_ABOVE)
    symbols: ClassVar[dict[str, str]] = {name: unit for name, unit in EffectiveSize.symbols.items() if name != "e_max"}
