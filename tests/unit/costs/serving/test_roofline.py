"""The roofline: every term by hand, golden values, limits in batch and experts, directions and gradients."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from served import CHIP, MODEL, NARROW, TRAFFIC, many_experts, terms

from bayesmoe.costs.hardware import Accelerator, accelerator_named
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT
from bayesmoe.costs.serving import Coefficients, Roofline, ServedModel, Traffic
from bayesmoe.costs.serving.step import TERMS, cache_bytes, prompt_terms, replication, step_terms, weight_bytes

ANCHORS = json.loads((Path(__file__).parents[3] / "anchors.json").read_text())
AT_PEAK = Coefficients((0.0,) * 4 + (1.0,) * 6, 1.0, 1.0, 1.0, 1.0)
SLOPES = Coefficients((1e-3, 2e-3, 3e-4, 5e-4, 2.0, 1.2, 3.0, 4.0, 2.5, 5.0), 6.0, 7.0, 1.5, 2.5)


def anchors(law, output=None):
    return [anchor for anchor in ANCHORS if anchor["law"] == law and output in (None, anchor["output"])]


def hit_share(batch, num_experts, top_k, evenness=1.0):
    """Share of the routed experts whose weights a step reads: all of them, but for those that it spares."""
    model = many_experts(num_experts, top_k)
    read, all_read = (terms(model, batch, reads=reads, evenness=evenness)["memory"] for reads in ("distinct", "all"))
    spared_bytes = (all_read - read) * 4.0 * CHIP.bandwidth_bytes_per_s
    return np.asarray(1.0 - spared_bytes / (2.0 * model.n_routed))


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("layer", 10.0),
        ("moe_layer", 5.0),
        ("hop", 10 * 2.0),
        # Half of the experts a token: two tokens touch 3/4 of 4e9, so 9e9 weights and 5e8 of the head in 2 bytes.
        # A request caches 40 x 1e6 + 20 x 5e5 + 1e7 elements of 2 bytes; two heads on four accelerators keep each twice.
        ("memory", (2 * 9.5e9 + 2 * 1.2e8 * 2) / 4e12),
        ("request", 2.0),
        # With the prompts of a tenth of a request, 5 tokens go to two experts each in five layers: 1,000 wide, and 4e9 / (4 x 3 x 5 x 1,000)
        # within; each width is written and read in two bytes, and before and after the experts.
        ("activations", 5 * 2 * 5 * (1000 + 4e9 / 60e3) * 8 / 4e12),
        # Two of four experts hold 2e9 of the 3e9 parameters of a token; the head has 5e8. An expert is 4e9 / (4 x 3 x 5 x 1,000) wide.
        ("compute", 2 * 2 * 1.5e9 / 8e12),
        # A tenth of a request arrives: 2 x 30 x 1e9 FLOP and 4e7 x 30^2 / 2.
        ("prefill", 0.1 * (6e10 + 1.8e10) / 8e12),
        ("experts", 5 * 2 * 2e9 * NARROW / 8e12),
        # Two all-reduces a layer send 2 x 3/4 of 5 x 1,000 elements of 2 bytes.
        ("communication", 10 * 2 * 2 * 0.75 * 10_000 / 1e11),
    ],
)
def test_every_term_by_hand(term, value):
    assert float(terms()[term]) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("precision", "size", "faster"),
    # Four bits in floating point meet four bits, MXFP4 eight; integers of four bits are multiplied in sixteen.
    [("fp8", 1.0, 2), ("int8", 1.0, 2), ("mxfp4", 17 / 32, 2), ("fp4", 9 / 16, 4), ("int4", 17 / 32, 1)],
)
def test_narrow_weights_are_read_and_multiplied_faster_and_the_head_stays_wide(precision, size, faster):
    wide, narrow = terms(), terms(precision=precision)
    assert float(narrow["memory"]) == pytest.approx((9e9 * size + 2 * 5e8 + 4.8e8) / 4e12, rel=1e-12)
    for term in ("compute", "prefill", "experts"):
        assert float(narrow[term]) == pytest.approx(float(wide[term]) / faster, rel=1e-12)
    assert all(
        narrow[term] == wide[term] for term in ("layer", "moe_layer", "hop", "request", "activations", "communication")
    )


@pytest.mark.parametrize(
    ("term", "value"),
    [
        # Each of four GPUs has all of attention's weights, and the caches of its own requests.
        ("memory", (2 * (9.5e9 + 3 * 1e9) + 2 * 1.2e8) / 4e12),
        # A token goes to two experts in one byte and comes back in two, from a GPU that has a quarter of 5 tokens; five layers without
        # experts gather and scatter all of them in two bytes.
        ("communication", 0.75 * 5 * 1000 * (3 * 2 * 5 / 4 + 4 * 5) / 1e11),
    ],
)
def test_attention_in_parallel_over_requests_by_hand(term, value):
    data = terms(MODEL._replace(attention_ranks=4.0))
    assert float(data[term]) == pytest.approx(value, rel=1e-12)
    assert all(data[other] == terms()[other] for other in TERMS if other not in ("memory", "communication", "request"))
    # Each rank schedules the requests of its own.
    assert float(data["request"]) == float(terms()["request"]) / 4


def test_beyond_a_node_the_network_carries_what_is_exchanged():
    near, far = (terms(n_gpus=gpus)["communication"] for gpus in (8.0, 16.0))
    assert float(far / near) == pytest.approx(
        (15 / 16) / (7 / 8) * CHIP.link_bytes_per_s / CHIP.network_bytes_per_s, rel=1e-12
    )


@pytest.mark.parametrize(("reads", "read"), [("active", 8e9), ("distinct", 9e9), ("all", 1e10)])
def test_what_is_read_by_hand(reads, read):
    found = terms(reads=reads)
    assert float(found["memory"]) == pytest.approx((2 * (read + 5e8) + 4.8e8) / 4e12, rel=1e-12)
    assert all(found[term] == terms()[term] for term in TERMS if term != "memory")


def test_one_accelerator_pays_no_exchange():
    alone = terms(n_gpus=1.0)
    assert alone["hop"] == alone["communication"] == 0.0


def test_skewed_routing_touches_the_experts_of_fewer_requests():
    assert hit_share(19.0, 64.0, 4.0, evenness=0.5) == pytest.approx(float(hit_share(10.0, 64.0, 4.0)), rel=1e-12)
    model = many_experts()
    assert float(terms(model, 20.0, evenness=0.5)["memory"]) < float(terms(model, 20.0)["memory"])


@pytest.mark.parametrize(
    ("context", "elements"),
    # Below the window of 20 it grows with the context, beyond it stays.
    [(0, 1e7), (10, 10 * 1.5e6 + 1e7), (20, 20 * 1.5e6 + 1e7), (100, 100 * 1e6 + 20 * 5e5 + 1e7)],
)
def test_cache_by_hand(context, elements):
    assert float(cache_bytes(MODEL, TRAFFIC, context)) == 2 * elements
    assert float(cache_bytes(MODEL, Traffic(30.0, 20.0, 0.5), context)) == 0.5 * elements


@pytest.mark.parametrize(
    ("shards", "copies"), [(1, [1, 2, 3, 8]), (2, [1, 1, 1.5, 4]), (8, [1, 1, 1, 1]), (1e9, [1, 1, 1, 1])]
)
def test_too_few_heads_to_split_are_replicated(shards, copies):
    np.testing.assert_allclose(replication(MODEL._replace(cache_shards=shards), np.array([1, 2, 3, 8])), copies, rtol=1e-12)


@pytest.mark.parametrize(("precision", "of_weights"), [("bf16", 2e10), ("fp8", 1e10), ("mxfp4", 0.53125e10)])
def test_weights_in_bytes_by_hand(precision, of_weights):
    assert weight_bytes(MODEL, precision) == pytest.approx(of_weights + 2 * 7e8, rel=1e-12)


def test_one_prompt_by_hand():
    always, routed = prompt_terms(MODEL, 4.0, TRAFFIC, CHIP, "bf16")
    assert float(always) == pytest.approx(7.8e10 / 8e12, rel=1e-12)
    assert float(routed) == pytest.approx(2 * 30 * 2e9 * NARROW / 8e12, rel=1e-12)
    always, routed = prompt_terms(MODEL._replace(attention_flop=0.0, num_experts=1.0), 1.0, TRAFFIC, CHIP, "fp8")
    assert (float(always), float(routed)) == (pytest.approx(2 * 30 * 3e9 / 4e12, rel=1e-12), 0.0)


def test_a_step_and_a_first_token_by_hand():
    latency = Roofline(CHIP)
    prefill, decode = latency(MODEL, 2.0, 4.0, TRAFFIC, SLOPES)
    alone = 10e-3 + 10e-3 + 6e-3 + 1e-3 + 2 * 4.87e-3 + 3 * 7.5e-4
    of_tokens = 1.2 * 5 * 2 * 5 * (1000 + 4e9 / 60e3) * 8 / 4e12 + 2.5 * 2.5e-3 * NARROW + 5 * 3e-6
    # Of five tokens in a step three are of prompts.
    assert float(prefill) == pytest.approx(1.5 * (4 * 9.75e-4 + 0.6 * of_tokens), rel=1e-12)
    assert float(decode) == pytest.approx(1.5 * (alone + 0.4 * of_tokens), rel=1e-12)
    first = latency.first_token_s(MODEL, 2.0, 4.0, TRAFFIC, SLOPES)
    prompt, step = 4 * 9.75e-3 + 2.5 * 1.5e-2 * NARROW, 1.5 * (alone + of_tokens + 4 * 9.75e-4)
    assert float(first) == pytest.approx(2.5 * (6 * prompt + 7 * step), rel=1e-12)
    assert latency.largest_batch(8.0, 2.0) == np.inf


@pytest.mark.parametrize("ranks", [1.0, 4.0])
@pytest.mark.parametrize("batch", [1.0, 7.0, 500.0])
def test_seconds_by_batch_are_those_of_the_terms(batch, ranks):
    latency, model = Roofline(CHIP, "fp8", evenness=0.7), MODEL._replace(attention_ranks=ranks)
    step, first = latency.by_batch(model, 4.0, TRAFFIC, SLOPES)(batch)
    assert float(step) == pytest.approx(float(sum(latency(model, batch, 4.0, TRAFFIC, SLOPES))), rel=1e-12)
    prompt = sum(
        slope * float(term) for slope, term in zip((4.0, 2.5), prompt_terms(model, 4.0, TRAFFIC, CHIP, "fp8"), strict=True)
    )
    assert float(first) == pytest.approx(2.5 * (6 * prompt + 7 * float(step)), rel=1e-12)


def test_seconds_by_term_add_up_to_a_step_before_the_residual():
    latency = Roofline(CHIP, "fp8", evenness=0.7)
    parts = latency.seconds_by_term(MODEL, 5.0, 2.0, TRAFFIC, SLOPES)
    assert len(parts) == len(TERMS)
    assert 1.5 * float(sum(parts)) == pytest.approx(float(sum(latency(MODEL, 5.0, 2.0, TRAFFIC, SLOPES))), rel=1e-12)


def test_uncalibrated_is_peak_time_alone():
    found = terms()
    prefill, decode = Roofline(CHIP)(MODEL, 2.0, 4.0, TRAFFIC, AT_PEAK)
    at_peak = TERMS[4:]
    assert float(prefill + decode) == pytest.approx(sum(float(found[term]) for term in at_peak), rel=1e-12)


@pytest.mark.parametrize("anchor", anchors("roofline_distinct_experts"), ids=lambda anchor: anchor["note"])
def test_time_per_output_token_is_the_anchors(anchor):
    """Five-coefficient fit to 2,913 measurements in aiconfigurator-core 0.12.0, without attention in prefill and without head."""
    x, c = anchor["inputs"], anchor["coefficients"]
    experts = max(x["num_experts"], 1)
    routed = 3.0 * x["d_model"] * x["expert_width"] * x["n_moe_layers"] * x["num_experts"]
    model = ServedModel(
        n_dense=x["n_active"],
        n_active=x["n_active"],
        n_total=x["n_total"],
        n_routed=routed,
        n_attention=0.0,
        n_head=0.0,
        n_embedding=0.0,
        num_experts=experts,
        top_k=max(x["top_k"], 1),
        num_layers=x["n_layers"],
        num_moe_layers=x["n_moe_layers"],
        d_model=x["d_model"],
        cache_per_token=x["kv_elements_per_token_layer"] * x["n_layers"],
        window_cache_per_token=0.0,
        window_tokens=0.0,
        state=0.0,
        cache_shards=x["num_gpus"],
        attention_flop=0.0,
    )
    peak, bandwidth = x["peak_bf16_flop_per_s"], x["bandwidth_bytes_per_s"]
    chip = Accelerator(peak, peak, peak, bandwidth, 1.0, 1.0, 1.0, anchor["source"])
    precision = next(name for name, size in BYTES_PER_WEIGHT.items() if size == x["bytes_per_weight"])
    traffic = Traffic(x["prompt_tokens"], x["output_tokens"], x["bytes_per_kv_element"])
    values = step_terms(model, float(x["batch_size"]), x["num_gpus"], traffic, chip, precision)
    found = dict(zip(TERMS, map(float, values), strict=True))
    layer_us = c["c0_us_per_layer"] + c["c1_us_per_layer_multi_gpu"] * (x["num_gpus"] > 1)
    # There the FLOP of experts are those of any product of any width, decoded or of a prompt by their tokens.
    found["experts"] /= (2048 / x["expert_width"]) ** 0.5 if experts > 1 else 1.0
    decoded = x["output_tokens"] / (x["output_tokens"] + x["prompt_tokens"])
    tpot = layer_us * 1e-6 * found["layer"] + c["c2_bytes"] * found["memory"]
    tpot += c["c4_prefill"] * (found["prefill"] + (1 - decoded) * found["experts"])
    assert tpot + c["c3_flops"] * (found["compute"] + decoded * found["experts"]) == pytest.approx(
        anchor["value"], rel=anchor["rtol"]
    )


@pytest.mark.parametrize(
    "anchor", anchors("erdil2025_read_fraction"), ids=lambda a: "{num_experts} {batch_size}".format(**a["inputs"])
)
def test_share_of_experts_hit_is_erdils(anchor):
    """Erdil 2025, arXiv:2506.04645, Eq. 22."""
    x = anchor["inputs"]
    share = float(hit_share(x["batch_size"], x["num_experts"], x["top_k"]))
    distinct = x["num_experts"] if anchor["output"] == "distinct_experts" else 1
    assert share * distinct == pytest.approx(anchor["value"], rel=anchor["rtol"])


@pytest.mark.parametrize(("num_experts", "top_k"), [(4, 1), (64, 6), (512, 10)])
def test_one_token_touches_its_own_experts_and_a_large_batch_all(num_experts, top_k):
    share = hit_share(np.array([1.0, 10.0, 100.0, 1e6]), num_experts, top_k)
    assert share[0] * num_experts == pytest.approx(top_k, rel=1e-12)
    assert share[-1] == pytest.approx(1.0, rel=1e-12)
    assert (np.diff(share) > 0).all()
    model = many_experts(float(num_experts), float(top_k))
    for batch, reads in ((1.0, "active"), (1e6, "all")):
        found = terms(model, batch, 1.0)["memory"]
        assert float(found) == pytest.approx(float(terms(model, batch, 1.0, reads=reads)["memory"]), rel=1e-12)


@pytest.mark.parametrize(("num_experts", "top_k"), [(1, 1), (2, 2), (2, 4)])
def test_experts_that_every_token_uses_are_always_hit(num_experts, top_k):
    assert float(hit_share(1.0, num_experts, top_k)) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("batch", [1.0, 7.0, 500.0])
@pytest.mark.parametrize("reads", ["distinct", "active", "all"])
def test_one_expert_is_a_dense_model(batch, reads):
    dense = MODEL._replace(n_routed=0.0, num_experts=1.0, top_k=1.0, num_moe_layers=0.0)
    as_routed = terms(dense._replace(n_routed=4e9), batch, reads=reads)
    np.testing.assert_allclose(list(as_routed.values()), list(terms(dense, batch, reads=reads).values()), rtol=1e-11)


@pytest.mark.parametrize("reads", ["distinct", "all"])
@pytest.mark.parametrize("batch", [1.0, 8.0, 64.0])
def test_distinct_experts_are_between_those_of_a_token_and_all(batch, reads):
    model = many_experts()
    low, found, high = (float(terms(model, batch, reads=r)["memory"]) for r in ("active", "distinct", "all"))
    assert low <= found * (1 + 1e-12)
    assert found <= high


@pytest.mark.parametrize(
    "along",
    [
        pytest.param(lambda x: terms(many_experts(), batch=x), id="batch"),
        pytest.param(lambda x: terms(many_experts(), traffic=Traffic(x, 20.0)), id="prompt"),
        pytest.param(lambda x: terms(many_experts(), traffic=Traffic(30.0, x)), id="output"),
        pytest.param(lambda x: terms(many_experts(top_k=x)), id="top_k"),
        pytest.param(lambda x: terms(many_experts(num_experts=x)), id="num_experts"),
        pytest.param(lambda x: terms(many_experts(), batch=8.0, evenness=x / 64), id="evenness"),
    ],
)
def test_more_is_read_from_memory(along):
    values = np.asarray(along(np.array([4.0, 5.0, 8.0, 16.0, 31.0, 64.0]))["memory"])
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("n_gpus", [1.0, 2.0, 8.0])
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_a_larger_batch_takes_longer_and_gives_more_tokens(n_gpus, precision):
    latency, batch = Roofline(accelerator_named("H100-SXM"), precision), np.arange(1.0, 600.0)
    seconds = np.asarray(sum(latency(many_experts(), batch, n_gpus, TRAFFIC, SLOPES)))
    assert (np.diff(seconds) > 0).all()
    assert (np.diff(batch / seconds) > 0).all()
    first = np.asarray(latency.first_token_s(many_experts(), batch, n_gpus, TRAFFIC, SLOPES))
    assert (np.diff(first) > 0).all()


def test_terms_of_peak_rates_fall_with_accelerators_and_overhead_rises():
    gpus = np.array([1.0, 2.0, 4.0, 8.0])
    found = terms(MODEL._replace(cache_shards=8.0), n_gpus=gpus)
    for term in ("memory", "compute", "prefill"):
        np.testing.assert_allclose(found[term], found[term][0] / gpus, rtol=1e-12)
    np.testing.assert_allclose(found["hop"], 10 * np.array([0, 1, 2, 3]), rtol=1e-12)
    assert (np.diff(found["communication"]) > 0).all()


def test_slopes_are_smooth_in_size_batch_and_prompt():
    latency = Roofline(CHIP)

    def step(n_active, batch, prompt):
        model = many_experts()._replace(n_active=n_active)
        return latency.first_token_s(model, batch, 4.0, Traffic(prompt, 20.0), SLOPES)

    # Around the window's end of 20 tokens of context, and where one expert or none is left to touch.
    for at in ((1e9, 1.0, 5.0), (2e9, 40.0, 300.0), (1e11, 1e4, 1e5)):
        slopes = jax.grad(step, argnums=(0, 1, 2))(*map(jnp.asarray, at))
        assert np.isfinite(slopes).all()
        for i, slope in enumerate(slopes):
            up, down = (step(*(x * (1 + s * 1e-5 * (i == j)) for j, x in enumerate(at))) for s in (1, -1))
            assert float(slope) == pytest.approx(float(up - down) / (2e-5 * at[i]), rel=1e-5)
            assert slope > 0


@pytest.mark.parametrize(("num_experts", "top_k"), [(1.0, 1.0), (2.0, 2.0), (64.0, 4.0)])
def test_slopes_in_the_batch_are_finite_for_dense_models_too(num_experts, top_k):
    model = many_experts(num_experts, top_k)
    for batch in (1.0, 1e4):
        slope = jax.grad(lambda b: sum(Roofline(CHIP)(model, b, 2.0, TRAFFIC, SLOPES)))(batch)
        assert np.isfinite(slope)
        assert slope > 0


def test_arrays_are_served_as_one_by_one():
    latency = Roofline(CHIP, "fp8")
    models = [MODEL, many_experts(), many_experts(8.0, 1.0), many_experts(1.0, 1.0)]
    stacked = ServedModel(*(np.array(leaf, dtype=float) for leaf in zip(*models, strict=True)))
    slow = np.array([1.0, 1.3, 2.0])[:, None]
    spread = SLOPES._replace(step=tuple(slope * slow for slope in SLOPES.step), slowdown=slow)
    prompts = np.array([10.0, 30.0, 900.0])[:, None]
    found = np.stack(latency(stacked, 12.0, 4.0, Traffic(prompts, 20.0), spread))
    first = latency.first_token_s(stacked, 12.0, 4.0, Traffic(prompts, 20.0), spread)
    assert found.shape == (2, 3, 4)
    for i, factor in enumerate(slow[:, 0]):
        own = SLOPES._replace(step=tuple(slope * factor for slope in SLOPES.step), slowdown=factor)
        traffic = Traffic(prompts[i, 0], 20.0)
        for j, model in enumerate(models):
            np.testing.assert_allclose(found[:, i, j], latency(model, 12.0, 4.0, traffic, own), rtol=1e-12)
            one = float(latency.first_token_s(model, 12.0, 4.0, traffic, own))
            assert float(first[i, j]) == pytest.approx(one, rel=1e-12)
