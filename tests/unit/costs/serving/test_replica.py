"""Yun's serving cost: the largest batch in bytes and under latency targets, and the cheapest replica against a loop in Python."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.serving import (
    LIMITS,
    Coefficients,
    Fleet,
    Roofline,
    ServedModel,
    TableLatency,
    Traffic,
    cheapest_replica,
    served_family,
)
from bayesmoe.costs.serving.replica import memory_batch

ANCHORS = json.loads((Path(__file__).parents[3] / "anchors.json").read_text())
FLEET = Fleet(max_gpus=8, memory_bytes=40e9, memory_fraction=0.9, bytes_per_weight=2.0, max_batch=1024.0)
SHAREGPT = Traffic(161.31, 337.99)
LATENCY = Roofline(accelerator_named("A100-SXM-40GB"))
SLOPES = Coefficients((60e-6, 20e-6, 15e-6, 5e-6, 1.2, 1.5, 1.5, 1.1, 3.0, 1.3), 1.5, 3.0, 1.0, 1.0)
SIZES = np.geomspace(1e8, 1e11, 40)[:, None]
COUNTS = np.array([1.0, 8.0, 64.0])


def models(n_dense, num_experts=1.0):
    """Models of Yun's family: top-2, plain multi-head attention."""
    n_dense, num_experts = np.broadcast_arrays(np.asarray(n_dense, float), np.asarray(num_experts, float))
    return served_family(n_dense, num_experts, Family(), mu=0.045, cache_share=1.0, moe_layer_share=0.5)


def of_size(n_total, cache_per_token=1.0, **other):
    """A model of which only weights and cache matter."""
    nothing = ServedModel(*(0.0 for _ in ServedModel._fields))
    return nothing._replace(n_total=n_total, cache_per_token=cache_per_token, **{"cache_shards": 1e9, **other})


NUMBERS = ("memory_bytes", "memory_fraction", "bytes_per_weight", "max_tpot_s", "max_ttft_s")


# Compiled whole, and not again for other numbers of a fleet: operation by operation it takes many times as long.
@functools.partial(jax.jit, static_argnums=(0, 1))
def served(latency, fleet, numbers, model, slopes, traffic, prices):
    return cheapest_replica(model, latency, fleet._replace(**numbers), traffic, slopes, **prices)


def cheapest(model, fleet=FLEET, latency=LATENCY, slopes=SLOPES, traffic=SHAREGPT, *, utilization=1.0, price=1.8):
    numbers = {name: getattr(fleet, name) for name in NUMBERS if getattr(fleet, name) is not None}
    prices = {"utilization": utilization, "price_usd_per_gpu_hour": price}
    return served(latency, fleet._replace(**dict.fromkeys(NUMBERS)), numbers, model, slopes, traffic, prices)


def named(limit):
    """Names of what bounds the batch."""
    return np.array(LIMITS)[np.asarray(limit)].tolist()


def flat(seconds):
    """A latency of that many seconds whatever is served; a function of the GPUs."""

    def latency(model, batch, n_gpus, traffic, coefficients):
        decode_s = seconds(n_gpus) + 0.0 * batch
        return 0.0 * decode_s, decode_s

    latency.largest_batch = lambda num_experts, n_gpus: np.inf
    latency.by_batch = lambda model, *rest: lambda batch: (sum(latency(model, batch, *rest)), None)
    latency.first_token_s = latency.seconds_by_term = latency.prompt_cache_s = latency.prompt_alone_s = lambda *replica: None
    return latency


