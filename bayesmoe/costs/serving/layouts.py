"""Layouts of a replica: how many GPUs it may have, and how attention is spread over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp

from bayesmoe.costs.serving.served_model import ServedModel

Attention = Literal["tensor", "data", "either"]
"""How attention is spread over the GPUs of a replica: its heads, its requests, or whichever is cheaper."""


def gpu_counts(most: int) -> tuple[int, ...]:
    """GPUs that a replica may have, of so many at most: the powers of two over which engines split a model, and all that there are."""
    return tuple(sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most}))


def layouts(most: int, attention: Attention) -> tuple[tuple[int, int], ...]:
    """GPUs of a replica and ranks of data-parallel attention that it may have: with one GPU there is nothing to spread."""
    counts = gpu_counts(most)
    heads = [(count, 1) for count in counts if attention != "data" or count == 1]
    requests = [(count, count) for count in counts if attention != "tensor" and count > 1]
    return (*heads, *requests)


def laid_out(model: ServedModel, pairs: Sequence[tuple[int, int]], rank: int) -> tuple[ServedModel, Any]:
    """A model over layouts along a new first axis, and their GPUs."""
    # The layouts come first: along the last axis, of sizes, the processor works on many numbers at once.
    dtype = jnp.result_type(1.0 * model.n_dense)
    gpus, ranks = (jnp.asarray(each, dtype=dtype).reshape(-1, *(1,) * rank) for each in zip(*pairs, strict=True))
    return model._replace(attention_ranks=ranks), gpus
