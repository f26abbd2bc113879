"""What a decode step is made of, in seconds at peak rates: each term of the roofline for any model, batch and layout."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import Accelerator
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT, Precision
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.traffic import Traffic

Reads = Literal["distinct", "active", "all"]
"""Which experts' weights a decode step reads: those that its batch touches, those of one token, or all."""

TERMS = ("layer", "moe_layer", "hop", "request", "memory", "activations", "compute", "prefill", "experts", "communication")
"""Terms of a decode step, in the order of :func:`step_terms`."""

OVERHEADS = ("layer", "moe_layer", "hop", "request")
"""Those that an engine, not the hardware, sets the pace of."""

BY_BANDWIDTH = ("memory", "activations")
"""Those that an accelerator's memory sets the pace of."""

OF_PROMPT = ("prefill", "experts")
"""Those of :func:`prompt_terms`."""

_EXPERT_WIDTH = 2048.0
"""Width of an expert whose grouped products take the term's coefficient: that of DeepSeek-V3."""

_OTHER_BYTES = 2.0
"""Bytes of an embedding or head weight: they are kept in 16 bits where the rest is narrower."""


def cache_bytes(model: ServedModel, traffic: Traffic, context_tokens: Elementwise) -> Elementwise:
    """Bytes that one request caches at some context."""
    window = jnp.minimum(context_tokens, model.window_tokens)
    elements = model.cache_per_token * context_tokens + model.window_cache_per_token * window + model.state
    return traffic.bytes_per_cache_element * elements


def replication(model: ServedModel, n_gpus: Elementwise) -> Elementwise:
    """How many times the cache is kept: once, unless there are fewer heads to split than GPUs and attention is not data-parallel."""
    return n_gpus / jnp.minimum(n_gpus, jnp.maximum(model.cache_shards, model.attention_ranks))


