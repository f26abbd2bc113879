"""Yun et al. 2024's serving cost, in bytes: the largest batch that fits and is fast enough, and the cheapest number of GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.serving.roofline import Coefficients, Traffic, cache_bytes, replication
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.units import SECONDS_PER_HOUR, TOKENS_PER_MILLION


@runtime_checkable
class Latency(Protocol):
    """Seconds of one iteration that decodes a batch and prefills its share of new requests."""

    def largest_batch(self, num_experts: Elementwise, n_gpus: Elementwise) -> Elementwise:
        """Largest batch whose latency is known, with those expert and GPU counts."""
        ...

    def __call__(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, Elementwise]:
        """``(prefill_s, decode_s)`` of an iteration."""
        ...

    def first_token_s(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> Elementwise | None:
        """Seconds to the first token of a request that meets a server at work; None where the model cannot say."""
        ...

    def seconds_by_term(
        self, model: ServedModel, batch: Elementwise, n_gpus: Elementwise, traffic: Traffic, coefficients: Coefficients
    ) -> tuple[Elementwise, ...] | None:
        """Seconds of each of :data:`bayesmoe.costs.serving.roofline.TERMS`; None where the model has no such terms."""
        ...


class Fleet(NamedTuple):
    """What a replica may be.

    Attributes
    ----------
    max_gpus : int
        G, most GPUs of a replica.
    memory_bytes, memory_fraction : float
        Memory of one GPU and its usable share.
    bytes_per_weight, bytes_per_embedding : float
        Bytes of one weight, and of one of embeddings and head.
    max_batch : float
        Cap on the batch.
    max_tpot_s, max_ttft_s : float, optional
        Latency targets.
    fleet_gpus : int, optional
        GPUs of all replicas together; as many as of one where left out.
    """

    max_gpus: int
    memory_bytes: float
    memory_fraction: float
    bytes_per_weight: float
    max_batch: float
    bytes_per_embedding: float = 2.0
    max_tpot_s: float | None = None
    max_ttft_s: float | None = None
    fleet_gpus: int | None = None


_MOST_BATCH = 2.0**40

LIMITS = ("memory", "max_batch", "max_tpot_s", "max_ttft_s", "speed")
"""What bounds a batch; ``speed`` where a batch fits and its latency is not known or infinite."""


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
        Whether the model fits, and meets the latency targets.
    fleet_tokens_per_s : array
        Output tokens per second of all GPUs together, in as many whole replicas as there are GPUs for, of the size that gives the most.
    limit : array
        Index in :data:`LIMITS` of what bounds the batch; of an infeasible model, on the most GPUs whose latency is known.
    """

    usd_per_million_tokens: Any
    n_gpus: Any
    batch: Any
    tokens_per_s: Any
    feasible: Any
    fleet_tokens_per_s: Any
    limit: Any


def memory_batch(model: ServedModel, n_gpus: Elementwise, traffic: Traffic, fleet: Fleet) -> Elementwise:
    """Requests whose cache fits beside the weights, in whole numbers; below 1 the model does not fit.

    ``b = floor( (u g M0 - w n_total - 2 n_embedding) / (kv (p + n/2)) )``: a request holds its prompt and, on average, half its output.
    """
    weights, per_request = jax.lax.optimization_barrier(
        (
            fleet.bytes_per_weight * model.n_total + fleet.bytes_per_embedding * model.n_embedding,
            cache_bytes(model, traffic, traffic.context_tokens),
        )
    )
    free = fleet.memory_fraction * n_gpus * fleet.memory_bytes - weights
    return jnp.floor(free / (per_request * replication(model, n_gpus)))