def test_memory_batch_by_hand():
    # 2 x 10e9 x 0.5 bytes less 2 x 3.5e9 and 2 x 0.5e9 of embeddings leave 2e9; a request of 100 + 50/2 tokens at 5e5 elements
    # of 2 bytes holds 1.25e8: 16 fit.
    fleet = FLEET._replace(memory_bytes=10e9, memory_fraction=0.5)
    model = of_size(3.5e9, 5e5, n_embedding=5e8)
    assert float(memory_batch(model, 2, Traffic(100.0, 50.0), fleet)) == 16.0
    # Without the embeddings 3e9 are left, and in one byte a cache is half as large.
    assert float(memory_batch(of_size(3.5e9, 5e5), 2, Traffic(100.0, 50.0), fleet)) == 24.0
    assert float(memory_batch(model, 2, Traffic(100.0, 50.0, 1.0), fleet)) == 32.0
    # One byte a weight leaves 5.5e9.
    assert float(memory_batch(model, 2, Traffic(100.0, 50.0), fleet._replace(bytes_per_weight=1.0))) == 44.0


@pytest.mark.parametrize(
    "anchor", [a for a in ANCHORS if a["law"] == "yun2024_max_batch"], ids=lambda a: "{num_gpus}".format(**a["inputs"])
)
def test_memory_batch_is_yuns(anchor):
    """arXiv:2404.02852, appendix C in bytes; the anchors are not floored, so a cache of a millionth is asked too."""
    x, c = anchor["inputs"], anchor["coefficients"]
    fleet = FLEET._replace(
        memory_bytes=x["gpu_memory_bytes"], memory_fraction=c["memory_fraction"], bytes_per_weight=c["bytes_per_weight"]
    )
    model = of_size(x["n_total"], 2.0 * x["d_model"] * x["n_layers"])
    found = [
        float(memory_batch(model, x["num_gpus"], Traffic(x["prompt_tokens"], x["output_tokens"], element), fleet))
        for element in (c["bytes_per_kv_element"], c["bytes_per_kv_element"] / 1e6)
    ]
    assert found[0] == math.floor(anchor["value"])
    assert found[1] / 1e6 == pytest.approx(anchor["value"], rel=anchor["rtol"])


def test_a_window_and_a_state_take_memory():
    traffic = Traffic(100.0, 50.0)
    fleet = FLEET._replace(memory_bytes=2e9, memory_fraction=1.0)
    # 125 tokens of 1e5 elements, 25 of a window's 4e5, and a state of 7.5e6: 3e7 elements of 2 bytes, of 2e9 bytes.
    model = of_size(0.0, 1e5, window_cache_per_token=4e5, window_tokens=25.0, state=7.5e6)
    assert float(memory_batch(model, 1, traffic, fleet)) == 33.0


def test_weights_alone_can_fill_memory():
    assert float(memory_batch(of_size(18.1e9, 5e4), 1, SHAREGPT, FLEET)) < 1


def test_a_cache_that_cannot_be_split_is_kept_on_each_gpu():
    gpus = np.array([1.0, 2.0, 8.0])
    split, latent = (memory_batch(of_size(1e9, 1e5, cache_shards=shards), gpus, SHAREGPT, FLEET) for shards in (1e9, 1.0))
    free = 0.9 * gpus * 40e9 - 2e9
    np.testing.assert_array_equal(split, np.floor(free / (2e5 * SHAREGPT.context_tokens)))
    np.testing.assert_array_equal(latent, np.floor(free / (2e5 * SHAREGPT.context_tokens * gpus)))
    fleet = FLEET._replace(max_batch=1e6)
    model = models([2e10])
    split, latent = (cheapest(model._replace(cache_shards=np.array([shards])), fleet) for shards in (1e9, 1.0))
    assert latent.n_gpus > 1
    assert latent.batch < split.batch
    assert latent.usd_per_million_tokens > split.usd_per_million_tokens


