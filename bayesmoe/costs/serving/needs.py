"""What a replica would have to be allowed to serve a model at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.costs.serving.latency import Latency
from bayesmoe.costs.serving.layouts import laid_out
from bayesmoe.costs.serving.replica import Fleet, memory_batch
from bayesmoe.costs.serving.roofline import Coefficients
from bayesmoe.costs.serving.served_model import ServedModel
from bayesmoe.costs.serving.traffic import Traffic

_MOST_GPUS = 4096


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
    allowed = fleet.layouts()
    more = [one for one in fleet.layouts(_MOST_GPUS) if one.n_gpus > fleet.max_gpus]
    every, traffic, gpus = laid_out(model, traffic, [*allowed, *more], rank)
    holds = memory_batch(every, gpus, traffic, fleet) >= 1.0
    held = holds[: len(allowed)]
    model, traffic, on_allowed = laid_out(model, traffic, allowed, rank)
    tpot_s = jnp.where(held, sum(latency(model, 1.0, on_allowed, traffic, coefficients)), jnp.inf)
    ttft_s = latency.first_token_s(model, 1.0, on_allowed, traffic, coefficients)
    alone = latency.prompt_alone_s(model, on_allowed, traffic, coefficients)
    if ttft_s is not None and alone is not None:
        ttft_s = jnp.where(traffic.apart > 0, alone[1], ttft_s)
        ttft_s = jnp.where(held, ttft_s, jnp.inf)
        if fleet.max_ttft_s is not None:
            in_time = ttft_s <= fleet.max_ttft_s
            tpot_s = jnp.where(in_time | ~jnp.any(in_time, axis=0), tpot_s, jnp.inf)
        ttft_s = jnp.min(ttft_s, axis=0)
    return ReplicaNeeds(jnp.min(jnp.where(holds, gpus, jnp.inf), axis=0), jnp.min(tpot_s, axis=0), ttft_s)
