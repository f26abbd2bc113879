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
from bayesmoe.costs.serving.layouts import Attention, Layout, Prefill, laid_out, layouts
from bayesmoe.costs.serving.prefill import PrefillWorker, cheapest_prefill
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
    prefill : {"together", "apart", "either"}
        Which workers compute prompts: those that decode, others, or whichever is cheaper.
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
    prefill: Prefill = "together"

    def layouts(self, most: int | None = None) -> tuple[Layout, ...]:
        """Layouts that a replica may have, of so many GPUs at most, or of as many as are allowed."""
        return layouts(most or self.max_gpus, self.attention, self.drafts, self.prefill)


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
        GPUs of a replica, or of its worker that decodes.
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
    prefill_gpus : array
        GPUs of other workers that compute the prompts of one that decodes; 0 where it computes them.
    prefill_ttft_s : array
        Seconds to the first token where others compute prompts; NaN where none do.
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
    prefill_gpus: Any
    prefill_ttft_s: Any


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
    (:func:`layouts`), with the largest b that memory, the cap and the latency targets allow. Where other workers compute prompts,
    ``(g + T(g) s/n) C0 / (rho T(g))``, s the least GPU-seconds of a prompt.

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
    of = _options(model, latency, fleet, traffic, coefficients)
    gpu_s_per_token = jnp.where(of.fits, (of.gpus + of.beside) * of.step_s / of.batch, jnp.inf)
    least = jnp.min(gpu_s_per_token, axis=0)
    feasible = least < jnp.inf
    best = jnp.where(feasible, jnp.argmin(gpu_s_per_token, axis=0), _most_known_gpus(of.limit, of.gpus))

    def at_best(values: Any) -> Any:
        return jnp.take_along_axis(jnp.broadcast_to(values, gpu_s_per_token.shape), best[None], axis=0)[0]

    def where_feasible(values: Any) -> Any:
        return jnp.where(feasible, values, jnp.nan)

    # The least is found without the gather that its place needs: where only the price is asked, nothing else is computed.
    usd = where_feasible(least) * price_usd_per_gpu_hour / SECONDS_PER_HOUR * TOKENS_PER_MILLION / utilization
    speed, most = of.batch / of.step_s, fleet.fleet_gpus or fleet.max_gpus
    of_fleet = jnp.max(jnp.where(of.fits, jnp.floor(most / (of.gpus + of.beside)) * speed, 0.0), axis=0)
    served_by = (of.gpus, of.ranks, of.batch, speed, of.drafted, of.beside)
    n_gpus, ranks, requests, tokens_per_s, drafted, others = (where_feasible(at_best(values)) for values in served_by)
    of_all, first = where_feasible(of_fleet), jnp.where(others > 0, of.prefill_ttft_s, jnp.nan)
    return ServingCost(
        usd, n_gpus, ranks, requests, tokens_per_s, feasible, of_all, at_best(of.limit), drafted, others, first
    )


class _Options(NamedTuple):
    """Every layout of a replica with its largest batch: layouts first. ``beside`` are GPUs of other workers that compute its prompts."""

    gpus: Any
    ranks: Any
    drafted: Any
    batch: Any
    step_s: Any
    beside: Any
    fits: Any
    limit: Any
    prefill_ttft_s: Any


def _options(model: ServedModel, latency: Latency, fleet: Fleet, traffic: Traffic, coefficients: Coefficients) -> _Options:
    rank = max(jnp.ndim(leaf) for leaf in jax.tree.leaves((model, traffic, coefficients)))
    prefill = _prefill(model, latency, fleet, traffic, coefficients)
    model, traffic, gpus = laid_out(model, traffic, fleet.layouts(), rank)
    batch, bounds = _batch_bounds(model, latency, fleet, gpus, traffic, coefficients)
    step_s, _ = latency.by_batch(model, gpus, traffic, coefficients)(jnp.maximum(batch, 1.0))
    known, beside, first = (batch >= 1.0) & (step_s < jnp.inf), jnp.zeros(()), jnp.nan
    limit = jnp.where((batch >= 1.0) & ~known, LIMITS.index("speed"), jnp.argmin(bounds, axis=0))
    if prefill is not None:
        beside = jnp.where(traffic.apart > 0, batch / step_s * prefill.gpu_s / traffic.output_tokens, 0.0)
        limit = jnp.where(known & ~(beside < jnp.inf), LIMITS.index("max_ttft_s"), limit)
        first = prefill.first_token_s
    fits = known & (beside < jnp.inf)
    return _Options(gpus, model.attention_ranks, traffic.draft_tokens, batch, step_s, beside, fits, limit, first)


def _prefill(
    model: ServedModel, latency: Latency, fleet: Fleet, traffic: Traffic, coefficients: Coefficients
) -> PrefillWorker | None:
    """The cheapest worker that computes prompts alone; None where none may."""
    if fleet.prefill == "together":
        return None
    every = layouts(fleet.max_gpus, fleet.attention)
    rank = max(jnp.ndim(leaf) for leaf in jax.tree.leaves((model, traffic, coefficients)))
    on_each, alike, gpus = laid_out(model, traffic, every, rank)
    holds = memory_batch(on_each, gpus, alike, fleet) >= 1.0
    return cheapest_prefill(model, latency, every, holds, traffic, coefficients, fleet.max_ttft_s)


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

    def first_s(batch: Any) -> Any:
        found: Any = seconds(batch)[1]
        # Prompts that others compute do not wait for those that decode.
        return jnp.where(traffic.apart > 0, 0.0, found)

    targets = [] if fleet.max_tpot_s is None else [(fleet.max_tpot_s, lambda batch: seconds(batch)[0])]
    if fleet.max_ttft_s is not None and seconds(most)[1] is not None:
        targets.append((fleet.max_ttft_s, first_s))

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
