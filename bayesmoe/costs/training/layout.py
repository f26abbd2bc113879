"""How a model is spread over the accelerators of a cluster."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise


class Layout(NamedTuple):
    """A layout; arrays of one broadcast shape.

    Attributes
    ----------
    num_gpus : array
        Accelerators of the whole run.
    global_batch, micro_batch, sequence_tokens : array
        Sequences of a step and of one pass of one replica, and their length.
    tensor, pipeline, virtual, context, expert, expert_tensor : array
        Degrees of tensor, pipeline, interleaved pipeline, context, expert and tensor parallelism within experts.
    sharded : array
        1 where weights are sharded over replicas and gathered for each pass (FSDP, ZeRO-3), else 0.
    recompute, recompute_some : array
        1 where the backward pass recomputes the forward pass (``recompute``) or cheap parts of it (``recompute_some``), else 0.
    """

    num_gpus: Any
    global_batch: Any
    micro_batch: Any
    sequence_tokens: Any
    tensor: Any = 1.0
    pipeline: Any = 1.0
    virtual: Any = 1.0
    context: Any = 1.0
    expert: Any = 1.0
    expert_tensor: Any = 1.0
    sharded: Any = 0.0
    recompute: Any = 0.0
    recompute_some: Any = 0.0

    @property
    def replicas(self) -> Elementwise:
        """Data-parallel copies of the dense part: ``GPUs / (TP PP CP)``."""
        return jnp.maximum(1.0, self.num_gpus / (self.tensor * self.pipeline * self.context))

    @property
    def micro_batches(self) -> Elementwise:
        """Passes of one replica in a step."""
        return jnp.maximum(1.0, self.global_batch / (self.replicas * self.micro_batch))

    @property
    def step_tokens(self) -> Elementwise:
        """Tokens of a step."""
        return self.global_batch * self.sequence_tokens

    @property
    def tokens_per_pass(self) -> Elementwise:
        """Tokens that one accelerator computes on in one pass: sequences split over TP and CP ranks."""
        return self.micro_batch * self.sequence_tokens / (self.tensor * self.context)

    @property
    def bubble(self) -> Elementwise:
        """Idle over busy time of a pipeline: ``(PP - 1) / (VP micro-batches)`` (Narayanan et al. 2021, arXiv:2104.04473, section 2.2)."""
        return (self.pipeline - 1.0) / (self.virtual * self.micro_batches)