def cheapest_replica(
    model: ServedModel,
    latency: Latency,
    fleet: Fleet,
    traffic: Traffic,
    coefficients: Coefficients,
    *,
    utilization: Elementwise,
    price_usd_per_gpu_hour: Elementwise,
) -> ServingCost:
    """Cost per output token, minimized over the GPUs of a replica.

    ``cost(g) = g C0 / (rho T(g))``, ``T(g) = b / (L_prefill(b/n, g) + L_decode(b, g))``, cost = min over g = 1..G, with the largest b that
    memory, the cap and the latency targets allow.

    Parameters
    ----------
    model, traffic : ServedModel, Traffic
        Arrays of any one shape.
    latency, fleet : Latency, Fleet
        Seconds of prefill and decode of an iteration; memory, caps and targets.
    coefficients : Coefficients
        Draws of the latency's coefficients and residuals; a table reads none.
    utilization : array
        rho, share of the time that a replica has work.
    price_usd_per_gpu_hour : array
        C0, USD per GPU and hour.

    References
    ----------
    arXiv:2404.02852, Eq. 5-6 and appendix C, whose parameter counts stand for bytes.
    """
    parts = (model, traffic, coefficients)
    rank = max(jnp.ndim(leaf) for leaf in jax.tree.leaves(parts))
    # The GPUs come first: along the last axis, of sizes, the processor works on many numbers at once.
    gpus = jnp.arange(1, fleet.max_gpus + 1, dtype=jnp.result_type(1.0 * model.n_dense)).reshape(-1, *(1,) * rank)
    bounds = _batch_bounds(model, latency, fleet, gpus, traffic, coefficients)
    batch, limit = jnp.min(bounds, axis=0), jnp.argmin(bounds, axis=0)
    step_s = sum(latency(model, jnp.maximum(batch, 1.0), gpus, traffic, coefficients))
    fits = (batch >= 1.0) & (step_s < jnp.inf)
    limit = jnp.where((batch >= 1.0) & ~fits, LIMITS.index("speed"), limit)
    gpu_s_per_token = jnp.where(fits, gpus * step_s / batch, jnp.inf)
    least = jnp.min(gpu_s_per_token, axis=0)
    feasible = least < jnp.inf
    best = jnp.where(feasible, jnp.argmin(gpu_s_per_token, axis=0), _most_known_gpus(limit, gpus))

    def at_best(values: Any) -> Any:
        return jnp.take_along_axis(jnp.broadcast_to(values, gpu_s_per_token.shape), best[None], axis=0)[0]

    def where_feasible(values: Any) -> Any:
        return jnp.where(feasible, values, jnp.nan)

    # The least is found without the gather that its place needs: where only the price is asked, nothing else is computed.
    usd = where_feasible(least) * price_usd_per_gpu_hour / SECONDS_PER_HOUR * TOKENS_PER_MILLION / utilization
    speed = batch / step_s
    of_fleet = jnp.max(jnp.where(fits, jnp.floor((fleet.fleet_gpus or fleet.max_gpus) / gpus) * speed, 0.0), axis=0)
    n_gpus, requests, tokens_per_s = (where_feasible(at_best(values)) for values in (gpus, batch, speed))
    return ServingCost(usd, n_gpus, requests, tokens_per_s, feasible, where_feasible(of_fleet), at_best(limit))


def _most_known_gpus(limit: Any, gpus: Any) -> Any:
    """Index of the most GPUs whose latency is known, where it shows why nothing serves a model; of the most at all where none is."""
    known = limit != LIMITS.index("speed")
    return jnp.where(jnp.any(known, axis=0), jnp.argmax(jnp.where(known, gpus, 0.0), axis=0), len(gpus) - 1)


def _batch_bounds(
    model: ServedModel, latency: Latency, fleet: Fleet, gpus: Any, traffic: Traffic, coefficients: Coefficients
) -> Any:
    """Largest batch under each of :data:`LIMITS` but speed, stacked along a new first axis."""
    cap = jnp.minimum(fleet.max_batch, latency.largest_batch(model.num_experts, gpus))
    memory = memory_batch(model, gpus, traffic, fleet)
    most = jnp.minimum(jnp.minimum(memory, cap), min(fleet.max_batch, _MOST_BATCH))
    halvings = math.ceil(math.log2(min(fleet.max_batch, _MOST_BATCH))) + 2

    def within(target: Any, seconds: Any) -> Any:
        return jnp.inf if target is None else _largest_within(target, seconds, most, halvings=halvings)

    def first_token_s(batch: Any) -> Any:
        return latency.first_token_s(model, batch, gpus, traffic, coefficients)

    bounds = [memory, cap, within(fleet.max_tpot_s, lambda batch: sum(latency(model, batch, gpus, traffic, coefficients)))]
    if fleet.max_ttft_s is not None and first_token_s(most) is not None:
        bounds.append(within(fleet.max_ttft_s, first_token_s))
    return jnp.stack(jnp.broadcast_arrays(*bounds))


def _largest_within(
    target: Elementwise, seconds: Callable[[Elementwise], Elementwise], most: Elementwise, *, halvings: int
) -> Elementwise:
    """Largest whole batch, at most ``most``, whose seconds meet a target; 0 where not even one request does. Seconds rise with it."""

    def halved(_: Any, bounds: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bounds
        half = jnp.ceil(0.5 * (low + high))
        # A batch below those that were measured counts as fast enough: whether its latency is known is asked of the batch found.
        ok = ~(seconds(jnp.maximum(half, 1.0)) > target)
        return jnp.where(ok, half, low), jnp.where(ok, high, half - 1.0)

    most = jnp.broadcast_to(most, jnp.broadcast_shapes(jnp.shape(most), jnp.shape(seconds(jnp.maximum(most, 1.0)))))
    low, _ = jax.lax.fori_loop(0, halvings, halved, (jnp.zeros_like(most), jnp.maximum(most, 0.0)))
    return jnp.maximum(low, 0.0)
