"""Layouts of a replica: how many GPUs it may have, how attention is spread over them, and how many tokens are drafted ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.traffic import Traffic

Attention = Literal["tensor", "data", "either"]
"""How attention is spread over the GPUs of a replica: its heads, its requests, or whichever is cheaper."""


def gpu_counts(most: int) -> tuple[int, ...]:
    """GPUs that a replica may have, of so many at most: the powers of two over which engines split a model, and all that there are."""
    return tuple(sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most}))


class Layout(NamedTuple):
    """How a replica may serve.

    Attributes
    ----------
    n_gpus, attention_ranks : int
        GPUs, and over how many of them attention is data-parallel.
    draft_tokens : int
        Tokens drafted ahead of each step.
    apart : bool
        Whether other workers compute the prompts.
    """

    n_gpus: int
    attention_ranks: int
    draft_tokens: int = 0
    apart: bool = False


Prefill = Literal["together", "apart", "either"]
"""Which workers compute prompts: those that decode, others, or whichever is cheaper."""


def layouts(
    most: int, attention: Attention, drafts: Sequence[int] = (0,), prefill: Prefill = "together"
) -> tuple[Layout, ...]:
    """Layouts that a replica may have: with one GPU there is nothing to spread."""
    counts = gpu_counts(most)
    heads = [(count, 1) for count in counts if attention != "data" or count == 1]
    requests = [(count, count) for count in counts if attention != "tensor" and count > 1]
    apart = {"together": (False,), "apart": (True,), "either": (False, True)}[prefill]
    return tuple(Layout(*pair, drafted, one) for one in apart for drafted in drafts for pair in (*heads, *requests))


def laid_out(
    model: ServedModel, traffic: Traffic, every: Sequence[Layout], rank: int
) -> tuple[ServedModel, Traffic, Elementwise]:
    """A model and its traffic over layouts along a new first axis, and their GPUs."""
    # The layouts come first: along the last axis, of sizes, the processor works on many numbers at once.
    dtype = jnp.result_type(1.0 * model.n_dense)
    gpus, ranks, drafted, apart = (
        jnp.asarray(each, dtype=dtype).reshape(-1, *(1,) * rank) for each in zip(*every, strict=True)
    )
    # What is the same in all layouts stays a constant to the compiler, which then computes once what follows from it.
    drafted, apart = (
        each if len(set(values)) > 1 else jnp.asarray(float(values[0]), dtype=dtype)
        for each, values in ((drafted, [one.draft_tokens for one in every]), (apart, [one.apart for one in every]))
    )
    return model._replace(attention_ranks=ranks), traffic._replace(draft_tokens=drafted, apart=apart), gpus