def weight_bytes(model: ServedModel, precision: Precision) -> Elementwise:
    """Bytes of all weights, those of attention on each of its ranks; embeddings and head in 16 bits."""
    copies = model.n_attention * (model.attention_ranks - 1.0)
    return BYTES_PER_WEIGHT[precision] * (model.n_total + copies) + _OTHER_BYTES * model.n_embedding


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
    """What a decode step is made of: layers, hops and requests counted, the others in seconds at peak rates.

    See :func:`step_parts` for each of them.

    Parameters
    ----------
    model, traffic : ServedModel, Traffic
        Arrays of any one shape.
    batch, n_gpus : array
        B requests decoded together on g accelerators.
    accelerator, precision : Accelerator, str
        Peaks, bandwidth and links: beyond a node, the network's. Precision of the weights, with its peak F_w.
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
    parts = step_parts(model, n_gpus, traffic, accelerator, precision)
    hit = _read_share(model, parts.ln_spared, batch * (1.0 + traffic.draft_tokens), reads, evenness)
    terms = [
        batch * each if fixed is None else fixed if each is None else fixed + batch * each
        for fixed, each in zip(parts.fixed, parts.per_request, strict=True)
    ]
    memory = TERMS.index("memory")
    terms[memory] = terms[memory] + parts.experts_read * hit
    return tuple(jnp.broadcast_arrays(*terms))


class StepParts(NamedTuple):
    """A step as a function of its batch: ``fixed + B per_request``, and ``hit(B) experts_read`` on top of ``memory``.

    Attributes
    ----------
    fixed, per_request : tuple
        One array for each of :data:`TERMS`; None where a term has no such part.
    experts_read : array
        Seconds to read all routed experts.
    ln_spared : array
        Log chance that one token spares an expert.
    """

    fixed: tuple[Any, ...]
    per_request: tuple[Any, ...]
    experts_read: Any
    ln_spared: Any


def step_parts(
    model: ServedModel, n_gpus: Elementwise, traffic: Traffic, accelerator: Accelerator, precision: Precision
) -> StepParts:
    """What a step is made of before its batch is known.

    With ``T = B (1 + (1 - h) p/n)`` tokens in a step, those decoded and those of the prompts that arrive but for what is cached, and ``P_k``
    the routed parameters that one token is multiplied by:

    | term | value |
    |---|---|
    | layer, moe_layer | L, L_x |
    | hop | ``L log2 g`` |
    | request | ``B/r``: scheduling and sampling, on each of the r ranks of attention |
    | memory | ``( w (n_total - P_x (1 - hit) + n_attention (r - 1)) + 2 n_head + cache read ) / (g BW)``, ``hit = 1 - (1 - k/E)^B`` |
    | activations | ``8 k T ( L_x d + P_x/(3 E d) ) / (g BW)``: tokens gathered for their experts, and their inner widths, written and read |
    | compute | ``B ( 2 (n_active - P_k + n_head) + attention over the context ) / (g F_w)`` |
    | prefill | ``B/n ( 2 (1 - h) p (n_active - P_k) + causal attention ) / (g F_w)``: the requests that arrive in a step |
    | experts | ``2 P_k T (2048 / d_e)^(1/2) / (g F_w)``: narrow matrices of width ``d_e = P_x / (3 E L_x d)`` are multiplied slower |
    | communication | ``8 T d L (g - 1) / (g link)``, two ring all-reduces of ``2 T d`` bytes a layer |

    Where attention is data-parallel (r = g ranks) a token is sent to its experts in one byte and comes back in two, and layers without
    experts gather and scatter: ``( 3 min(k, g) L_x / g + 4 (L - L_x) ) T d (g - 1) / (g link)``; beyond a node a token is sent once to each
    node, of which there are ``g / node`` in place of g.

    Where m tokens are drafted ahead of a step, by one layer more that has the model's head, ``B (1 + m)`` tokens touch experts, weights and
    cache are read and layers gone through ``1 + m/L`` times, ``1 + m + m/L`` tokens of a request are computed (m + 1 in the head), and
    A times as many requests arrive, A the tokens that a request gets of a step. Where other workers compute the prompts, none arrive.
    """
    of = _per_model(model, traffic, precision)
    deeper = 1.0 + traffic.draft_tokens / model.num_layers
    # Few numbers are divided, those of GPUs, and many multiplied: a division costs as much as ten products.
    per_gpu = 1.0 / n_gpus
    per_flop = per_gpu / accelerator.peak(precision)
    per_byte = per_gpu / accelerator.bandwidth_bytes_per_s
    weights = of.other_bytes + of.attention_bytes * (model.attention_ranks - 1.0)
    overheads = tuple(
        deeper * each for each in (model.num_layers, model.num_moe_layers, model.num_layers * jnp.log2(n_gpus))
    )
    return StepParts(
        fixed=(*overheads, None, weights * per_byte, *(None,) * 5),
        per_request=(
            *(None,) * 3,
            1.0 / model.attention_ranks,
            of.cache_bytes * replication(model, n_gpus) * per_byte,
            _some(of.activation_bytes, per_byte),
            of.decode_flop * per_flop,
            of.prefill_flop * per_flop,
            _some(of.expert_flop, per_flop),
            _exchanged_bytes(model, of, n_gpus, accelerator.node_gpus)
            * ((n_gpus - 1.0) * per_gpu / _link(accelerator, n_gpus)),
        ),
        experts_read=_some(of.routed_bytes, per_byte),
        ln_spared=of.ln_spared,
    )


def _some(work: Elementwise, per_unit: Elementwise) -> Elementwise:
    """Time of some work, none where there is none to do: on a chip that does nothing, 0 times infinity is no number."""
    return jnp.where(work > 0, work * per_unit, 0.0)


def _link(accelerator: Accelerator, n_gpus: Elementwise) -> Elementwise:
    return jnp.where(n_gpus <= accelerator.node_gpus, accelerator.link_bytes_per_s, accelerator.network_bytes_per_s)


def _exchanged_bytes(model: ServedModel, of: _PerModel, n_gpus: Elementwise, node_gpus: float) -> Elementwise:
    """Bytes that a request's tokens of a step move between GPUs, or between nodes where there are several."""
    ends = jnp.where(n_gpus <= node_gpus, n_gpus, n_gpus / node_gpus)
    to_experts = 3.0 * jnp.minimum(model.top_k, ends) * model.num_moe_layers / n_gpus
    data = to_experts + 4.0 * (model.num_layers - model.num_moe_layers)
    return of.token_width * jnp.where(model.attention_ranks > 1.0, data, 8.0 * model.num_layers)


def _read_share(
    model: ServedModel, ln_spared: Elementwise, batch: Elementwise, reads: Reads, evenness: Elementwise
) -> Elementwise:
    """Share of the routed experts whose weights a step reads."""
    if reads == "active":
        return jnp.minimum(model.top_k / model.num_experts, 1.0)
    return 1.0 if reads == "all" else hit_share(ln_spared, batch, evenness)


def hit_share(ln_spared: Elementwise, batch: Elementwise, evenness: Elementwise) -> Elementwise:
    """Share of the routed experts that a batch touches: ``1 - (1 - k/E)^(1 + e (B - 1))`` (Erdil 2025, arXiv:2506.04645, Eq. 22)."""
    return 1.0 - jnp.exp((1.0 + evenness * (batch - 1.0)) * ln_spared)


