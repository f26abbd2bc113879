"""Draws of what low precision takes from the loss: the size that training in few bits is worth, and what quantizing afterwards adds."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.precisions import element_bits, weight_bits
from bayesmoe.costs.uncertain import Uncertain, sample
from bayesmoe.laws.precision_loss import effective_size_of_training, quantization_loss
from bayesmoe.planning.scenario import Scenario
from bayesmoe.resources import resource_folder
from bayesmoe.specs import read_toml, spec

Bits = tuple[float, float]
"""Of weights and of activations."""

_FULL: Bits = (16.0, 16.0)
"""Those of the runs that laws are fitted to."""


@spec
class Measured:
    """What quantizing a public model added to its loss."""

    model: str
    method: str
    n: float
    tokens: float
    bits: float
    loss_nats: float
    source: str


@spec
class AfterTraining:
    """Prior of :func:`bayesmoe.laws.precision_loss.quantization_loss`, around a reference.

    Attributes
    ----------
    n, tokens, bits : float
        The reference: parameters, training tokens, bits of a weight with the scales of its block.
    loss_nats : Uncertain
        What is added there.
    tokens_exponent, size_exponent : Uncertain
        gamma_D and gamma_N.
    fall_per_bit : Uncertain
        1 / gamma_post.
    """

    n: float
    tokens: float
    bits: float
    loss_nats: Uncertain
    tokens_exponent: Uncertain
    size_exponent: Uncertain
    fall_per_bit: Uncertain

    def draws(self, bits: float, count: int, rng: np.random.Generator) -> QuantizationDraws:
        """So many draws for weights of so many bits with their scales."""
        shape = (count, 1)
        at_reference, by_tokens, by_size, per_bit = (
            sample(one, shape, rng) for one in (self.loss_nats, self.tokens_exponent, self.size_exponent, self.fall_per_bit)
        )
        ln_loss = np.log(at_reference) - per_bit * (bits - self.bits)
        # What is left of the form once bits are fixed: a coefficient of tokens and size.
        ln_coefficient = ln_loss - by_tokens * np.log(self.tokens) + by_size * np.log(self.n)
        return QuantizationDraws(ln_coefficient, by_tokens, by_size, rng.uniform(size=shape), ln_loss)


@spec
class InTraining:
    """Prior of gamma_x of :func:`bayesmoe.laws.precision_loss.effective_size_of_training`, by what is multiplied."""

    weights_scale_bits: Uncertain
    activations_scale_bits: Uncertain

    def ln_size_kept(self, bits: Bits, beside: Bits, count: int, rng: np.random.Generator) -> np.ndarray:
        """ln N_eff / N in so many bits of weights and activations, less that in others; shape (count, 1)."""
        scales = [sample(one, (count, 1), rng) for one in (self.weights_scale_bits, self.activations_scale_bits)]
        own, other = (np.log(effective_size_of_training(1.0, zip(each, scales, strict=True))) for each in (bits, beside))
        return np.asarray(own - other)


@spec
class PrecisionPrior:
    """What low precision takes from the loss, ``models/priors/precision.toml``."""

    after_training: AfterTraining
    in_training: InTraining
    measured: tuple[Measured, ...] = ()


class QuantizationDraws(NamedTuple):
    """Draws of what quantizing after training adds to the loss; arrays of shape (S, 1), one for all candidates.

    Attributes
    ----------
    ln_coefficient : array
        ln of the loss that is added, nats per token, per token and parameter.
    tokens_exponent, size_exponent : array
        gamma_D and gamma_N.
    total_share : array
        s in ``N = n_active^(1 - s) n_total^s``: N of the form is that of a dense model.
    ln_at_reference : array
        ln of the loss that is added at the reference, 7e9 parameters and 2e12 tokens.
    """

    ln_coefficient: Any
    tokens_exponent: Any
    size_exponent: Any
    total_share: Any
    ln_at_reference: Any

    def loss(self, run: Mapping[str, Any]) -> Elementwise:
        """Nats per token that are added to a run, elementwise; its fields stand beside these."""
        share = self.total_share
        size = jnp.exp((1.0 - share) * jnp.log(run["n_active"]) + share * jnp.log(run["n_total"]))
        # Bits are in the coefficient.
        return quantization_loss(
            size,
            run["tokens"],
            0.0,
            ln_coefficient=self.ln_coefficient,
            tokens_exponent=self.tokens_exponent,
            size_exponent=self.size_exponent,
            scale=1.0,
        )


class PrecisionDraws(NamedTuple):
    """Draws of what low precision takes from the loss.

    Attributes
    ----------
    ln_size_kept : array or None
        ln N_eff / N of training in few bits, shape (S, 1); None at 16 bits.
    quantization : QuantizationDraws or None
        What quantizing afterwards adds; None where nothing is quantized.
    """

    ln_size_kept: Any = None
    quantization: QuantizationDraws | None = None

    def by_name(self) -> dict[str, Any]:
        """Every number that is uncertain, by a name."""
        found = {}
        if self.ln_size_kept is not None:
            found["training.effective_size_share"] = jnp.exp(self.ln_size_kept)
        if self.quantization is not None:
            found["serving.quantization_loss_nats"] = jnp.exp(self.quantization.ln_at_reference)
            for name in ("tokens_exponent", "size_exponent", "total_share"):
                found[f"serving.quantization {name}"] = getattr(self.quantization, name)
        return found


@functools.cache
def shipped_precision_prior() -> PrecisionPrior:
    """The prior of this project, ``models/priors/precision.toml``: what is measured, and what is judged, stands there."""
    return read_toml(resource_folder("models") / "priors" / "precision.toml", PrecisionPrior)


def loses_bits(scenario: Scenario) -> bool:
    """Whether the model is served in fewer bits than it is trained in."""
    return element_bits(scenario.serving.precision) < element_bits(scenario.training.precision)


def quantized_at_a_loss(scenario: Scenario) -> bool:
    """Whether serving adds something to the loss, rather than nothing or a smaller size."""
    serving = scenario.serving
    if not loses_bits(scenario) or serving.quantization_loss_nats == 0.0:
        return False
    return serving.quantization_loss_nats is not None or serving.quantization == "after training"


def precision_draws(scenario: Scenario, draws: int) -> PrecisionDraws:
    """So many draws of what a scenario's precisions take from the loss.

    The loss of a design is then ``L(N_eff, D, E) + delta(N, D)``, both of :mod:`bayesmoe.laws.precision_loss`. Without a number of the scenario's own, N_eff follows from
    the bits of training, and of a model that is trained for its serving precision from the bits of serving for the weights.
    """
    training, serving, prior = scenario.training, scenario.serving, shipped_precision_prior()
    # Each has a stream of its own, so that scenarios which differ in one precision share the draws of the other.
    of_training, of_serving = np.random.default_rng((scenario.seed, 4)).spawn(2)
    trained = float(element_bits(training.precision))
    weights, kept, quantization = trained, None, None
    if loses_bits(scenario) and serving.quantization == "trained" and serving.quantization_loss_nats is None:
        weights = float(element_bits(serving.precision))
    if weights < _FULL[0]:
        own = training.effective_size_share if trained < _FULL[1] else None
        known = _FULL if own is None else (trained, trained)
        kept = prior.in_training.ln_size_kept((weights, trained), known, draws, of_training)
        kept = kept if own is None else kept + np.log(sample(own, (draws, 1), of_training, most=1.0))
    if quantized_at_a_loss(scenario):
        if serving.quantization_loss_nats is None:
            quantization = prior.after_training.draws(weight_bits(serving.precision), draws, of_serving)
        else:
            ln_loss = np.log(sample(serving.quantization_loss_nats, (draws, 1), of_serving))
            none = np.zeros_like(ln_loss)
            quantization = QuantizationDraws(ln_loss, none, none, none, ln_loss)
    return PrecisionDraws(kept, quantization)
