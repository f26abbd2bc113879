"""Seconds of prefill and decode from an additive roofline with distinct experts, whose coefficients are calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import BYTES_PER_WEIGHT, Accelerator, Precision
from bayesmoe.costs.serving.served_model import ServedModel

Reads = Literal["distinct", "active", "all"]
"""Which experts' weights a decode step reads: those that its batch touches, those of one token, or all."""

TERMS = ("layer", "moe_layer", "hop", "memory", "compute", "prefill", "communication")
"""Terms of a decode step, in the order of :func:`step_terms`."""

OVERHEADS = ("layer", "moe_layer", "hop")
"""Those that an engine, not the hardware, sets the pace of."""

_OTHER_BYTES = 2.0
"""Bytes of an embedding or head weight: they are kept in 16 bits where the rest is narrower."""


class Traffic(NamedTuple):
    """What is asked of a server.

    Attributes
    ----------
    prompt_tokens, output_tokens : array
        Means p and n of a request.
    bytes_per_cache_element : array
        Bytes of one cached element.
    """

    prompt_tokens: Any
    output_tokens: Any
    bytes_per_cache_element: Any = 2.0

    @property
    def context_tokens(self) -> Elementwise:
        """Mean context of a request while it decodes: its prompt and half its output."""
        return self.prompt_tokens + 0.5 * self.output_tokens


def cache_bytes(model: ServedModel, traffic: Traffic, context_tokens: Elementwise) -> Elementwise:
    """Bytes that one request caches at some context."""
    window = jnp.minimum(context_tokens, model.window_tokens)
    elements = model.cache_per_token * context_tokens + model.window_cache_per_token * window + model.state
    return traffic.bytes_per_cache_element * elements


def replication(model: ServedModel, n_gpus: Elementwise) -> Elementwise:
    """How many times tensor parallelism over ``n_gpus`` keeps the cache: once, unless there are fewer heads to split than GPUs."""
    return n_gpus / jnp.minimum(n_gpus, model.cache_shards)


def weight_bytes(model: ServedModel, precision: Precision) -> Elementwise:
    """Bytes of all weights; embeddings and head in 16 bits."""
    return BYTES_PER_WEIGHT[precision] * model.n_total + _OTHER_BYTES * model.n_embedding


def step_terms(
    model: ServedModel,
    batch: Elementwise,
    n_gpus: Elementwise,
    traffic: Traffic,
    accelerator: Accelerator,
    precision: Precision,
    *,
    reads: Reads = "distinct",
    evenness: Elementwise = 1.0,
) -> tuple[Elementwise, ...]:
    """What a decode step is made of: layers and hops counted, the others in seconds at peak rates.

    | term | value |
    |---|---|
    | layer, moe_layer | L, L_x |
    | hop | ``L log2 g`` |
    | memory | ``( w (n_total - P_x (1 - hit)) + 2 n_head + cache read ) / (g BW)``, ``hit = 1 - (1 - k/E)^B`` |
    | compute | ``B ( 2 (n_active + n_head) + attention over the context ) / (g F_w)`` |
    | prefill | ``B/n ( 2 p n_active + causal attention ) / (g F)``: the requests that arrive in a step |
    | communication | two ring all-reduces of ``2 B d`` bytes a layer: ``8 B d L (g - 1) / (g link)`` |

    Parameters
    ----------
    model, traffic : ServedModel, Traffic
        Arrays of any one shape.
    batch, n_gpus : array
        B requests decoded together on g accelerators.
    accelerator, precision : Accelerator, str
        Peaks, bandwidth and link; precision of the weights.
    reads : {"distinct", "active", "all"}
        Whose weights are read; the last two are there to compare with.
    evenness : array
        Share of the batch, beyond its first request, that routes as if at random: routing that is skewed touches fewer experts.

    Returns
    -------
    tuple of array
        One entry for each of :data:`TERMS`.

    References
    ----------
    Erdil 2025, arXiv:2506.04645 (distinct experts, Eq. 22: an upper bound on average, as routing is taken as independent and uniform);
    the terms and their sum are this project's.
    """
    per_model = _per_model(model, traffic, precision)
    hit = _hit_share(model, per_model.ln_spared, batch, reads, evenness)
    # Few numbers are divided, those of GPUs, and many multiplied: a division costs as much as ten products.
    per_gpu = 1.0 / n_gpus
    terms = (
        model.num_layers,
        model.num_moe_layers,
        model.num_layers * jnp.log2(n_gpus),
        (per_model.other_bytes + per_model.routed_bytes * hit + batch * per_model.cache_bytes * replication(model, n_gpus))
        * (per_gpu / accelerator.bandwidth_bytes_per_s),
        per_model.decode_flop * batch * (per_gpu / accelerator.peak(precision)),
        per_model.prefill_flop * batch * (per_gpu / accelerator.peak_flop_per_s),
        per_model.exchanged_bytes * batch * ((n_gpus - 1.0) * per_gpu / accelerator.link_bytes_per_s),
    )
    return tuple(jnp.broadcast_arrays(*terms))


