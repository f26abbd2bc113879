"""Seconds that one accelerator spends on one token of training: a sum of terms, each a count at peak rates times a fitted slope."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import Accelerator
from bayesmoe.costs.precisions import TrainingPrecision
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.trained_model import TrainedModel

PRECISIONS: tuple[TrainingPrecision, ...] = ("bf16", "fp8", "fp4")
"""Precisions that matrices are multiplied in; weights, optimizer and everything else stay as they are."""

GROUPS = {
    "matmul": ("matmul", "narrow_matmul"),
    "experts": ("experts", "narrow_experts", "narrow_input", "few_rows"),
    "attention": ("attention", "narrow_heads", "skipped_attention"),
    "elementwise": ("residual", "activation", "recurrent", "logits"),
    "routing": ("permutation", "expert_activation", "router"),
    "all_to_all": ("exchange", "exchange_between_nodes"),
    "tensor_parallel": ("tensor_exchange",),
    "data_parallel": ("gradients", "gathered_weights", "optimizer"),
    "launches": ("layers", "moe_layers", "local_experts"),
}
"""Terms of :func:`step_terms` by what they are to a reader; recomputation and the pipeline's bubble come on top."""

TERMS = tuple(term for group in GROUPS.values() for term in group)
"""Terms of a token, in the order of :func:`step_terms`."""

_COMPUTED = frozenset(
    term for group in ("matmul", "experts", "attention", "elementwise", "routing") for term in GROUPS[group]
)
_ROUTED = frozenset(term for group in ("experts", "routing", "all_to_all") for term in GROUPS[group])

COMPUTED = np.array([term in _COMPUTED for term in TERMS], dtype=float)
"""Terms that recomputation repeats and that wait in a pipeline."""

PIPED = np.array([term in _COMPUTED or term in GROUPS["all_to_all"] for term in TERMS], dtype=float)
"""Terms that a pipeline's bubble is made of."""

ROUTED = np.array([term in _ROUTED for term in TERMS], dtype=float)
"""Terms that uneven routing stretches: the accelerator with the most tokens is waited for."""

_EXCHANGED_BYTES = 8.0
"""Bytes that a token's copy travels for each element: dispatched and combined, forward and backward, in 16 bits."""

_REDUCED_BYTES = 2.0
_OPTIMIZER_BYTES = 24.0
"""Bytes that an optimizer's step reads and writes for each parameter: master weight, two moments, gradient, working copy."""


class Chip(NamedTuple):
    """Rates of accelerators; arrays of one broadcast shape.

    Attributes
    ----------
    matmul_flop_per_s, flop_per_s : array
        Peaks for matrices and for everything else (16 bits).
    bandwidth_bytes_per_s, link_bytes_per_s, network_bytes_per_s : array
        Of memory, between accelerators of a node, and between nodes for each accelerator.
    node_gpus : array
        Accelerators that the fast links join.
    """

    matmul_flop_per_s: Any
    flop_per_s: Any
    bandwidth_bytes_per_s: Any
    link_bytes_per_s: Any
    network_bytes_per_s: Any
    node_gpus: Any

    @classmethod
    def of(cls, accelerator: Accelerator, precision: TrainingPrecision) -> Chip:
        """Rates of one accelerator with matrices in some precision."""
        peaks = {
            "bf16": accelerator.peak_flop_per_s,
            "fp8": accelerator.peak_fp8_flop_per_s,
            "fp4": accelerator.peak_fp4_flop_per_s,
        }
        return cls(
            peaks[precision],
            accelerator.peak_flop_per_s,
            accelerator.bandwidth_bytes_per_s,
            accelerator.link_bytes_per_s,
            accelerator.network_bytes_per_s,
            accelerator.node_gpus,
        )


