"""What architectures cost to train and to serve, as bands under every draw."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.architecture import Shape, train_flop
from bayesmoe.costs.draws import ServingDraws, fleet_of, latency_of, serving_draws, training_draws
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.latency_targets import unmeasured_targets
from bayesmoe.costs.precisions import Precision
from bayesmoe.costs.serving.calibration import read_calibration
from bayesmoe.costs.serving.latency import Latency
from bayesmoe.costs.serving.replica import LIMITS, Fleet, cheapest_replica
from bayesmoe.costs.serving.served_model import ServedModel, served_shapes
from bayesmoe.costs.serving.step import TERMS, cache_bytes, replication, weight_bytes
from bayesmoe.costs.training import affordable_flop, gpu_seconds, gpu_usd, seconds_per_train_flop
from bayesmoe.costs.training.cost import TRAINING_UNITS, TrainingCost, cluster_of, cost_on_cluster, training_cost
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.uncertain import sample
from bayesmoe.costs.workload import Serving
from bayesmoe.errors import InputError
from bayesmoe.precision import in_float64
from bayesmoe.units import QUANTILES, TOKENS_PER_MILLION

UNITS = {
    "weight_bytes": "bytes",
    "memory_bytes": "bytes of a replica",
    "n_gpus": "GPUs of a replica, or of a worker that decodes",
    "prefill_gpus": "GPUs of other workers that compute the prompts of one that decodes",
    "attention_ranks": "GPUs of a replica over which attention is data-parallel",
    "draft_tokens": "tokens drafted ahead of a step",
    "kw": "kW of a replica, workers that compute its prompts included",
    "batch": "requests",
    "tpot_s": "s",
    "ttft_s": "s",
    "output_tokens_per_s_per_gpu": "tokens/s",
    "serving_usd_per_million_tokens": "USD per million output tokens, their prompts included",
    "usd_per_million_input_tokens": "USD per million tokens of prompts that no cache holds: to compute, and to read while the answer is decoded",
    "usd_per_million_cached_tokens": "USD per million tokens of prompts that a cache holds: to read while the answer is decoded",
    "usd_per_million_decoded_tokens": "USD per million output tokens, without prompts",
    "lifetime_usd": "USD",
    "train_tokens": "tokens",
    "train_flop": "FLOP",
    "train_usd": "USD",
}
"""What :func:`cost` says of an architecture, and in which unit."""


@in_float64
def cost(shapes: Sequence[Shape], training: Training, serving: Serving, *, draws: int = 4000, seed: int = 0) -> xr.Dataset:
    """Cost of architectures under every draw.

    Each is served by the replica that is cheapest in that draw (:func:`bayesmoe.costs.serving.replica.cheapest_replica`), and trained on the
    tokens that the budget buys.

    Parameters
    ----------
    shapes : sequence of Shape
        K architectures.
    training : Training
        Budget, utilization, price, and the rule of FLOP.
    serving : Serving
        Fleet, lengths, targets, prices.
    draws, seed : int
        S draws, from a seed.

    Returns
    -------
    Dataset
        Variables of :data:`UNITS` over (draw, architecture); those of serving, chosen anew in each draw, are NaN where a draw has no
        replica that fits and meets the targets, and prices where a target is faster than all that was measured (attribute ``doubts``);
        ``feasible``; ``limit``, what bounds the batch; ``term_share``, mean shares of a step's terms (not with a latency table); ``n_total``, ``n_active``, ``n_dense``.
        Where the scenario states ``training.cluster_gpus``, also those of training on it, of the fastest layout that fits in each draw:
        ``train_fits``, ``train_layout``, ``train_reason`` where nothing fits, ``train_part_share``.

    Raises
    ------
    InputError
        No architecture is given, or see :func:`bayesmoe.costs.draws.serving_draws`.

    Examples
    --------
    >>> bm.cost([mixtral], scenario.training, scenario.serving)  # doctest: +SKIP
    """
    if not shapes:
        raise InputError("is empty", column="architectures", hint="give at least one")
    rng = np.random.default_rng(seed)
    model = served_shapes(shapes)
    variables, term_share = _serving(model, serving, draws, rng)
    prices, cluster = training_draws(training, draws, rng), cluster_of(training)
    trained = None if cluster is None else training_cost(shapes, training, cluster, draws, rng)
    variables |= _training(shapes, model, training, prices, trained)
    on_cluster = xr.Dataset() if trained is None else cost_on_cluster(shapes, training, trained, variables["train_tokens"])
    if serving.lifetime_tokens is not None:
        lifetime_usd = variables["serving_usd_per_million_tokens"] * sample(serving.lifetime_tokens, (draws, 1), rng)
        variables["lifetime_usd"] = variables["train_usd"] + lifetime_usd / TOKENS_PER_MILLION
    dims, shape = ("draw", "architecture"), (draws, len(shapes))
    return xr.Dataset(
        {
            **{
                name: (dims, np.broadcast_to(value, shape), {"units": UNITS[name]} if name in UNITS else {})
                for name, value in variables.items()
            },
            "term_share": (("architecture", "term"), term_share),
            **{name: ("architecture", getattr(model, name)) for name in ("n_total", "n_active", "n_dense")},
        },
        coords={"architecture": [shape.name for shape in shapes], "term": list(TERMS)},
        attrs=_measured(serving),
    ).merge(on_cluster)


def _measured(spec: Serving) -> dict[str, Any]:
    """Targets that nothing measured meets and, where the latency is by the roofline, the largest batch at a known load that it was measured at."""
    found: dict[str, Any] = {"doubts": list(map(str, unmeasured_targets(spec)))}
    return (
        found if spec.latency_table else found | {"largest_batch": read_calibration(spec.calibration).attrs["largest_batch"]}
    )


def _serving(
    model: ServedModel, spec: Serving, draws: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Variables of the cheapest replica in each draw, and the mean share of each term in a step, shape (architecture, term)."""
    uncertain = serving_draws(spec, draws, len(model.n_total), rng)
    fleet = fleet_of(spec)._replace(max_tpot_s=None, max_ttft_s=None)
    served = jax.tree.map(np.asarray, _served(latency_of(spec), fleet, spec.precision, model, uncertain))
    replica, weights, per_request, first_s, seconds, of_prompts, of_cache = served
    values = replica._asdict()
    # Of a target that nothing measured meets no price is known.
    usd, traffic = values["usd_per_million_tokens"] * (np.nan if unmeasured_targets(spec) else 1.0), uncertain.traffic
    of_prompt_tokens = usd * traffic.output_tokens / traffic.prompt_tokens
    reading = np.zeros_like(usd) if of_cache is None else of_prompt_tokens * of_cache
    gpus, batch, others = values["n_gpus"], values["batch"], values["prefill_gpus"]
    variables = {
        "weight_bytes": weights,
        "memory_bytes": weights + batch * per_request,
        "n_gpus": gpus,
        "prefill_gpus": others,
        "attention_ranks": values["attention_ranks"],
        "draft_tokens": values["draft_tokens"],
        "batch": batch,
        "tpot_s": batch / values["tokens_per_s"],
        "ttft_s": np.full_like(batch, np.nan) if first_s is None else first_s,
        "output_tokens_per_s_per_gpu": values["tokens_per_s"] / (gpus + others),
        "serving_usd_per_million_tokens": usd,
        "usd_per_million_input_tokens": reading + of_prompt_tokens * of_prompts / (1.0 - traffic.cached_share),
        "usd_per_million_cached_tokens": np.full_like(usd, np.nan) if of_cache is None else reading,
        "usd_per_million_decoded_tokens": usd * (1.0 - of_prompts - (0.0 if of_cache is None else of_cache)),
        "feasible": values["feasible"],
        "limit": np.array(LIMITS)[values["limit"].astype(int)],
    }
    kw = accelerator_named(spec.accelerator).kw_all_in
    if kw is not None:
        variables["kw"] = (gpus + others) * kw
    return variables, np.full((len(model.n_total), len(TERMS)), np.nan) if seconds is None else _shares(seconds)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _served(latency: Latency, fleet: Fleet, precision: Precision, model: ServedModel, uncertain: ServingDraws) -> Any:
    """The cheapest replica; bytes of its weights and of a request's cache; seconds to the first token, and of each term.

    And shares of the time of all GPUs: that of computing prompts, and that of reading their cache.
    """
    traffic, off = uncertain.traffic, uncertain.coefficients
    replica = cheapest_replica(
        model,
        latency,
        fleet._replace(max_tpot_s=uncertain.max_tpot_s, max_ttft_s=uncertain.max_ttft_s),
        traffic,
        off,
        utilization=uncertain.utilization,
        price_usd_per_gpu_hour=uncertain.price_usd_per_gpu_hour,
    )
    model = model._replace(attention_ranks=jnp.where(replica.feasible, replica.attention_ranks, 1.0))
    gpus, batch, others = replica.n_gpus, replica.batch, jnp.where(replica.feasible, replica.prefill_gpus, 0.0)
    apart = jnp.where(others > 0, 1.0, 0.0)
    traffic = traffic._replace(draft_tokens=jnp.where(replica.feasible, replica.draft_tokens, 0.0), apart=apart)
    prefill_s, decode_s = latency(model, batch, gpus, traffic, off)
    reading_s, iteration_s = latency.prompt_cache_s(model, batch, gpus, traffic, off), prefill_s + decode_s
    first_s: Any = latency.first_token_s(model, batch, gpus, traffic, off)
    if fleet.prefill != "together":
        first_s = jnp.where(others > 0, replica.prefill_ttft_s, first_s)
    decoding = gpus / (gpus + others)
    return (
        replica,
        weight_bytes(model, precision),
        cache_bytes(model, traffic, traffic.context_tokens) * replication(model, gpus),
        first_s,
        latency.seconds_by_term(model, batch, gpus, traffic, off),
        1.0 - decoding * decode_s / iteration_s,
        None if reading_s is None else decoding * reading_s / iteration_s,
    )