@pytest.mark.parametrize("max_gpus", [pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), 8])
def test_the_cheapest_replica_is_the_least_of_a_loop_over_gpus(max_gpus):
    slopes = SLOPES._replace(slowdown=1.3)
    sizes, counts = np.meshgrid(np.geomspace(1e8, 4e11, 14), [1, 4, 32])
    model = models(sizes, counts)
    found = cheapest(model, FLEET._replace(max_gpus=max_gpus), slopes=slopes, utilization=0.4)
    assert found.usd_per_million_tokens.shape == sizes.shape
    seen = set()
    for at in np.ndindex(sizes.shape):
        one = ServedModel(*(float(np.broadcast_to(leaf, sizes.shape)[at]) for leaf in model))
        options = []
        for gpus in {1: (1,), 3: (1, 2, 3), 8: (1, 2, 4, 8)}[max_gpus]:
            copies = max(1.0, gpus / one.cache_shards)
            request = 2 * one.cache_per_token * copies * (161.31 + 337.99 / 2)
            batch = math.floor((0.9 * gpus * 40e9 - 2 * one.n_total) / request)
            batch = min(batch, 1024)
            if batch >= 1:
                seconds = float(sum(LATENCY(one, batch, gpus, SHAREGPT, slopes)))
                options.append((1e6 * gpus * 1.8 / 3600 * seconds / batch / 0.4, gpus, 1, batch, batch / seconds))
        assert bool(found.feasible[at]) == bool(options)
        mine = min(options) if options else (math.nan,) * 5
        np.testing.assert_allclose([float(values[at]) for values in found[:5]], mine, rtol=1e-9)
        seen.add(mine[1] if options else None)
    assert {1, max_gpus, None} <= seen


def test_cost_rises_with_size_until_the_model_fits_no_replica():
    sizes = np.geomspace(1e7, 1e12, 4000)[:, None]
    found = cheapest(models(sizes, COUNTS))
    usd = np.asarray(found.usd_per_million_tokens)
    assert (np.diff(usd, axis=0)[np.isfinite(np.diff(usd, axis=0))] > 0).all()
    assert (np.diff(np.asarray(found.feasible).astype(int), axis=0) <= 0).all()
    assert found.feasible[0].all()
    assert not found.feasible[-1].any()


def test_a_fleet_holds_as_many_replicas_as_it_has_gpus_for():
    alone = FLEET._replace(max_gpus=1)
    one, five = (cheapest(models(1e9), fleet) for fleet in (alone, alone._replace(fleet_gpus=5)))
    assert float(five.fleet_tokens_per_s) == pytest.approx(5.0 * float(one.fleet_tokens_per_s), rel=1e-6)
    assert float(five.usd_per_million_tokens) == float(one.usd_per_million_tokens)


def test_more_gpus_never_cost_more():
    sizes = np.geomspace(1e8, 1e11, 200)
    usd = [np.asarray(cheapest(models(sizes), FLEET._replace(max_gpus=g)).usd_per_million_tokens) for g in (1, 2, 4, 8)]
    for fewer, more in itertools.pairwise(usd):
        both = np.isfinite(fewer)
        # Programs for other GPU counts may round otherwise.
        assert (more[both] <= fewer[both] * (1 + 1e-12)).all()
        assert np.isfinite(more[both]).all()
    assert np.isnan(usd[0]).sum() > np.isnan(usd[-1]).sum()


def test_what_fits_no_replica_has_no_cost():
    found = cheapest(models([1e9, 1e12]))
    assert found.feasible.tolist() == [True, False]
    assert all(np.isnan(values[1]) and np.isfinite(values[0]) for values in found[:5])
    assert named(found.limit)[1] == "memory"