class Software(NamedTuple):
    """What a stack does beside the layout; arrays of one broadcast shape.

    Attributes
    ----------
    age_years : array
        Years between its release and August 2026, when the newest measurements were published.
    full_graph, partial_graph : array
        1 where CUDA graphs capture the whole iteration, or parts of it.
    plain_dispatch : array
        1 where tokens travel by a plain all-to-all, 0 for fused kernels (DeepEP, HybridEP).
    overlap : array
        1 where the experts' all-to-all runs behind computation.
    """

    age_years: Any = 0.0
    full_graph: Any = 0.0
    partial_graph: Any = 1.0
    plain_dispatch: Any = 0.0
    overlap: Any = 0.0


def step_terms(model: TrainedModel, layout: Layout, chip: Chip) -> tuple[Elementwise, ...]:
    """What a token costs one accelerator: seconds at peak rates, seconds over a width, and launches counted.

    | term | value |
    |---|---|
    | matmul, narrow_matmul | ``F / peak`` of dense matrices and head; over d_model |
    | experts, narrow_experts, narrow_input, few_rows | ``F_x / peak`` of routed experts; over d_expert, their input width, tokens of an expert in a pass |
    | attention, narrow_heads, skipped_attention | ``A / peak_16``; over the width of a head; what windows leave out |
    | residual, activation, recurrent, logits | ``L d``, inner and scanned elements, vocabulary, each over BW |
    | permutation, expert_activation, router | ``L_x K d_x``, elements inside experts, ``L_x E``, each over BW |
    | exchange, exchange_between_nodes | ``8 L_x K d_x (1 - 1/EP) / link``, and ``8 L_x min(K, nodes) d_x (1 - 1/nodes) / network`` |
    | tensor_exchange | ``2 L d (TP - 1) / link`` |
    | gradients, gathered_weights | parameters of an accelerator, once a step, and once a pass where they are sharded, over the link or network that joins replicas |
    | optimizer | ``24 n_total / (BW tokens of a step)`` |
    | layers, moe_layers, local_experts | ``L``, ``L_x``, ``L_x E / EP``, over the tokens of a pass |

    Parameters
    ----------
    model, layout, chip : TrainedModel, Layout, Chip
        Arrays of one broadcast shape.

    Returns
    -------
    tuple of array
        One entry for each of :data:`TERMS`. On one accelerator nothing is exchanged, and a dense model has no experts: those are 0.

    References
    ----------
    The terms and their sum are this project's; bubble and traffic as in Narayanan et al. 2021, arXiv:2104.04473.
    """
    terms = (*_computed(model, layout, chip), *_exchanged(model, layout, chip), *_each_step(model, layout, chip))
    return tuple(jnp.broadcast_arrays(*terms))


def _computed(model: TrainedModel, layout: Layout, chip: Chip) -> tuple[Elementwise, ...]:
    """Terms from ``matmul`` to ``router``."""
    per_peak, per_16, per_byte = 1.0 / chip.matmul_flop_per_s, 1.0 / chip.flop_per_s, 1.0 / chip.bandwidth_bytes_per_s
    dense, routed = (model.dense_flop + model.head_flop) * per_peak, model.routed_flop * per_peak
    attention = model.attention_flop * per_16
    rows = layout.tokens_per_pass * model.top_k * layout.expert * layout.expert_tensor / model.num_experts
    return (
        dense,
        dense / model.d_model,
        routed,
        routed / model.d_expert,
        routed / model.d_routed,
        routed / jnp.maximum(rows, 1.0),
        attention,
        attention / model.head_dim,
        model.skipped_attention_flop * per_16,
        model.num_layers * model.d_model * per_byte,
        model.inner_elements * per_byte,
        model.recurrent_elements * per_byte,
        model.vocab * per_byte,
        model.num_moe_layers * model.top_k * model.d_routed * per_byte,
        model.routed_elements * per_byte,
        model.num_moe_layers * model.num_experts * per_byte,
    )