def _hit_share(
    model: ServedModel, ln_spared: Elementwise, batch: Elementwise, reads: Reads, evenness: Elementwise
) -> Elementwise:
    """Share of the routed experts whose weights a step reads."""
    if reads == "active":
        return jnp.minimum(model.top_k / model.num_experts, 1.0)
    return 1.0 if reads == "all" else 1.0 - jnp.exp((1.0 + evenness * (batch - 1.0)) * ln_spared)


class _PerModel(NamedTuple):
    """What a step takes of a model whatever the GPUs; ``ln_spared`` is the log chance that one token spares an expert."""

    other_bytes: Any
    routed_bytes: Any
    ln_spared: Any
    cache_bytes: Any
    decode_flop: Any
    prefill_flop: Any
    exchanged_bytes: Any


def _per_model(model: ServedModel, traffic: Traffic, precision: Precision) -> _PerModel:
    weights = weight_bytes(model, precision) - _OTHER_BYTES * (model.n_embedding - model.n_head)
    # Behind the barrier it is computed once, and not for every number of GPUs.
    return jax.lax.optimization_barrier(
        _PerModel(
            weights - BYTES_PER_WEIGHT[precision] * model.n_routed,
            BYTES_PER_WEIGHT[precision] * model.n_routed,
            jnp.log1p(-jnp.minimum(model.top_k / model.num_experts, 1.0 - 1e-12)),
            cache_bytes(model, traffic, traffic.context_tokens),
            _decode_flop(model, traffic),
            _prompt_flop(model, traffic) / traffic.output_tokens,
            8.0 * model.d_model * model.num_layers,
        )
    )


def _decode_flop(model: ServedModel, traffic: Traffic) -> Elementwise:
    """FLOP to decode one token at the mean context."""
    context = traffic.context_tokens
    attention = model.decode_attention_flop * context
    attention = attention + model.window_decode_attention_flop * jnp.minimum(context, model.window_tokens)
    return 2.0 * (model.n_active + model.n_head) + attention


def _prompt_flop(model: ServedModel, traffic: Traffic) -> Elementwise:
    """FLOP to read one prompt: ``2 p n_active + A p^2/2 + A_w p w'``, ``w'`` a window as it fills."""
    prompt = traffic.prompt_tokens
    window = jnp.minimum(prompt, model.window_tokens)
    in_window = window * (prompt - 0.5 * window)
    return 2.0 * prompt * model.n_active + 0.5 * model.attention_flop * prompt**2 + model.window_attention_flop * in_window


def prefill_s(model: ServedModel, n_gpus: Elementwise, traffic: Traffic, accelerator: Accelerator) -> Elementwise:
    """Seconds to read one prompt at the peak in 16 bits: ``( 2 p n_active + A p^2/2 + A_w p w' ) / (g F)``, ``w'`` a window as it fills."""
    return _prompt_flop(model, traffic) * (1.0 / (n_gpus * accelerator.peak_flop_per_s))


class Coefficients(NamedTuple):
    """Draws of what the terms cost; arrays of one broadcast shape.

    Attributes
    ----------
    step : tuple of array
        Seconds per layer and hop, and the others as multiples of peak time, in the order of :data:`TERMS`.
    first_prefill, first_step : array
        Time to first token in multiples of the prompt's peak time, and of a decode step (queueing and scheduling).
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
    """Latency of a server by :func:`step_terms`.

    ``t_step = slowdown sum_c coefficient_c term_c``, ``TTFT = first_slowdown (first_prefill t_prompt + first_step t_step)``.
    """

    accelerator: Accelerator
    precision: Precision = "bf16"
    evenness: float = 1.0

    def largest_batch(self, num_experts: Elementwise, n_gpus: Elementwise) -> Elementwise:
        """A formula knows every batch: infinite, whatever the expert and GPU counts."""
        return jnp.inf

    def __call__(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise]:
        """Seconds of prefill and of decode in one step."""
        seconds = list(self.seconds_by_term(model, batch, n_gpus, traffic, coefficients))
        prefill = seconds.pop(TERMS.index("prefill"))
        return prefill * coefficients.slowdown, sum(seconds) * coefficients.slowdown

    def seconds_by_term(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, ...]:
        """Seconds of each of :data:`TERMS` in one step, before the residual."""
        terms = step_terms(model, batch, n_gpus, traffic, self.accelerator, self.precision, evenness=self.evenness)
        return tuple(slope * term for slope, term in zip(coefficients.step, terms, strict=True))

    def first_token_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise:
        """Seconds to the first token of a request that meets a server at work."""
        step = sum(self(model, batch, n_gpus, traffic, coefficients))
        alone = prefill_s(model, n_gpus, traffic, self.accelerator)
        return coefficients.first_slowdown * (coefficients.first_prefill * alone + coefficients.first_step * step)