def test_what_has_no_known_latency_has_no_cost():
    only_four = flat(lambda n_gpus: jnp.where(n_gpus == 4, 1e-2, jnp.nan))
    found = cheapest(models([1e9, 1e12]), latency=only_four)
    assert found.feasible.tolist() == [True, False]
    assert found.n_gpus[0] == 4
    nowhere = cheapest(models([1e9, 1e12]), latency=flat(lambda n_gpus: np.nan * n_gpus))
    assert nowhere.feasible.tolist() == [False, False]
    assert named(nowhere.limit) == ["speed", "memory"]


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"price": 3.6}, 2.0),
        ({"utilization": 0.25}, 4.0),
        ({"slopes": SLOPES._replace(slowdown=1.5)}, 1.5),
        ({"slopes": SLOPES._replace(step=tuple(1.5 * slope for slope in SLOPES.step))}, 1.5),
    ],
    ids=["price", "utilization", "slowdown", "slopes"],
)
def test_price_idleness_and_slowness_scale_the_cost(changed, factor):
    model = models([1e9, 1e10], [4, 16])
    plain, other = cheapest(model), cheapest(model, **changed)
    np.testing.assert_allclose(other.usd_per_million_tokens, factor * plain.usd_per_million_tokens, rtol=1e-12)
    np.testing.assert_array_equal(other.n_gpus, plain.n_gpus)
    speed = plain.tokens_per_s / (factor if "slopes" in changed else 1.0)
    np.testing.assert_allclose(other.tokens_per_s, speed, rtol=1e-12)


def test_the_prefill_is_told_the_batch_it_decodes():
    asked = []

    def latency(model, batch, n_gpus, traffic, coefficients):
        asked.append(np.asarray(batch))
        return 0.0 * batch, 1.0 + 0.0 * batch

    latency.largest_batch = lambda num_experts, n_gpus: np.inf
    latency.by_batch = lambda model, *rest: lambda batch: (sum(latency(model, batch, *rest)), None)
    latency.first_token_s = latency.seconds_by_term = latency.prompt_cache_s = latency.prompt_alone_s = lambda *replica: None
    found = cheapest_replica(models([1e9]), latency, FLEET, SHAREGPT, SLOPES, utilization=1.0, price_usd_per_gpu_hour=1.8)
    assert asked[0].shape == (4, 1)
    # One second an iteration whatever the batch: the full batch is the throughput, and one GPU per token is the cost.
    assert float(found.tokens_per_s[0]) == float(found.batch[0]) == asked[0][int(found.n_gpus[0]) - 1, 0]


def seconds_of(target, model, batch, n_gpus):
    """What a target is about, at some batch."""
    if target == "max_tpot_s":
        return np.asarray(sum(LATENCY(model, batch, n_gpus, SHAREGPT, SLOPES)))
    return np.asarray(LATENCY.first_token_s(model, batch, n_gpus, SHAREGPT, SLOPES))


TARGETS = [("max_tpot_s", s) for s in (4e-3, 0.012, 0.04)] + [("max_ttft_s", s) for s in (0.02, 0.05, 0.12)]


@pytest.mark.parametrize(("target", "seconds"), TARGETS)
def test_the_batch_is_the_largest_that_meets_a_target(target, seconds):
    model = models(SIZES, COUNTS)
    found = cheapest(model, FLEET._replace(**{target: seconds}))
    ok, limit = np.asarray(found.feasible), np.array(named(found.limit))
    batch, gpus = np.asarray(found.batch), np.asarray(found.n_gpus)
    assert (seconds_of(target, model, batch, gpus)[ok] <= seconds * (1 + 1e-12)).all()
    assert (batch[ok] % 1 == 0).all()
    assert (batch[ok] >= 1).all()
    by_target = ok & (limit == target)
    assert by_target.any()
    assert (seconds_of(target, model, batch + 1, gpus)[by_target] > seconds).all()
    capped = ok & ~by_target
    room = np.asarray(memory_batch(model, gpus, SHAREGPT, FLEET))
    np.testing.assert_array_equal(batch[capped], np.minimum(room, 1024.0)[capped])
    assert set(limit[capped]) <= {"memory", "max_batch"}


