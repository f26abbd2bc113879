"""Bytes that training keeps on one accelerator: weights, gradients, optimizer states and activations."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.precisions import TrainingPrecision
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.trained_model import TrainedModel

WEIGHT_BYTES: dict[TrainingPrecision, float] = {"bf16": 2.0, "fp8": 3.0, "fp4": 2.5625}
"""Bytes of a working weight: 16 bits, and beside it the copy that narrow matrices are multiplied with."""

GRADIENT_BYTES = 4.0
"""Gradients are summed in 32 bits."""

OPTIMIZER_BYTES = 12.0
"""Adam: master weight and two moments in 32 bits."""

_LOGIT_BYTES = 6.0
"""A logit in 16 bits and its loss in 32."""

MEMORY_SD = 0.1
"""Log-sd of activations: engines differ in what they keep, and memory fragments."""

WORKSPACE_BYTES = 4e9
"""Context, communication buffers and kernels' workspace."""


class TrainingMemory(NamedTuple):
    """Bytes of one accelerator; arrays of one broadcast shape."""

    weights: Any
    gradients: Any
    optimizer: Any
    activations: Any

    @property
    def total(self) -> Elementwise:
        """All of it, with :data:`WORKSPACE_BYTES`."""
        return self.weights + self.gradients + self.optimizer + self.activations + WORKSPACE_BYTES


def training_memory(model: TrainedModel, layout: Layout, precision: TrainingPrecision) -> TrainingMemory:
    """Memory of the pipeline's first stage, which holds most.

    Parameters ``n_d / (TP PP) + n_x / (EP ETP PP)``; the optimizer's states are split over replicas too (ZeRO-1), and weights and gradients
    with them where the layout is ``sharded``. A pass keeps, for each of its tokens, ``8 L d`` bytes of residual streams and norms, 3 bytes
    of each inner element and ``4 L_x K d_x`` of dispatched copies; with ``recompute`` only ``2 L d`` and one layer's rest, with
    ``recompute_some`` activations and norms are made again. The first stage holds ``min(PP, micro-batches)`` passes of ``L / PP`` layers, and a
    share ``(PP - 1) / (PP VP)`` more when interleaved.

    Parameters
    ----------
    model, layout : TrainedModel, Layout
        Arrays of one broadcast shape.
    precision : str
        Of the matrices.

    References
    ----------
    Korthikanti et al. 2022, arXiv:2205.05198, section 4 (what a layer keeps, stages and interleaving), without dropout and with attention
    scores made again; Rajbhandari et al. 2020, arXiv:1910.02054 (optimizer states and sharding).
    """
    dense = (model.n_total - model.n_routed) / (layout.tensor * layout.pipeline)
    routed = model.n_routed / (layout.expert * layout.expert_tensor * layout.pipeline)
    replicas = layout.replicas * layout.context
    of_experts = jnp.maximum(1.0, layout.num_gpus / (layout.pipeline * layout.expert * layout.expert_tensor))
    split, split_routed = 1.0 / replicas, 1.0 / of_experts
    kept = jnp.where(layout.sharded > 0, dense * split + routed * split_routed, dense + routed)
    largest = (model.n_total - model.n_routed) / model.num_layers / layout.tensor
    gathered = layout.sharded * (largest + model.n_routed / model.num_layers / (layout.expert * layout.expert_tensor))
    weights = WEIGHT_BYTES[precision] * (kept + gathered)
    return TrainingMemory(
        weights=weights,
        gradients=GRADIENT_BYTES * kept,
        optimizer=OPTIMIZER_BYTES * (dense * split + routed * split_routed),
        activations=_activations(model, layout),
    )


def _activations(model: TrainedModel, layout: Layout) -> Elementwise:
    streams = model.num_layers * model.d_model
    inner = model.inner_elements + model.routed_elements + model.recurrent_elements
    copies = model.num_moe_layers * model.top_k * model.d_routed
    everything = 8.0 * streams + 3.0 * inner + 4.0 * copies
    some = 4.0 * streams + 2.0 * inner + 4.0 * copies
    inputs = 2.0 * streams + everything / model.num_layers
    kept = jnp.where(layout.recompute > 0, inputs, jnp.where(layout.recompute_some > 0, some, everything))
    passes = jnp.minimum(layout.pipeline, layout.micro_batches) / layout.pipeline
    interleaved = jnp.where(layout.virtual > 1, 1.0 + (layout.pipeline - 1.0) / (layout.pipeline * layout.virtual), 1.0)
    return layout.tokens_per_pass * (kept * passes * interleaved + _LOGIT_BYTES * model.vocab)
