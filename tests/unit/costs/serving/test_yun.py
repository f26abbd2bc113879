"""Yun's serving cost: the largest batch in bytes, and the cheapest replica against a loop in Python."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from bayesmoe.architecture import Family, num_layers, width_times_layers
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.latency import AnalyticLatency, Served
from bayesmoe.costs.serving import cheapest_replica
from bayesmoe.costs.serving.yun import largest_batch

MEMORY = {
    "memory_bytes": 40e9,
    "memory_fraction": 0.9,
    "bytes_per_weight": 2.0,
    "prompt_tokens": 161.31,
    "output_tokens": 337.99,
}
FLEET = {**MEMORY, "max_gpus": 8, "max_batch": 1024.0, "slowdown": 1.0, "utilisation": 1.0, "price_usd_per_gpu_hour": 1.8}
LATENCY = AnalyticLatency(accelerator_named("A100-SXM-40GB"), 161.31, 337.99)


def models(n_dense, num_experts=1.0):
    """Models of Yun's family: top-2, plain multi-head attention in 16 bits."""
    family = Family()
    n_dense, num_experts = np.broadcast_arrays(np.asarray(n_dense, float), np.asarray(num_experts, float))
    return Served(
        n_dense,
        n_dense * family.active_ratio(num_experts),
        n_dense * family.total_ratio(num_experts),
        n_dense * family.routed_ratio(num_experts),
        num_experts,
        1.0 + (num_experts > 1),
        num_layers(n_dense),
        4.0 * width_times_layers(n_dense),
    )


def of_size(n_total, kv_bytes_per_token=1.0):
    """A model of which only weights and cache matter."""
    return Served(n_total, n_total, n_total, 0.0, 1.0, 1.0, 1.0, kv_bytes_per_token)


def test_largest_batch_by_hand():
    # 2 x 10e9 x 0.5 bytes less 2 x 4e9 leave 2e9; a request of 100 + 50/2 tokens at 1e6 bytes holds 1.25e8: 16 fit.
    found = largest_batch(
        of_size(4e9, 1e6),
        2,
        memory_bytes=10e9,
        memory_fraction=0.5,
        bytes_per_weight=2.0,
        prompt_tokens=100.0,
        output_tokens=50.0,
        max_batch=1e9,
    )
    assert float(found) == 16.0


@pytest.mark.parametrize(("n_gpus", "n_total", "batch"), [(1, 6.14e9, 243.504556605), (2, 10.23333333e9, 529.030416751)])
def test_largest_batch_is_yuns(n_gpus, n_total, batch):
    """arXiv:2404.02852, appendix C in bytes: 24 layers of width 3072, 40 GB cards of which 90 % is used."""
    kv_bytes = 2 * 2 * 3072 * 24.0
    found = [float(largest_batch(of_size(n_total, kv_bytes / f), n_gpus, **MEMORY, max_batch=1e12)) for f in (1, 1e6)]
    assert found[0] == math.floor(batch)
    assert found[1] / 1e6 == pytest.approx(batch, rel=1e-6)


def test_the_batch_is_capped():
    assert float(largest_batch(of_size(1e9), 1, **MEMORY, max_batch=256.0)) == 256.0


def test_weights_alone_can_fill_memory():
    assert float(largest_batch(of_size(18.1e9, 1e5), 1, **MEMORY, max_batch=256.0)) < 1


@pytest.mark.parametrize("max_gpus", [1, 3, 8])
def test_the_cheapest_replica_is_the_least_of_a_loop_over_gpus(max_gpus):
    fleet = {**FLEET, "max_gpus": max_gpus, "utilisation": 0.4, "slowdown": 1.3}
    sizes, counts = np.meshgrid(np.geomspace(1e8, 4e11, 25), [1, 4, 32])
    model = models(sizes, counts)
    found = cheapest_replica(model, LATENCY, **fleet)
    assert found.usd_per_million_tokens.shape == sizes.shape
    seen = set()
    for at in np.ndindex(sizes.shape):
        one = Served(*(float(leaf[at]) for leaf in model))
        options = []
        for gpus in range(1, max_gpus + 1):
            batch = math.floor((0.9 * gpus * 40e9 - 2 * one.n_total) / (one.kv_bytes_per_token * (161.31 + 337.99 / 2)))
            batch = min(batch, 1024)
            if batch >= 1:
                seconds = 1.3 * float(sum(LATENCY(one, batch, gpus)))
                options.append((1e6 * gpus * 1.8 / 3600 * seconds / batch / 0.4, gpus, batch, batch / seconds))
        assert bool(found.feasible[at]) == bool(options)
        mine = min(options) if options else (math.nan,) * 4
        np.testing.assert_allclose([float(values[at]) for values in found[:4]], mine, rtol=1e-9)
        seen.add(mine[1] if options else None)
    assert {1, max_gpus, None} <= seen