def _shares(seconds: Sequence[Any]) -> np.ndarray:
    """Mean share of each term in a step over the draws that are feasible, shape (architecture, term); NaN where none is."""
    stacked = np.stack(np.broadcast_arrays(*map(np.asarray, seconds)), axis=-1)
    share = stacked / stacked.sum(axis=-1, keepdims=True)
    finite = np.isfinite(share).all(axis=-1)
    counts = finite.sum(axis=0)
    total = np.where(finite[..., None], share, 0.0).sum(axis=0)
    return np.where(counts[:, None] > 0, total / np.maximum(counts, 1)[:, None], np.nan)


def _training(
    shapes: Sequence[Shape],
    model: ServedModel,
    spec: Training,
    prices: dict[str, np.ndarray],
    trained: TrainingCost | None,
) -> dict[str, np.ndarray]:
    """Tokens, FLOP and USD of the budget: at one utilization, or as fast as each is trained on the cluster; NaN where it is not."""
    rules = {
        "6 n_active tokens": train_flop(model.n_active),
        "6 n_dense tokens": train_flop(model.n_dense),
        "exact": np.array([shape.train_flop_per_token(spec.sequence_tokens) for shape in shapes]),
    }
    rule, price = rules[spec.flop_rule], prices["price_usd_per_gpu_hour"]
    if trained is not None and spec.by_layout:
        seconds = np.where(trained.fits, trained.seconds_per_token, np.nan)
        tokens = gpu_seconds(spec, price) / seconds if spec.budget_flop is None else spec.budget_flop / rule
        usd = gpu_usd(tokens * seconds, price)
        return {"train_tokens": tokens, "train_flop": tokens * rule, "train_usd": usd}
    usd_per_flop = gpu_usd(seconds_per_train_flop(spec, prices["mfu"]), price)
    flop = np.broadcast_to(affordable_flop(spec, **prices), (len(price), 1))
    return {
        "train_tokens": flop / rule,
        "train_flop": flop,
        "train_usd": np.broadcast_to(flop * usd_per_flop, (len(price), len(shapes))),
    }


def bands(costs: xr.Dataset) -> xr.Dataset:
    """Median and 90% band of every quantity over the draws that are feasible, and ``p_feasible``.

    A quantity of an architecture that no draw can serve is NaN; what holds for it then is ``p_feasible`` 0 and ``commonest_limit``.
    """
    import warnings

    with warnings.catch_warnings():
        # All draws infeasible: the quantile of nothing.
        warnings.simplefilter("ignore", RuntimeWarning)
        quantiles = costs[[name for name in (*UNITS, *TRAINING_UNITS) if name in costs]].quantile(
            QUANTILES, dim="draw", skipna=True
        )
    commonest = []
    for column in costs["limit"].T.values:
        kinds, counts = np.unique(column, return_counts=True)
        commonest.append(str(kinds[counts.argmax()]))
    on_cluster = [name for name in ("train_layout", "train_reason", "train_part_share") if name in costs]
    if "train_fits" in costs:
        quantiles = quantiles.assign(p_trains=costs["train_fits"].mean("draw")).merge(costs[on_cluster])
    return quantiles.assign_attrs(costs.attrs).assign(
        p_feasible=costs["feasible"].mean("draw"),
        commonest_limit=("architecture", commonest),
        term_share=costs["term_share"],
    )
