"""What a latency model of a server answers: the roofline and a table of measurements are two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.serving.roofline import Coefficients
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.traffic import Traffic


@runtime_checkable
class Latency(Protocol):
    """Seconds of one iteration, in which each request of a batch gets a token, and its share of new requests is prefilled."""

    def largest_batch(self, num_experts: Elementwise, n_gpus: Elementwise) -> Elementwise:
        """Largest batch whose latency is known, with those expert and GPU counts."""
        ...

    def __call__(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise]:
        """``(prefill_s, decode_s)`` of an iteration."""
        ...

    def by_batch(
        self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Callable[[Elementwise], tuple[Elementwise, Elementwise | None]]:
        """Seconds of an iteration, and to the first token or None, as functions of the batch: what no batch changes is computed once."""
        ...

    def first_token_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise | None:
        """Seconds to the first token of a request that meets a server at work; None where the model cannot say."""
        ...

    def prompt_alone_s(
        self, model: ServedModel, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise] | None:
        """Seconds of a prompt on a worker that computes prompts alone, and to its first token; None where the model cannot say."""
        ...

    def prompt_cache_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise | None:
        """Seconds of an iteration in which the cache of prompts is read; None where the model cannot say."""
        ...

    def seconds_by_term(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, ...] | None:
        """Seconds of each of :data:`bayesmoe.costs.serving.step.TERMS`; None where the model has no such terms."""
        ...
