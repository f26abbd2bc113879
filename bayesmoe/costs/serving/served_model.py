"""A model as its server sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesmoe.architecture import Family, Shape, num_layers, width_times_layers
from bayesmoe.arrays import Elementwise

ATTENTION_SHARE = 1.0 / 3.0
"""Share of a family's backbone in attention: 4 d^2 of 12 d^2 parameters a layer."""

HEAD_DIM = 128.0
"""Width of a head of keys and values, as in Llama 3 (arXiv:2407.21783) and most models since; a family's cache splits over its heads."""


class ServedModel(NamedTuple):
    """What serving needs to know of models; arrays of one broadcast shape.

    Attributes
    ----------
    n_dense, n_active, n_total, n_routed, n_attention : array
        Parameters without embeddings: backbone, those that a token is multiplied by, all, in routed experts, and in attention.
    n_head, n_embedding : array
        Parameters of the head, and of head and embeddings together.
    num_experts, top_k : array
        Routed experts and routed experts per token (1 and 1 for dense).
    num_layers, num_moe_layers, d_model : array
        Layers, those with experts, width.
    cache_per_token, window_cache_per_token, window_tokens, state : array
        Elements cached per token of context, per token of a sliding window, the window's length, and of fixed size.
    cache_shards : array
        Over how many accelerators tensor parallelism can split the cache.
    attention_flop, window_attention_flop : array
        FLOP of attention per token and token of context in prefill, of layers that see all of it and of those that see a window.
    decode_attention_flop, window_decode_attention_flop : array
        The same while decoding.
    attention_ranks : array
        Over how many accelerators attention is data-parallel: each has all of its weights and the caches of its own requests. 1 where heads
        are split over all of them.
    """

    n_dense: Any
    n_active: Any
    n_total: Any
    n_routed: Any
    n_attention: Any
    n_head: Any
    n_embedding: Any
    num_experts: Any
    top_k: Any
    num_layers: Any
    num_moe_layers: Any
    d_model: Any
    cache_per_token: Any
    window_cache_per_token: Any
    window_tokens: Any
    state: Any
    cache_shards: Any
    attention_flop: Any
    window_attention_flop: Any = 0.0
    decode_attention_flop: Any = 0.0
    window_decode_attention_flop: Any = 0.0
    attention_ranks: Any = 1.0


def served_shapes(shapes: Sequence[Shape]) -> ServedModel:
    """Exact shapes, one entry each; arrays of shape (len(shapes),)."""
    rows = [
        ServedModel(
            n_dense=shape.n_dense,
            n_active=shape.n_multiplied,
            n_total=shape.n_total,
            n_routed=shape.n_routed,
            n_attention=shape.n_attention,
            n_head=shape.n_head,
            n_embedding=shape.n_embedding,
            num_experts=1 if shape.experts is None else shape.experts.num_experts,
            top_k=1 if shape.experts is None else shape.members * shape.experts.top_k,
            num_layers=shape.num_layers,
            num_moe_layers=shape.num_moe_layers,
            d_model=shape.d_model,
            cache_per_token=shape.cache_elements_per_token,
            window_cache_per_token=shape.window_cache_elements_per_token,
            window_tokens=shape.window_tokens,
            state=shape.state_elements,
            cache_shards=shape.attention.cache_shards,
            attention_flop=shape.copies * shape.full_layers * shape.attention.flop_per_token_of_context,
            window_attention_flop=shape.copies * shape.window_layers * shape.attention.flop_per_token_of_context,
            decode_attention_flop=shape.copies * shape.full_layers * shape.attention.decode_flop_per_token_of_context,
            window_decode_attention_flop=shape.copies
            * shape.window_layers
            * shape.attention.decode_flop_per_token_of_context,
        )
        for shape in shapes
    ]
    return ServedModel(*(np.asarray(column, dtype=float) for column in zip(*rows, strict=True)))


def served_family(
    n_dense: Elementwise,
    num_experts: Elementwise,
    family: Family,
    *,
    mu: Elementwise,
    cache_share: Elementwise,
    moe_layer_share: float,
    vocab_size: float = 0.0,
) -> ServedModel:
    """Models of a family at continuous sizes, without embeddings; layers and width from ``d L = mu n_dense^(2/3)``.

    Parameters
    ----------
    n_dense, num_experts, mu : array
        Backbone parameters, expert counts; for mu see :func:`bayesmoe.architecture.width_times_layers`.
    family : Family
        The family.
    cache_share : array
        Cached elements over those of plain multi-head attention (``2 d`` a token and layer).
    moe_layer_share, vocab_size : float
        Share of layers with experts; entries of the vocabulary, whose head is read at each step and not shared with the embedding.
    """
    run = family.run(n_dense, 0.0, num_experts)
    wide, layers = width_times_layers(n_dense, mu), num_layers(n_dense, mu)
    d_model = wide / layers
    return ServedModel(
        n_dense=n_dense,
        n_active=run["n_active"],
        n_total=run["n_total"],
        n_routed=n_dense * family.routed_ratio(num_experts),
        n_attention=n_dense * ATTENTION_SHARE,
        n_head=vocab_size * d_model,
        n_embedding=2.0 * vocab_size * d_model,
        num_experts=num_experts,
        top_k=run["top_k"],
        num_layers=layers,
        num_moe_layers=moe_layer_share * (num_experts > 1) * layers,
        d_model=d_model,
        cache_per_token=2.0 * cache_share * wide,
        window_cache_per_token=0.0,
        window_tokens=0.0,
        state=0.0,
        cache_shards=jnp.maximum(cache_share * d_model / HEAD_DIM, 1.0),
        attention_flop=4.0 * wide,
        window_attention_flop=0.0,
        decode_attention_flop=4.0 * wide,
        window_decode_attention_flop=0.0,
    )
