"""Workers that compute prompts alone, beside those that decode: the cheapest layout of one."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.serving.latency import Latency
from bayesmoe.costs.serving.layouts import Layout, laid_out
from bayesmoe.costs.serving.roofline import Coefficients
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.traffic import Traffic


class PrefillWorker(NamedTuple):
    """The cheapest worker; arrays of the models' shape, infinite where none holds the model and meets the target.

    Attributes
    ----------
    gpu_s : array
        Seconds of a GPU that a prompt takes.
    n_gpus : array
        GPUs of the worker.
    first_token_s : array
        Seconds to the first token of a prompt for which no other waits.
    """

    gpu_s: Any
    n_gpus: Any
    first_token_s: Any


def cheapest_prefill(
    model: ServedModel,
    latency: Latency,
    layouts: tuple[Layout, ...],
    holds: Any,
    traffic: Traffic,
    coefficients: Coefficients,
    max_ttft_s: Elementwise | None,
) -> PrefillWorker:
    """Worker with the fewest GPU-seconds a prompt among layouts that hold the model and meet the target for the first token.

    ``min_g g t(g)``, t the seconds of a prompt in a full step (:meth:`bayesmoe.costs.serving.roofline.Roofline.prompt_alone_s`).

    Parameters
    ----------
    model, traffic, coefficients : ServedModel, Traffic, Coefficients
        Arrays of any one shape.
    latency : Latency
        One that knows prompts by themselves.
    layouts : tuple of Layout
        L layouts, in the order of the first axis of ``holds``.
    holds : array of bool, shape (L, ...)
        Whether the memory of each holds the model and a prompt.
    max_ttft_s : array, optional
        Target for the first token.
    """
    rank = max(jnp.ndim(leaf) for leaf in jax.tree.leaves((model, traffic, coefficients)))
    model, traffic, gpus = laid_out(model, traffic, layouts, rank)
    found = latency.prompt_alone_s(model, gpus, traffic, coefficients)
    if found is None:
        raise TypeError("this latency knows no prompts by themselves")
    seconds, first = found
    allowed = holds if max_ttft_s is None else holds & (first <= max_ttft_s)
    gpu_s = jnp.where(allowed, gpus * seconds, jnp.inf)
    best = jnp.argmin(gpu_s, axis=0)[None]

    def at_best(values: Any) -> Any:
        return jnp.take_along_axis(jnp.broadcast_to(values, gpu_s.shape), best, axis=0)[0]

    return PrefillWorker(jnp.min(gpu_s, axis=0), at_best(gpus), at_best(first))