@pytest.mark.parametrize("target", ["max_tpot_s", "max_ttft_s"])
@pytest.mark.few(1)
def test_a_target_is_met_by_any_replica_that_a_loop_finds(target):
    sizes = np.geomspace(1e9, 2e11, 8)
    model, seconds = models(sizes), 0.1
    found = cheapest(model, FLEET._replace(**{target: seconds}))
    for i in range(len(sizes)):
        one = ServedModel(*(np.broadcast_to(leaf, sizes.shape)[i] for leaf in model))
        options = []
        for gpus in (1, 2, 4, 8):
            room = min(float(memory_batch(one, gpus, SHAREGPT, FLEET)), 1024.0)
            batches = np.arange(1.0, room + 1)
            met = batches[seconds_of(target, one, batches, gpus) <= seconds]
            if met.size:
                step = float(seconds_of("max_tpot_s", one, met[-1], gpus))
                options.append((1e6 * gpus * 1.8 / 3600 * step / met[-1], gpus, 1, met[-1], met[-1] / step))
        assert bool(found.feasible[i]) == bool(options)
        mine = min(options) if options else (math.nan,) * 5
        np.testing.assert_allclose([float(values[i]) for values in found[:5]], mine, rtol=1e-9)
    assert 0 < np.sum(found.feasible) < len(sizes)


@pytest.mark.parametrize("target", ["max_tpot_s", "max_ttft_s"])
def test_a_target_that_nobody_meets_is_named(target):
    # The second fits on a few GPUs alone: what is named is of the most.
    found = cheapest(models([1e9, 3e10, 1e12]), FLEET._replace(**{target: 1e-9}))
    assert found.feasible.tolist() == [False] * 3
    assert named(found.limit) == [target, target, "memory"]
    assert all(np.isnan(values).all() for values in found[:5])


@pytest.mark.parametrize("target", ["max_tpot_s", "max_ttft_s"])
def test_a_looser_target_never_costs_more(target):
    model = models(SIZES, COUNTS)
    fleets = [FLEET._replace(**{target: seconds}) for seconds in [*np.geomspace(1e-3, 30.0, 10), None]]
    found = [cheapest(model, fleet) for fleet in fleets]
    usd = np.stack([np.where(one.feasible, one.usd_per_million_tokens, np.inf) for one in found])
    with np.errstate(invalid="ignore"):
        assert (usd[1:] <= usd[:-1] * (1 + 1e-12)).all()
    np.testing.assert_array_equal(usd[-2], usd[-1])
    assert np.isinf(usd[0]).any()


def test_the_tighter_of_two_targets_binds():
    model = models([1e10])
    batch = float(cheapest(model, FLEET._replace(max_gpus=1)).batch[0])
    tpot, ttft = (seconds_of(name, model, 0.5 * batch, 1.0).item() for name in ("max_tpot_s", "max_ttft_s"))
    for name, fleet in (
        ("max_tpot_s", FLEET._replace(max_gpus=1, max_tpot_s=tpot, max_ttft_s=1.2 * ttft)),
        ("max_ttft_s", FLEET._replace(max_gpus=1, max_tpot_s=1.2 * tpot, max_ttft_s=ttft)),
    ):
        found = cheapest(model, fleet)
        assert named(found.limit) == [name]
        assert found.batch.item() == math.floor(0.5 * batch)


@pytest.mark.parametrize(
    ("fleet", "limit", "batch"),
    [
        ({}, "memory", 57),
        ({"max_batch": 32.0}, "max_batch", 32),
        ({"max_batch": 1.0}, "max_batch", 1),
        ({"max_tpot_s": 0.03}, "max_tpot_s", None),
        ({"max_ttft_s": 0.1}, "max_ttft_s", None),
        ({"max_tpot_s": 1e3, "max_ttft_s": 1e3}, "memory", 57),
        # A tie is memory's.
        ({"max_batch": 57.0, "max_tpot_s": 1e3}, "memory", 57),
    ],
)
def test_what_bounds_the_batch_is_named(fleet, limit, batch):
    # 36e9 bytes less 2e10 of weights leave 1.6e10; a request holds 2 x 2 x 0.045 x 1e10^(2/3) x 330.305 bytes.
    found = cheapest(models([1e10]), FLEET._replace(max_gpus=1, **fleet))
    assert named(found.limit) == [limit]
    if batch is None:
        assert 1 <= found.batch.item() < 57
    else:
        assert found.batch.item() == batch