def _exchanged(model: TrainedModel, layout: Layout, chip: Chip) -> tuple[Elementwise, ...]:
    """Terms from ``exchange`` to ``gathered_weights``."""
    per_link = 1.0 / chip.link_bytes_per_s
    nodes = jnp.maximum(1.0, layout.expert / chip.node_gpus)
    travelled = _EXCHANGED_BYTES * model.num_moe_layers * model.d_routed
    kept = _parameters_per_gpu(model, layout)
    joined = (layout.replicas > 1.0) / jnp.where(
        layout.replicas > chip.node_gpus, chip.network_bytes_per_s, chip.link_bytes_per_s
    )
    return (
        travelled * jnp.minimum(model.top_k, layout.expert) * (1.0 - 1.0 / layout.expert) * per_link,
        travelled * jnp.minimum(model.top_k, nodes) * (1.0 - 1.0 / nodes) / chip.network_bytes_per_s,
        _REDUCED_BYTES * model.num_layers * model.d_model * (layout.tensor - 1.0) * per_link,
        kept * joined * layout.num_gpus / layout.step_tokens,
        layout.sharded * kept * joined * layout.pipeline / layout.tokens_per_pass,
    )


def _each_step(model: TrainedModel, layout: Layout, chip: Chip) -> tuple[Elementwise, ...]:
    """The optimizer, and launches of a pass."""
    per_pass = 1.0 / layout.tokens_per_pass
    return (
        _OPTIMIZER_BYTES * model.n_total / (chip.bandwidth_bytes_per_s * layout.step_tokens),
        model.num_layers * per_pass,
        model.num_moe_layers * per_pass,
        model.num_moe_layers * model.num_experts / layout.expert * per_pass,
    )


def _parameters_per_gpu(model: TrainedModel, layout: Layout) -> Elementwise:
    """Parameters that one accelerator keeps before they are sharded over replicas."""
    dense = (model.n_total - model.n_routed) / layout.tensor
    return (dense + model.n_routed / (layout.expert * layout.expert_tensor)) / layout.pipeline


class Slopes(NamedTuple):
    """Draws of what the terms cost; arrays of one broadcast shape.

    Attributes
    ----------
    terms : tuple of array
        Slope of each of :data:`TERMS`.
    recompute, recompute_some, bubble : array
        Of computed terms: share that full and partial recomputation repeat; idle time over that of an even pipeline.
    unevenness : array
        Share by which a learned router stretches what is routed.
    slowdown : array
        Residual factor on the whole.
    """

    terms: tuple[Any, ...]
    recompute: Any
    recompute_some: Any
    bubble: Any
    unevenness: Any
    slowdown: Any


def stretches(
    layout: Layout, slopes: Slopes, *, learned_router: Elementwise
) -> tuple[Elementwise, Elementwise, Elementwise]:
    """Factors on computed terms for recomputation, on piped ones for the bubble, and on routed ones for uneven routing, each less 1."""
    again = layout.recompute * slopes.recompute + layout.recompute_some * slopes.recompute_some
    return again, layout.bubble * slopes.bubble, learned_router * slopes.unevenness


def seconds_by_term(
    terms: tuple[Elementwise, ...], layout: Layout, slopes: Slopes, *, learned_router: Elementwise = 1.0
) -> dict[str, Elementwise]:
    """Seconds of one accelerator per token, by :data:`GROUPS` and ``recompute``, ``bubble``, ``uneven_routing``; their sum is the step's.

    Parameters
    ----------
    terms : tuple of array
        Of :func:`step_terms`.
    layout, slopes : Layout, Slopes
        Arrays that broadcast against the terms.
    learned_router : array
        1 where tokens go where the router sends them, 0 where benchmarks force it to be even.
    """
    again, idle, uneven = stretches(layout, slopes, learned_router=learned_router)
    seconds = {name: slope * term * slopes.slowdown for name, slope, term in zip(TERMS, slopes.terms, terms, strict=True)}
    found = {group: sum(seconds[name] for name in names) for group, names in GROUPS.items()}
    computed = sum(found[group] for group in ("matmul", "experts", "attention", "elementwise", "routing"))
    found["uneven_routing"] = uneven * (found["experts"] + found["routing"] + found["all_to_all"])
    found["recompute"] = again * computed
    found["bubble"] = idle * (computed * (1.0 + again) + found["all_to_all"])
    return found