def test_cost_rises_with_size_until_the_model_fits_no_replica():
    sizes = np.geomspace(1e7, 1e12, 4000)[:, None]
    found = cheapest_replica(models(sizes, [1, 8, 64]), LATENCY, **FLEET)
    usd = np.asarray(found.usd_per_million_tokens)
    assert (np.diff(usd, axis=0)[np.isfinite(np.diff(usd, axis=0))] > 0).all()
    assert (np.diff(np.asarray(found.feasible).astype(int), axis=0) <= 0).all()
    assert found.feasible[0].all()
    assert not found.feasible[-1].any()


def test_more_gpus_never_cost_more():
    sizes = np.geomspace(1e8, 1e11, 200)
    usd = [
        np.asarray(cheapest_replica(models(sizes), LATENCY, **{**FLEET, "max_gpus": g}).usd_per_million_tokens)
        for g in (1, 2, 4, 8)
    ]
    for fewer, more in itertools.pairwise(usd):
        both = np.isfinite(fewer)
        assert (more[both] <= fewer[both]).all()
        assert np.isfinite(more[both]).all()
    assert np.isnan(usd[0]).sum() > np.isnan(usd[-1]).sum()


def test_what_fits_no_replica_has_no_cost():
    found = cheapest_replica(models([1e9, 1e12]), LATENCY, **FLEET)
    assert found.feasible.tolist() == [True, False]
    assert all(np.isnan(values[1]) and np.isfinite(values[0]) for values in found[:4])


def test_what_has_no_measured_latency_has_no_cost():
    def only_four(model, batch, n_gpus):
        decode_s = np.where(n_gpus == 4, 1e-2, np.nan) * np.ones_like(model.n_dense)
        return 0.0 * decode_s, decode_s

    found = cheapest_replica(models([1e9, 1e12]), only_four, **FLEET)
    assert found.feasible.tolist() == [True, False]
    assert found.n_gpus[0] == 4


@pytest.mark.parametrize(
    ("name", "value", "factor"),
    [("price_usd_per_gpu_hour", 3.6, 2.0), ("utilisation", 0.25, 4.0), ("slowdown", 1.5, 1.5)],
)
def test_price_idleness_and_slowness_scale_the_cost(name, value, factor):
    model = models([1e9, 1e10], [4, 16])
    plain, changed = (cheapest_replica(model, LATENCY, **{**FLEET, **extra}) for extra in ({}, {name: value}))
    np.testing.assert_allclose(changed.usd_per_million_tokens, factor * plain.usd_per_million_tokens, rtol=1e-12)
    np.testing.assert_array_equal(changed.n_gpus, plain.n_gpus)
    speed = plain.tokens_per_s / (factor if name == "slowdown" else 1.0)
    np.testing.assert_allclose(changed.tokens_per_s, speed, rtol=1e-12)


def test_the_prefill_is_told_the_batch_it_decodes():
    asked = []

    def latency(model, batch, n_gpus):
        asked.append(np.asarray(batch))
        return 0.0 * batch, 1.0 + 0.0 * batch

    found = cheapest_replica(models([1e9]), latency, **FLEET)
    assert asked[0].shape == (1, 8)
    # One second an iteration whatever the batch: the full batch is the throughput, and one GPU per token is the cost.
    assert float(found.tokens_per_s[0]) == float(found.batch[0]) == asked[0][0, int(found.n_gpus[0]) - 1]
