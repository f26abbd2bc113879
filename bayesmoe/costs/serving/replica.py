"""Yun et al. 2024's serving cost, in bytes: the largest batch that fits and is fast enough, and the cheapest number of GPUs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.serving.latency import Latency
from bayesmoe.costs.serving.layouts import Attention, laid_out, layouts
from bayesmoe.costs.serving.roofline import Coefficients
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.step import cache_bytes, replication
from bayesmoe.costs.serving.traffic import Traffic
from bayesmoe.units import SECONDS_PER_HOUR, TOKENS_PER_MILLION


class Fleet(NamedTuple):
    """What a replica may be.

    Attributes
    ----------
    max_gpus : int
        G, most GPUs of a replica.
    memory_bytes, memory_fraction : array, float
        Memory of one GPU and its usable share.
    bytes_per_weight, bytes_per_embedding : array, float
        Bytes of one weight, and of one of embeddings and head.
    max_batch : float
        Cap on the batch.
    max_tpot_s, max_ttft_s : float, optional
        Latency targets.
    fleet_gpus : int, optional
        GPUs of all replicas together; as many as of one where left out.
    attention : {"tensor", "data", "either"}
        How attention is spread over the GPUs of a replica.
    drafts : tuple of int
        How many tokens may be drafted ahead of a step.
    """

    max_gpus: int
    memory_bytes: Any
    memory_fraction: float
    bytes_per_weight: Any
    max_batch: float
    bytes_per_embedding: float = 2.0
    max_tpot_s: float | None = None
    max_ttft_s: float | None = None
    fleet_gpus: int | None = None
    attention: Attention = "tensor"
    drafts: tuple[int, ...] = (0,)


_MOST_BATCH, _MOST_GPUS = 2.0**40, 4096

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
    attention_ranks : array
        Over how many of them attention is data-parallel: 1 or all.
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
    draft_tokens : array
        Tokens drafted ahead of each step.
    """

    usd_per_million_tokens: Any
    n_gpus: Any
    attention_ranks: Any
    batch: Any
    tokens_per_s: Any
    feasible: Any
    fleet_tokens_per_s: Any
    limit: Any
    draft_tokens: Any


