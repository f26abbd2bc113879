"""Gadre et al. 2024: over-training, with one exponent for parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Published, Reference, Run, Size
from bayesmoe.laws.coordinates import LOSS_REFERENCE, REDUCIBLE, SIZE_PART, SLOPE_SIZE

_SOURCE = "Gadre et al. 2024, arXiv:2403.08540, authors' code re-run, C4 validation"


@dataclass(frozen=True)
class Gadre(Law):
    """Law of over-trained dense models in compute and tokens per parameter.

    ``L = E + ( a M^eta + b M^-eta ) C^-eta,   M = D/N,   C = 6 N D``

    N parameters, D tokens, C training FLOP, M tokens per parameter; L nats per token. It is Hoffmann's form with ``alpha =
    beta = 2 eta``, ``A = a / 6^eta`` and ``B = b / 6^eta``, so the loss-optimal ``M* = (b/a)^(1/(2 eta))`` does not
    depend on C.

    Coordinates: as :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla` without ``slope_tokens``, which the shared exponent fixes.

    Notes
    -----
    104 models with 5 to 640 tokens per parameter; each set is fitted to five small ones.

    References
    ----------
    arXiv:2403.08540, Eq. 4.
    """

    size: Size = "n_total"

    name: ClassVar[str] = "gadre"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "yes"
    source: ClassVar[str] = "Gadre et al. 2024, arXiv:2403.08540, Eq. 4"
    equation: ClassVar[str] = "L = E + (a M^eta + b M^-eta) C^-eta, M = D/N, C = 6 N D"
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens",)
    coordinates: ClassVar[tuple[Coordinate, ...]] = (LOSS_REFERENCE, SLOPE_SIZE, REDUCIBLE, SIZE_PART)
    symbols: ClassVar[dict[str, str]] = {
        "E": "nats/token",
        "a": "nats/token FLOP^eta",
        "b": "nats/token FLOP^eta",
        "eta": "1",
    }
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {"n_total": (1.1e7, 6.9e9), "tokens_per_parameter": (5, 640)}
    published: ClassVar[tuple[Published, ...]] = (
        Published("c4", {"E": 1.508, "a": 141.3, "b": 189.5, "eta": 0.1212}, _SOURCE, "primary"),
        Published("redpajama", {"E": 1.837, "a": 212.2, "b": 366.7, "eta": 0.1364}, _SOURCE, "primary"),
        Published("refinedweb", {"E": 1.734, "a": 157.1, "b": 246.2, "eta": 0.1272}, _SOURCE, "primary"),
    )

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        p = parameters
        size, tokens = _terms(p, jnp.log(run[self.size]), jnp.log(run["tokens"]))
        return p["E"] + size + tokens

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        q = coordinates
        size = q["loss_reference"] * q["reducible"] * q["size_part"]
        tokens = q["loss_reference"] * q["reducible"] * (1.0 - q["size_part"])
        eta = 0.5 * q["slope_size"] * q["loss_reference"] / size
        return {
            "E": q["loss_reference"] * (1.0 - q["reducible"]),
            "a": size * (6.0 * reference.run[self.size] ** 2) ** eta,
            "b": tokens * (6.0 * reference.run["tokens"] ** 2) ** eta,
            "eta": eta,
        }

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        p = parameters
        size, tokens = _terms(p, jnp.log(reference.run[self.size]), jnp.log(reference.run["tokens"]))
        total = p["E"] + size + tokens
        return {
            "loss_reference": total,
            "slope_size": 2.0 * p["eta"] * size / total,
            "reducible": (size + tokens) / total,
            "size_part": size / (size + tokens),
        }


def _terms(p: PaperParameters, ln_size: Elementwise, ln_tokens: Elementwise) -> tuple[Elementwise, Elementwise]:
    """Size and tokens term; in logarithms because M^eta C^-eta leaves float32 before either term does."""
    ln_flop, ln_ratio = jnp.log(6.0) + ln_size + ln_tokens, ln_tokens - ln_size
    return p["a"] * jnp.exp(p["eta"] * (ln_ratio - ln_flop)), p["b"] * jnp.exp(-p["eta"] * (ln_ratio + ln_flop))