class _PerModel(NamedTuple):
    """What a step takes of a model whatever the GPUs: of all of it, or for each request of the batch.

    ``ln_spared`` is the log chance that one token spares an expert, ``token_width`` d times the tokens of a request in a step.
    """

    other_bytes: Any
    routed_bytes: Any
    attention_bytes: Any
    ln_spared: Any
    cache_bytes: Any
    activation_bytes: Any
    decode_flop: Any
    prefill_flop: Any
    expert_flop: Any
    token_width: Any


def _per_model(model: ServedModel, traffic: Traffic, precision: Precision) -> _PerModel:
    width, drafted = BYTES_PER_WEIGHT[precision], traffic.draft_tokens
    passes, deeper = traffic.passes(model.num_layers), 1.0 + drafted / model.num_layers
    arriving = traffic.tokens_per_step / traffic.output_tokens
    tokens = passes + arriving * traffic.joining_tokens
    of_experts = model.num_moe_layers * model.d_model + model.n_routed / (3.0 * model.num_experts * model.d_model)
    # Behind the barrier it is computed once, and not for every number of GPUs.
    return jax.lax.optimization_barrier(
        _PerModel(
            other_bytes=width * (model.n_total - model.n_routed) * deeper + _OTHER_BYTES * model.n_head * (1.0 + drafted),
            routed_bytes=width * model.n_routed * deeper,
            attention_bytes=width * model.n_attention * deeper,
            ln_spared=jnp.log1p(-jnp.minimum(model.top_k / model.num_experts, 1.0 - 1e-12)),
            cache_bytes=cache_bytes(model, traffic, traffic.context_tokens) * deeper,
            activation_bytes=8.0 * model.top_k * tokens * jnp.where(model.num_experts > 1, of_experts, 0.0),
            decode_flop=_decode_flop(model, traffic),
            prefill_flop=_prompt_flop(model, traffic) * (arriving * (1.0 - traffic.apart)),
            expert_flop=tokens * _expert_flop(model),
            token_width=tokens * model.d_model,
        )
    )


def _routed_per_token(model: ServedModel) -> Elementwise:
    """Parameters of the routed experts that one token is multiplied by."""
    return jnp.where(model.num_experts > 1, model.n_routed * jnp.minimum(model.top_k / model.num_experts, 1.0), 0.0)


def _expert_flop(model: ServedModel) -> Elementwise:
    """FLOP of a token in its routed experts, as many of a matrix of usual width as take the same time."""
    width = model.n_routed / jnp.maximum(3.0 * model.num_experts * model.num_moe_layers * model.d_model, 1.0)
    return 2.0 * _routed_per_token(model) * jnp.sqrt(_EXPERT_WIDTH / jnp.maximum(width, 1.0))


def _decode_flop(model: ServedModel, traffic: Traffic) -> Elementwise:
    """FLOP outside of routed experts to decode a request's tokens of one step at the mean context."""
    context = traffic.context_tokens
    attention = model.decode_attention_flop * context
    attention = attention + model.window_decode_attention_flop * jnp.minimum(context, model.window_tokens)
    in_layers = 2.0 * (model.n_active - _routed_per_token(model)) + attention
    return traffic.passes(model.num_layers) * in_layers + 2.0 * (1.0 + traffic.draft_tokens) * model.n_head


def _prompt_flop(model: ServedModel, traffic: Traffic) -> Elementwise:
    """FLOP outside of routed experts to read one prompt but for what is cached.

    ``2 (1 - h) p (n_active - P_k) + A E[p^2] (1 - h^2)/2 + A_w (seen(p) - seen(h p))``, ``seen(x)`` what a window shows to x tokens as it
    fills; windows are of the mean prompt.
    """
    prompt, cached = traffic.prompt_tokens, traffic.cached_share

    def seen(tokens: Any) -> Any:
        window = jnp.minimum(tokens, model.window_tokens)
        return window * (tokens - 0.5 * window)

    square = prompt**2 * (1.0 + traffic.prompt_cv**2) * (1.0 - cached**2)
    always = 2.0 * traffic.fresh_tokens * (model.n_active - _routed_per_token(model))
    in_window = model.window_attention_flop * (seen(prompt) - seen(cached * prompt))
    return always + 0.5 * model.attention_flop * square + in_window


def prompt_terms(
    model: ServedModel, n_gpus: Elementwise, traffic: Traffic, accelerator: Accelerator, precision: Precision
) -> tuple[Elementwise, Elementwise]:
    """Seconds at peak to read one prompt: outside of routed experts, and in them."""
    per_flop = 1.0 / (n_gpus * accelerator.peak(precision))
    routed = traffic.fresh_tokens * _expert_flop(model)
    return _prompt_flop(model, traffic) * per_flop, routed * per_flop
