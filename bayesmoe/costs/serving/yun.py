"""Yun et al. 2024's serving cost, in bytes: the largest batch that fits, and the cheapest number of GPUs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesmoe.costs.latency import Latency, Served
from bayesmoe.units import SECONDS_PER_HOUR, TOKENS_PER_MILLION


class ServingCost(NamedTuple):
    """Cost of the cheapest replica; arrays of the models' shape, NaN where no allowed GPU count serves the model.

    Attributes
    ----------
    usd_per_million_tokens : array
        USD per million OUTPUT tokens.
    n_gpus : array
        GPUs of a replica.
    batch : array
        Requests decoded together.
    tokens_per_s : array
        Output tokens per second of a replica.
    feasible : array of bool
        Whether the model fits.
    """

    usd_per_million_tokens: Any
    n_gpus: Any
    batch: Any
    tokens_per_s: Any
    feasible: Any


def largest_batch(
    model: Served,
    n_gpus: Any,
    *,
    memory_bytes: float,
    memory_fraction: float,
    bytes_per_weight: float,
    prompt_tokens: float,
    output_tokens: float,
    max_batch: float,
) -> Any:
    """Requests whose cache fits beside the weights.

    ``b = floor( (u g M0 - w n_total) / (kv (p + n/2)) )``: a request holds its prompt and, on average, half its output. At
    most ``max_batch``; below 1 the model does not fit.
    """
    free = memory_fraction * n_gpus * memory_bytes - bytes_per_weight * model.n_total
    per_request = model.kv_bytes_per_token * (prompt_tokens + 0.5 * output_tokens)
    return jnp.minimum(jnp.floor(free / per_request), max_batch)


def cheapest_replica(
    model: Served,
    latency: Latency,
    *,
    max_gpus: int,
    memory_bytes: float,
    memory_fraction: float,
    bytes_per_weight: float,
    prompt_tokens: float,
    output_tokens: float,
    max_batch: float,
    slowdown: Any,
    utilisation: Any,
    price_usd_per_gpu_hour: Any,
) -> ServingCost:
    """Cost per output token, minimised over the GPUs of a replica.

    ``cost(g) = g C0 / (rho T(g))``, ``T(g) = b / (L_prefill(b/n, g) + L_decode(b, g))``, cost = min over g = 1..G.

    Parameters
    ----------
    model : Served
        Arrays of any one shape.
    latency : Latency
        Seconds of prefill and decode of an iteration.
    max_gpus : int
        G.
    memory_bytes, memory_fraction, bytes_per_weight : float
        Memory of one GPU, its usable share, bytes of one weight.
    prompt_tokens, output_tokens, max_batch : float
        Means p and n; cap on the batch.
    slowdown : array
        Factor on the latency: what the latency model gets wrong.
    utilisation : array
        rho, share of the time that a replica has work.
    price_usd_per_gpu_hour : array
        C0, USD per GPU and hour.

    References
    ----------
    arXiv:2404.02852, Eq. 5-6 and appendix C, whose parameter counts stand for bytes.
    """
    gpus = jnp.arange(1, max_gpus + 1, dtype=float)
    spread = Served(*(jnp.asarray(leaf)[..., None] for leaf in model))
    batch = largest_batch(
        spread,
        gpus,
        memory_bytes=memory_bytes,
        memory_fraction=memory_fraction,
        bytes_per_weight=bytes_per_weight,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        max_batch=max_batch,
    )
    prefill_s, decode_s = latency(spread, jnp.maximum(batch, 1.0), gpus)
    tokens_per_s = batch / ((prefill_s + decode_s) * jnp.asarray(slowdown)[..., None])
    fits = (batch >= 1.0) & (tokens_per_s > 0)
    hourly = jnp.where(fits, gpus / tokens_per_s, jnp.inf)
    best = jnp.argmin(hourly, axis=-1, keepdims=True)
    feasible = jnp.any(fits, axis=-1)

    def chosen(values: Any) -> Any:
        values = jnp.broadcast_to(values, hourly.shape)
        return jnp.where(feasible, jnp.take_along_axis(values, best, axis=-1)[..., 0], jnp.nan)

    usd = chosen(hourly) * price_usd_per_gpu_hour / SECONDS_PER_HOUR * TOKENS_PER_MILLION / utilisation
    return ServingCost(usd, chosen(gpus), chosen(batch), chosen(tokens_per_s), feasible)