@pytest.mark.parametrize("target", [{}, {"max_tpot_s": 1.0}, {"max_ttft_s": 1.0}])
@pytest.mark.parametrize("gone", ["bandwidth_bytes_per_s", "memory_bytes"])
@pytest.mark.few(2)
def test_an_accelerator_without_bandwidth_or_memory_serves_nothing(gone, target):
    chip = dataclasses.replace(accelerator_named("A100-SXM-40GB"), **{gone: 0.0})
    fleet = FLEET._replace(memory_bytes=chip.memory_bytes, **target)
    found = cheapest(models([1e8, 1e10, 1e12]), fleet, Roofline(chip))
    assert found.feasible.tolist() == [False] * 3
    slow = next(iter(target), "speed")
    assert named(found.limit) == [*(["memory"] * 2 if gone == "memory_bytes" else [slow] * 2), "memory"]
    assert all(np.isnan(values).all() for values in found[:5])


def test_draws_and_models_are_served_as_one_by_one():
    model, fleet = models([1e9, 2e10, 1e12], [1, 8, 4]), FLEET._replace(max_tpot_s=0.05)
    slow, prompts, price = (np.array([[a], [b]]) for a, b in ((1.0, 1.4), (100.0, 2000.0), (1.5, 2.5)))
    own = np.array([[1.0, 1.1, 1.2], [0.9, 1.3, 1.0]])
    slopes = SLOPES._replace(step=tuple(slope * slow for slope in SLOPES.step), slowdown=own)
    together = cheapest(model, fleet, slopes=slopes, traffic=Traffic(prompts, 300.0), price=price)
    assert all(values.shape == (2, 3) for values in together)
    for i, j in np.ndindex(2, 3):
        one = cheapest(
            ServedModel(*(np.float64(np.broadcast_to(leaf, 3)[j]) for leaf in model)),
            fleet,
            slopes=SLOPES._replace(step=tuple(slope * slow[i, 0] for slope in SLOPES.step), slowdown=own[i, j]),
            traffic=Traffic(prompts[i, 0], 300.0),
            price=price[i, 0],
        )
        np.testing.assert_allclose([values[i, j] for values in together], [float(value) for value in one], rtol=1e-12)


def test_a_table_serves_by_its_measurements():
    sizes, batches = np.array([1e9, 1e10]), np.array([1.0, 65.0])
    seconds = np.array([[0.01, 0.03], [0.02, 0.06]])
    table = TableLatency({(1, 2): (sizes, batches, 0.0 * seconds, seconds)})
    fleet = FLEET
    # Only two GPUs are measured: 65 requests in 0.03 s.
    found = cheapest(models([1e9]), fleet, table)
    assert (found.n_gpus.item(), found.batch.item(), named(found.limit)) == (2, 65, ["max_batch"])
    assert found.usd_per_million_tokens.item() == pytest.approx(1e6 * 2 * 1.8 / 3600 * 0.03 / 65, rel=1e-12)
    # What was measured of other expert counts is no bound.
    more = TableLatency(table.grids | {(4, 1): (sizes, np.array([1.0, 2.0]), 0.0 * seconds, seconds)})
    assert cheapest(models([1e9]), fleet, more).batch.item() == 65
    # A target that nobody meets is the reason, though most GPU counts were not measured.
    assert named(cheapest(models([1e9]), fleet._replace(max_tpot_s=1e-3), table).limit) == ["max_tpot_s"]
    # 0.01 s and 0.02/64 s for each request after the first: 33 take 0.02 s.
    found = cheapest(models([1e9]), fleet._replace(max_tpot_s=0.02 + 1e-9), table)
    assert (found.batch.item(), named(found.limit)) == (33, ["max_tpot_s"])
