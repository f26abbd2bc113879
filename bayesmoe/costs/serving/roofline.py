"""Seconds of prefill and decode from an additive roofline with distinct experts, whose coefficients are calibrated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import Accelerator
from bayesmoe.costs.precisions import Precision
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.step import OF_PROMPT, TERMS, hit_share, prompt_terms, step_parts, step_terms
from bayesmoe.costs.serving.traffic import Traffic

CHUNK = 8192.0
"""Prompt tokens of a step of a worker that computes prompts alone: the usual most of engines."""


class Coefficients(NamedTuple):
    """Draws of what the terms cost; arrays of one broadcast shape.

    Attributes
    ----------
    step : tuple of array
        Seconds per layer and hop, and the others as multiples of peak time, in the order of :data:`bayesmoe.costs.serving.step.TERMS`.
    first_prefill, first_step : array
        Time to first token in multiples of the seconds of its prompt, and of a decode step (queueing and scheduling).
    slowdown, first_slowdown : array
        Residual factors on the decode step and on the time to first token.
    """

    step: tuple[Any, ...]
    first_prefill: Any
    first_step: Any
    slowdown: Any
    first_slowdown: Any


@dataclass(frozen=True)
class Roofline:
    """Latency of a server by :func:`bayesmoe.costs.serving.step.step_terms`.

    ``t_step = slowdown sum_c coefficient_c term_c``, ``TTFT = first_slowdown (first_prefill t_prompt + first_step t_step)``. Where tokens are
    drafted ahead of a step, an iteration is the A-th part of one, A the tokens that a request gets of it: then TPOT is ``t_step / A``. With
    ``overlap`` half of a batch computes while the other is exchanged: of communication there remains what is longer than all else.
    """

    accelerator: Accelerator
    precision: Precision = "bf16"
    evenness: float = 1.0
    overlap: bool = False

    def largest_batch(self, num_experts: Elementwise, n_gpus: Elementwise) -> Elementwise:
        """A formula knows every batch: infinite, whatever the expert and GPU counts."""
        return jnp.inf

    def __call__(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise]:
        """Seconds of prefill and of decode in one iteration; terms that grow with tokens are shared between both by their tokens."""
        seconds = dict(zip(TERMS, self.seconds_by_term(model, batch, n_gpus, traffic, coefficients), strict=True))
        of_tokens = sum(seconds.pop(name) for name in ("activations", "experts", "communication"))
        arriving = traffic.tokens_per_step * traffic.joining_tokens
        of_prompts = arriving / (arriving + traffic.passes(model.num_layers) * traffic.output_tokens) * of_tokens
        prefill = seconds.pop("prefill") + of_prompts
        decode = sum(seconds.values()) + of_tokens - of_prompts
        each = coefficients.slowdown / traffic.tokens_per_step
        return prefill * each, decode * each

    def prompt_cache_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise:
        """Seconds of an iteration in which the cache of prompts is read: that of a context, by its share of prompt."""
        memory = TERMS.index("memory")
        read = step_parts(model, n_gpus, traffic, self.accelerator, self.precision).per_request[memory]
        of_prompt = traffic.prompt_tokens * (1.0 + traffic.length_covariance) / traffic.context_tokens
        return batch * read * of_prompt * coefficients.step[memory] * coefficients.slowdown / traffic.tokens_per_step

    def by_batch(
        self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Callable[[Elementwise], tuple[Elementwise, Elementwise]]:
        """Seconds of an iteration and to the first token as functions of the batch."""
        parts = step_parts(model, n_gpus, traffic, self.accelerator, self.precision)

        exchange, per_request = self._parted(parts.per_request, coefficients)
        fixed, each = self._total(parts.fixed, coefficients), self._total(per_request, coefficients)
        read = coefficients.slowdown * coefficients.step[TERMS.index("memory")] * parts.experts_read
        alone = self._prompt_s(model, n_gpus, traffic, coefficients)
        drafted, per_token = 1.0 + traffic.draft_tokens, 1.0 / traffic.tokens_per_step

        def seconds(batch: Elementwise) -> tuple[Elementwise, Elementwise]:
            step = fixed + batch * each + hit_share(parts.ln_spared, batch * drafted, self.evenness) * read
            step = step if exchange is None else jnp.maximum(step, batch * exchange)
            first = coefficients.first_prefill * alone + coefficients.first_step * step
            return step * per_token, coefficients.first_slowdown * first

        return seconds

    def prompt_alone_s(
        self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise]:
        """Seconds of a prompt on a worker that computes prompts alone, and to its first token when no other waits.

        The worker takes steps of :data:`CHUNK` tokens of prompts, each of which ends with its first token and reads all experts.
        """
        once = traffic._replace(output_tokens=1.0, output_cv=0.0, length_covariance=0.0, draft_tokens=0.0, apart=0.0)
        parts = step_parts(model, n_gpus, once, self.accelerator, self.precision)
        prompts = CHUNK / traffic.fresh_tokens
        exchange, per_request = self._parted(parts.per_request, coefficients)
        step = self._total(parts.fixed, coefficients) + prompts * self._total(per_request, coefficients)
        step = step + coefficients.slowdown * coefficients.step[TERMS.index("memory")] * parts.experts_read
        step = step if exchange is None else jnp.maximum(step, prompts * exchange)
        first = coefficients.first_prefill * self._prompt_s(model, n_gpus, traffic, coefficients) + step
        return step / prompts, coefficients.first_slowdown * first

    def _prompt_s(
        self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise:
        """Seconds of the arithmetic of a prompt by itself."""
        of_prompt = prompt_terms(model, n_gpus, traffic, self.accelerator, self.precision)
        slopes = (coefficients.step[TERMS.index(name)] for name in OF_PROMPT)
        return sum(slope * term for slope, term in zip(slopes, of_prompt, strict=True))

    def _parted(self, of: tuple[Any, ...], coefficients: Coefficients) -> tuple[Any, tuple[Any, ...]]:
        """Seconds of communication where all else hides it, None where nothing does; and the parts that add up."""
        if not self.overlap:
            return None, of
        at = TERMS.index("communication")
        return coefficients.slowdown * coefficients.step[at] * of[at], (*of[:at], None)

    @staticmethod
    def _total(of: tuple[Any, ...], coefficients: Coefficients) -> Any:
        slopes = zip(coefficients.step, of, strict=True)
        return coefficients.slowdown * sum(slope * part for slope, part in slopes if part is not None)

    def seconds_by_term(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, ...]:
        """Seconds of each of :data:`bayesmoe.costs.serving.step.TERMS` in one step, before the residual; of communication, what nothing hides."""
        terms = step_terms(model, batch, n_gpus, traffic, self.accelerator, self.precision, evenness=self.evenness)
        *others, exchange = (slope * term for slope, term in zip(coefficients.step, terms, strict=True))
        return (*others, jnp.maximum(exchange - sum(others), 0.0) if self.overlap else exchange)

    def first_token_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise:
        """Seconds to the first token of a request that meets a server at work."""
        return self.by_batch(model, n_gpus, traffic, coefficients)(batch)[1]