def memory_batch(model: ServedModel, n_gpus: Elementwise, traffic: Traffic, fleet: Fleet) -> Elementwise:
    """Requests whose cache fits beside the weights, in whole numbers; below 1 the model does not fit.

    ``b = floor( (u g M0 - w (n_total + n_attention (r - 1)) - 2 n_embedding) / (kv (p + n/2)) )``: a request holds its prompt and, on average,
    half its output.
    """
    weights, of_attention, per_request = jax.lax.optimization_barrier(
        (
            fleet.bytes_per_weight * model.n_total + fleet.bytes_per_embedding * model.n_embedding,
            fleet.bytes_per_weight * model.n_attention,
            cache_bytes(model, traffic, traffic.context_tokens),
        )
    )
    free = fleet.memory_fraction * n_gpus * fleet.memory_bytes - weights - of_attention * (model.attention_ranks - 1.0)
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
    """Cost per output token, minimized over the layouts of a replica.

    ``cost(g) = g C0 / (rho T(g))``, ``T(g) = b / (L_prefill(b/n, g) + L_decode(b, g))``, cost = min over g and over how attention is spread
    (:func:`layouts`), with the largest b that memory, the cap and the latency targets allow.

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
    model, traffic, gpus = laid_out(model, traffic, layouts(fleet.max_gpus, fleet.attention, fleet.drafts), rank)
    batch, bounds = _batch_bounds(model, latency, fleet, gpus, traffic, coefficients)
    limit = jnp.argmin(bounds, axis=0)
    step_s, _ = latency.by_batch(model, gpus, traffic, coefficients)(jnp.maximum(batch, 1.0))
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
    served_by = (gpus, model.attention_ranks, batch, speed, traffic.draft_tokens)
    n_gpus, ranks, requests, tokens_per_s, drafted = (where_feasible(at_best(values)) for values in served_by)
    of_all = where_feasible(of_fleet)
    return ServingCost(usd, n_gpus, ranks, requests, tokens_per_s, feasible, of_all, at_best(limit), drafted)


class ReplicaNeeds(NamedTuple):
    """What a model needs of a replica; arrays of the models' shape.

    Attributes
    ----------
    n_gpus : array
        Fewest GPUs that hold it with one request, also more than the fleet allows; infinite where none do.
    tpot_s, ttft_s : array
        Least time per output token and to the first token of one request on the GPUs that are allowed; of the first, on those that meet the
        second where any do. Infinite where none holds the model; ``ttft_s`` is None where the latency model cannot say.
    """

    n_gpus: Any
    tpot_s: Any
    ttft_s: Any


def needs_of_replica(
    model: ServedModel, latency: Latency, fleet: Fleet, traffic: Traffic, coefficients: Coefficients
) -> ReplicaNeeds:
    """What would have to be allowed for some replica to serve one request, memory and each target by itself."""
    rank = max(jnp.ndim(leaf) for leaf in jax.tree.leaves((model, traffic, coefficients)))
    allowed = layouts(fleet.max_gpus, fleet.attention, fleet.drafts)
    more = [one for one in layouts(_MOST_GPUS, fleet.attention, fleet.drafts) if one.n_gpus > fleet.max_gpus]
    every, traffic, gpus = laid_out(model, traffic, [*allowed, *more], rank)
    holds = memory_batch(every, gpus, traffic, fleet) >= 1.0
    held = holds[: len(allowed)]
    model, traffic, on_allowed = laid_out(model, traffic, allowed, rank)
    tpot_s = jnp.where(held, sum(latency(model, 1.0, on_allowed, traffic, coefficients)), jnp.inf)
    ttft_s = latency.first_token_s(model, 1.0, on_allowed, traffic, coefficients)
    if ttft_s is not None:
        ttft_s = jnp.where(held, ttft_s, jnp.inf)
        if fleet.max_ttft_s is not None:
            in_time = ttft_s <= fleet.max_ttft_s
            tpot_s = jnp.where(in_time | ~jnp.any(in_time, axis=0), tpot_s, jnp.inf)
        ttft_s = jnp.min(ttft_s, axis=0)
    return ReplicaNeeds(jnp.min(jnp.where(holds, gpus, jnp.inf), axis=0), jnp.min(tpot_s, axis=0), ttft_s)


def _most_known_gpus(limit: Any, gpus: Any) -> Any:
    """Index of the most GPUs whose latency is known, where it shows why nothing serves a model; of the most at all where none is."""
    known = limit != LIMITS.index("speed")
    return jnp.where(jnp.any(known, axis=0), jnp.argmax(jnp.where(known, gpus, 0.0), axis=0), len(gpus) - 1)


def _batch_bounds(
    model: ServedModel, latency: Latency, fleet: Fleet, gpus: Any, traffic: Traffic, coefficients: Coefficients
) -> tuple[Any, Any]:
    """Largest batch under all of :data:`LIMITS` but speed, and under each of them, stacked along a new first axis."""
    cap = jnp.minimum(fleet.max_batch, latency.largest_batch(model.num_experts, gpus))
    memory = memory_batch(model, gpus, traffic, fleet)
    most = jnp.minimum(jnp.minimum(memory, cap), min(fleet.max_batch, _MOST_BATCH))
    halvings = math.ceil(math.log2(min(fleet.max_batch, _MOST_BATCH))) + 2

    seconds = latency.by_batch(model, gpus, traffic, coefficients)
    targets = [] if fleet.max_tpot_s is None else [(fleet.max_tpot_s, lambda batch: seconds(batch)[0])]
    if fleet.max_ttft_s is not None and seconds(most)[1] is not None:
        targets.append((fleet.max_ttft_s, lambda batch: seconds(batch)[1]))

    def within(*asked: Any) -> Any:
        return _largest_within(asked, most, halvings=halvings) if asked else most

    # What all targets allow is found at once: they share most of their terms. Each by itself is computed only where it is asked.
    alone = [
        jnp.inf if fleet.max_tpot_s is None else within(targets[0]),
        *map(within, targets[fleet.max_tpot_s is not None :]),
    ]
    return jnp.minimum(within(*targets), jnp.minimum(memory, cap)), jnp.stack(jnp.broadcast_arrays(memory, cap, *alone))


def _largest_within(
    targets: Sequence[tuple[Elementwise, Callable[[Elementwise], Elementwise]]], most: Elementwise, *, halvings: int
) -> Elementwise:
    """Largest whole batch, at most ``most``, whose seconds meet every target; 0 where not even one request does. Seconds rise with it."""

    def meets(batch: Any) -> Any:
        # A batch below those that were measured counts as fast enough: whether its latency is known is asked of the batch found.
        each = [~(seconds(jnp.maximum(batch, 1.0)) > target) for target, seconds in targets]
        return functools.reduce(jnp.logical_and, each)

    def halved(_: Any, bounds: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bounds
        half = jnp.ceil(0.5 * (low + high))
        ok = meets(half)
        return jnp.where(ok, half, low), jnp.where(ok, high, half - 1.0)

    most = jnp.broadcast_to(most, jnp.broadcast_shapes(jnp.shape(most), jnp.shape(meets(most))))
    low, _ = jax.lax.fori_loop(0, halvings, halved, (jnp.zeros_like(most), jnp.maximum(most, 0.0)))
    return jnp.maximum(low, 0.0)
