"""A model as the cluster that trains it sees it: FLOP by the kernel that computes them, and elements that kernels read and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bayesmoe.architecture import Family, Heads, Shape, num_layers, width_times_layers
from bayesmoe.arrays import Elementwise

_PASSES = 3.0
"""A forward pass, and a backward pass of twice its FLOP."""

_GATED = 2.0
"""Activations of a gated feed-forward part, in its widths: gate and up."""


class TrainedModel(NamedTuple):
    """What training needs to know of models; arrays of one broadcast shape. FLOP and elements are those of one token.

    Attributes
    ----------
    dense_flop, head_flop : array
        Training FLOP of all matrices that every token meets, and of the output head.
    routed_flop : array
        Of routed experts.
    attention_flop, skipped_attention_flop : array
        Of scores and their sums over values, causal; and what a window or a sparse pattern leaves out of them.
    head_dim : array
        Width of one attention head.
    num_layers, num_moe_layers, d_model : array
        Layers, those with experts, width.
    d_expert, d_routed, top_k, num_experts : array
        Width of a routed expert, width of what it is fed, experts of a token and of a layer (1, d_model, 0 and 1 for dense).
    inner_elements, routed_elements : array
        Elements inside of dense blocks and of the experts of a token: queries, keys, values, and activations of feed-forward parts.
    recurrent_elements : array
        Elements of linear-attention or state-space layers, which scan them.
    vocab : array
        Logits.
    n_total, n_routed : array
        Parameters, embeddings and head included; those in routed experts.
    """

    dense_flop: Any
    head_flop: Any
    routed_flop: Any
    attention_flop: Any
    skipped_attention_flop: Any
    head_dim: Any
    num_layers: Any
    num_moe_layers: Any
    d_model: Any
    d_expert: Any
    d_routed: Any
    top_k: Any
    num_experts: Any
    inner_elements: Any
    routed_elements: Any
    recurrent_elements: Any
    vocab: Any
    n_total: Any
    n_routed: Any

    @property
    def flop(self) -> Elementwise:
        """Training FLOP per token."""
        return self.dense_flop + self.head_flop + self.routed_flop + self.attention_flop


def trained_shapes(shapes: Sequence[Shape], sequence_tokens: Elementwise) -> TrainedModel:
    """Exact shapes, one entry each, trained on sequences of some length; arrays of shape (len(shapes),).

    The FLOP are those of :meth:`bayesmoe.architecture.Shape.train_flop_per_token`.

    Examples
    --------
    >>> bm.costs.training.trained_shapes([public_shape("mixtral-8x7b")], 4096.0)  # doctest: +SKIP
    """
    lengths = np.broadcast_to(sequence_tokens, (len(shapes),))
    rows = [_trained(shape, float(length)) for shape, length in zip(shapes, lengths, strict=True)]
    return TrainedModel(*(np.asarray(column, dtype=float) for column in zip(*rows, strict=True)))


def _trained(shape: Shape, sequence_tokens: float) -> TrainedModel:
    experts, attention = shape.experts, shape.attention
    full, window = (sequence_tokens + 1.0) / 2.0, min(sequence_tokens, shape.window_tokens)
    in_window = window * (1.0 - (window - 1.0) / (2.0 * sequence_tokens))
    per_layer = _PASSES * shape.copies * attention.flop_per_token_of_context
    head = 2.0 * _PASSES * shape.members * shape.n_head
    attended = per_layer * (shape.full_layers * full + shape.window_layers * in_window)
    top_k = 0 if experts is None else shape.members * experts.top_k
    routed = 2.0 * _PASSES * top_k * shape.n_per_expert
    if isinstance(attention, Heads):
        head_dim, inner = attention.head_dim, 2.0 * attention.head_dim * (attention.num_heads + attention.kv_heads)
    else:
        head_dim = attention.nope_dim + attention.rope_dim
        inner = attention.num_heads * (head_dim + attention.value_dim)
    linear = 0 if shape.linear is None else shape.linear_layers * shape.linear.value_heads * shape.linear.value_dim
    dense_layers, moe_layers = shape.num_layers - shape.num_moe_layers, shape.num_moe_layers
    wide = dense_layers * (shape.d_ff or 0) + moe_layers * (0 if experts is None else experts.d_shared)
    return TrainedModel(
        dense_flop=shape.train_flop_per_token(sequence_tokens) - head - routed - attended,
        head_flop=head,
        routed_flop=routed,
        attention_flop=attended,
        skipped_attention_flop=per_layer * shape.window_layers * (full - in_window),
        head_dim=head_dim,
        num_layers=shape.num_layers,
        num_moe_layers=moe_layers,
        d_model=shape.d_model,
        d_expert=1 if experts is None else experts.d_expert,
        d_routed=shape.d_model if experts is None else experts.latent_dim or shape.d_model,
        top_k=top_k,
        num_experts=1 if experts is None else experts.num_experts,
        inner_elements=shape.copies * ((shape.num_layers - shape.linear_layers) * inner + _GATED * wide),
        routed_elements=0 if experts is None else _GATED * moe_layers * top_k * experts.d_expert,
        recurrent_elements=shape.copies * linear,
        vocab=shape.members * shape.vocab,
        n_total=shape.n_total + shape.n_embedding,
        n_routed=shape.n_routed,
    )


def trained_family(
    n_dense: Elementwise,
    num_experts: Elementwise,
    family: Family,
    *,
    mu: Elementwise,
    moe_layer_share: float,
    sequence_tokens: Elementwise,
    head_dim: float = 128.0,
) -> TrainedModel:
    """Models of a family at continuous sizes, without embeddings; layers and width from ``d L = mu n_dense^(2/3)``.

    Feed-forward parts are gated: ``3 d d_ff L_x = c n_dense`` of the L_x layers that become MoE layers, and ``d_expert = d_ff / G``.

    Parameters
    ----------
    n_dense, num_experts, mu : array
        Backbone parameters, expert counts; for mu see :func:`bayesmoe.architecture.width_times_layers`.
    family : Family
        The family.
    moe_layer_share, sequence_tokens, head_dim : float
        Share of layers with experts; tokens of a sequence; width of a head.
    """
    moe = num_experts > 1
    wide, layers = width_times_layers(n_dense, mu), num_layers(n_dense, mu)
    d_model, replaced = wide / layers, moe_layer_share * layers
    d_ff = family.moe_share * n_dense / (3.0 * d_model * replaced)
    d_expert = d_ff / family.granularity
    routed = moe * family.moe_share * family.top_k / family.granularity * n_dense
    active = family.active_ratio(num_experts) * n_dense
    dense_layers = layers - moe * replaced
    inner = 4.0 * wide + _GATED * (dense_layers * d_ff + moe * replaced * family.shared_experts * d_expert)
    return TrainedModel(
        dense_flop=2.0 * _PASSES * (active - routed),
        head_flop=0.0 * wide,
        routed_flop=2.0 * _PASSES * routed,
        attention_flop=_PASSES * 4.0 * wide * (sequence_tokens + 1.0) / 2.0,
        skipped_attention_flop=0.0 * wide,
        head_dim=head_dim,
        num_layers=layers,
        num_moe_layers=moe * replaced,
        d_model=d_model,
        d_expert=np.where(moe, d_expert, 1.0),
        d_routed=d_model,
        top_k=moe * family.top_k,
        num_experts=num_experts,
        inner_elements=inner,
        routed_elements=_GATED * moe * replaced * family.top_k * d_expert,
        recurrent_elements=0.0 * wide,
        vocab=0.0 * wide,
        n_total=family.total_ratio(num_experts) * n_dense,
        n_routed=family.routed_ratio(num_experts) * n_dense,
    )


class Trained(NamedTuple):
    """Architectures that one cluster is asked to train, at any size; see :func:`trained_family`.

    Attributes
    ----------
    num_experts : tuple of int
        Of each architecture.
    families : tuple of Family
        What each is but for its size.
    mu : float
        Width times layers over the backbone to the power 2/3.
    moe_layer_share : float
        Share of layers with experts.
    """

    num_experts: tuple[int, ...]
    families: tuple[Family, ...]
    mu: float
    moe_layer_share: float

    def models(self, number: int, n_dense: np.ndarray, sequence_tokens: float) -> TrainedModel:
        """One architecture at several sizes, with widths that layouts divide; leaves of shape (G,)."""
        made = trained_family(
            n_dense,
            float(self.num_experts[number]),
            self.families[number],
            mu=self.mu,
            moe_layer_share=self.moe_layer_share,
            sequence_tokens=sequence_tokens,
        )
        return TrainedModel(*(np.broadcast_to(np.asarray(leaf, dtype=float), np.shape(n_dense)) for leaf in made))
