"""What architectures cost: worked by hand where nothing is uncertain, as bands where something is."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from shape_costs import cache_elements

import bayesmoe
from bayesmoe.architecture import Heads, Shape, public_shape
from bayesmoe.costs.cost import UNITS, bands, cost
from bayesmoe.costs.serving.calibration import read_calibration
from bayesmoe.costs.serving.replica import LIMITS
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.uncertain import Uncertain, UncertainShare
from bayesmoe.costs.workload import Serving
from bayesmoe.documents.cost import CostDocument
from bayesmoe.errors import InputError
from bayesmoe.reporting.cost_text import costs

OWN = Shape(
    name="own",
    num_layers=10,
    d_model=1000,
    vocab=1000,
    d_ff=2000,
    attention=Heads(num_heads=10, num_kv_heads=5, head_dim=100),
)
# Attention 2 x 1000 x 1000 + 2 x 1000 x 500, feed-forward 3 x 1000 x 2000; ten layers.
N_OWN = 10 * (3e6 + 6e6)
COUNTS = ("n_total", "n_active", "n_dense")
SHAPES = [public_shape("mixtral-8x7b"), public_shape("llama-3.1-8b"), OWN]
TRAINING = Training(budget_flop=1e21, mfu=0.4, price_usd_per_gpu_hour=2.0)
SERVING = Serving(accelerator="H100-SXM", price_usd_per_gpu_hour=2.0, utilization=0.5, lifetime_tokens=1e12)


def serve(**changed) -> Serving:
    return dataclasses.replace(SERVING, **changed)


@pytest.fixture(scope="module")
def found():
    return cost(SHAPES, TRAINING, SERVING, draws=400)


@pytest.fixture
def table(tmp_path):
    """A scenario in which nothing is uncertain: measured latencies of models like ``own`` on one GPU."""
    rows = [
        {"num_experts": 1, "n_gpus": 1, "n_dense": size, "batch": batch, "prefill_s": 0.002, "decode_s": 0.01 * batch / 64}
        for size in (0.5 * N_OWN, 1.5 * N_OWN)
        for batch in (1, 64)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    return serve(latency_table=str(tmp_path / "table.csv"), max_gpus=1)


def test_shapes_units_and_names(found):
    assert {str(name) for name in found.data_vars} == {*UNITS, "feasible", "limit", "term_share", *COUNTS}
    for name, unit in UNITS.items():
        assert (found[name].dims, found[name].shape) == (("draw", "architecture"), (400, 3))
        assert found[name].attrs["units"] == unit
        assert (found[name] >= 0 if name in ("draft_tokens", "prefill_gpus") else found[name] > 0).all(), name
    assert found["architecture"].values.tolist() == [shape.name for shape in SHAPES]
    assert set(found["limit"].values.ravel()) <= set(LIMITS)
    assert found["feasible"].all()
    assert "lifetime_usd" not in cost([OWN], TRAINING, serve(lifetime_tokens=None), draws=2)


def test_a_step_is_shared_out_to_its_terms(found):
    share = found["term_share"]
    np.testing.assert_allclose(share.sum("term"), 1.0)
    assert (share >= 0).all()
    assert share.sel(term="moe_layer").values.tolist()[1:] == [0.0, 0.0]
    one = cost(SHAPES, TRAINING, serve(max_gpus=1), draws=20)["term_share"]
    assert np.isnan(one[0]).all(), "mixtral does not fit on one"
    assert (one[1:].sel(term=["hop", "communication"]) == 0).all()
    largest = str(share["term"][share[2].argmax("term")].item())
    words = {"layer": "launching layers", "request": "scheduling requests", "memory": "reading weights and cache"}
    line = [line for line in costs(bands(found)).splitlines() if line.startswith("  a step goes into")][2]
    assert line.split(maxsplit=4)[4].startswith(words[largest])


def test_parameters_and_weights_by_hand(found):
    assert found["n_total"].values.tolist() == [shape.n_total for shape in SHAPES]
    assert float(found["n_total"][2]) == N_OWN
    assert float(found["weight_bytes"][0, 2]) == 2 * N_OWN + 2 * 2e6
    # Llama 3.1 8B: 6.98e9 parameters, and two embeddings of 128256 x 4096 that stay in 16 bits.
    n_llama = 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    assert float(found["weight_bytes"][0, 1]) == 2 * (n_llama + 2 * 128256 * 4096)
    narrow = cost(SHAPES, TRAINING, serve(precision="fp8"), draws=2)
    assert float(narrow["weight_bytes"][0, 1]) == n_llama + 4 * 128256 * 4096


@pytest.mark.parametrize("rule", ["6 n_active tokens", "6 n_dense tokens", "exact"])
def test_training_by_hand(rule):
    shapes = [public_shape("mixtral-8x7b"), OWN]
    spec = dataclasses.replace(TRAINING, flop_rule=rule, sequence_tokens=2048.0)
    found = cost(shapes, spec, SERVING, draws=3)
    # 1e21 FLOP at 40% of 989e12 a second are 702 hours, at 2 USD.
    np.testing.assert_allclose(found["train_usd"], 1e21 / (0.4 * 989e12) / 3600 * 2, rtol=1e-12)
    assert (found["train_flop"] == 1e21).all()
    flop = {
        "6 n_active tokens": [6.0 * shapes[0].n_active, 6 * N_OWN],
        "6 n_dense tokens": [6.0 * shapes[0].n_dense, 6 * N_OWN],
        # Forward, twice: weights and head, and attention over half the sequence, 4 FLOP per layer, token and width.
        "exact": [shapes[0].train_flop_per_token(2048), 3 * (2 * N_OWN + 2e6 + 10 * 4 * 1000 * 2049 / 2)],
    }
    np.testing.assert_allclose(found["train_tokens"], np.tile(1e21 / np.array(flop[rule]), (3, 1)), rtol=1e-12)


def test_quantities_agree_with_each_other(found):
    priced = found["usd_per_million_input_tokens"] * 161.31 / 337.99 + found["usd_per_million_decoded_tokens"]
    np.testing.assert_allclose(priced, found["serving_usd_per_million_tokens"], rtol=1e-9)
    per_gpu_hour = found["output_tokens_per_s_per_gpu"] * 3600
    np.testing.assert_allclose(found["serving_usd_per_million_tokens"], 2.0 / 0.5 / per_gpu_hour * 1e6, rtol=1e-9)
    np.testing.assert_allclose(found["batch"] / found["tpot_s"] / found["n_gpus"], per_gpu_hour / 3600, rtol=1e-9)
    np.testing.assert_allclose(
        found["lifetime_usd"], found["train_usd"] + found["serving_usd_per_million_tokens"] * 1e12 / 1e6, rtol=1e-12
    )
    assert (found["memory_bytes"] > found["weight_bytes"]).all()
    assert (found["memory_bytes"] <= 0.9 * 80e9 * found["n_gpus"]).all()
    changed = serve(cached_share=0.4, draft_tokens=1, prompt_tokens=2000.0, prefill="either", max_tpot_s=0.02)
    shared = cost(SHAPES, TRAINING, changed, draws=20)
    assert 0 < (shared["prefill_gpus"] > 0).mean() <= 1
    by_kind = [shared[f"usd_per_million_{kind}_tokens"] for kind in ("input", "cached", "decoded")]
    priced = (by_kind[0] * 0.6 + by_kind[1] * 0.4) * 2000.0 / 337.99 + by_kind[2]
    np.testing.assert_allclose(priced, shared["serving_usd_per_million_tokens"], rtol=1e-9)
    assert (by_kind[1] < by_kind[0]).all()
    own = found.sel(architecture="own")
    # Two times five heads of 100, ten layers, two bytes; prompt and half the output.
    shards = np.minimum(own["n_gpus"], np.maximum(own["attention_ranks"], 5))
    cache = own["batch"] * 2 * 5 * 100 * 10 * 2 * (161.31 + 337.99 / 2) * own["n_gpus"] / shards
    np.testing.assert_allclose(own["memory_bytes"], own["weight_bytes"] + cache, rtol=1e-9)


def test_memory_counts_a_cache_that_every_gpu_keeps():
    model = public_shape("deepseek-v3")
    found = cost([model], TRAINING, serve(precision="fp8", max_gpus=16, attention="tensor"), draws=20)
    # Latent attention has no heads to split: each GPU keeps all of it, in one byte beside weights of one.
    cache = found["batch"] * cache_elements(model, 161.31 + 337.99 / 2) * found["n_gpus"]
    assert (found["n_gpus"] > 8).all()
    np.testing.assert_allclose(found["memory_bytes"], found["weight_bytes"] + cache, rtol=1e-9)
    assert (found["memory_bytes"] <= 0.9 * 80e9 * found["n_gpus"]).all()


def test_attention_is_spread_as_is_cheaper():
    model, name = public_shape("deepseek-v3"), "serving_usd_per_million_tokens"
    fleet = {"precision": "fp8", "accelerator": "H200-SXM"}
    found = {how: cost([model], TRAINING, serve(attention=how, **fleet), draws=50) for how in ("tensor", "data", "either")}
    tensor, data, either = (found[how][name].values for how in ("tensor", "data", "either"))
    np.testing.assert_array_equal(either, np.minimum(tensor, data))
    # Latent attention that eight GPUs each keep whole leaves room for an eighth of the requests.
    assert np.median(tensor) > 1.1 * np.median(data)
    assert (found["data"]["attention_ranks"] == found["data"]["n_gpus"]).all()
    copies = 7 * model.n_attention
    assert float(found["data"]["weight_bytes"].max() - found["tensor"]["weight_bytes"].max()) == pytest.approx(
        copies, rel=1e-9
    )


def test_same_seed_same_draws(found):
    name = "serving_usd_per_million_tokens"
    np.testing.assert_array_equal(found[name], cost(SHAPES, TRAINING, SERVING, draws=400)[name])
    assert (found[name] != cost(SHAPES, TRAINING, SERVING, draws=400, seed=1)[name]).all()


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"lifetime_tokens": 2e12}, "lifetime_usd"),
        ({"prompt_tokens": 2000.0}, "serving_usd_per_million_tokens"),
        ({"utilization": 0.25}, "serving_usd_per_million_tokens"),
        ({"max_tpot_s": 0.01}, "serving_usd_per_million_tokens"),
        ({"max_gpus": 1}, "serving_usd_per_million_tokens"),
    ],
)
@pytest.mark.few(2)
def test_more_demand_is_never_cheaper(found, changed, name):
    more = cost(SHAPES, TRAINING, serve(**changed), draws=400)
    assert ((more[name] >= found[name] * (1 - 1e-9)) | more[name].isnull()).all()
    assert not (more[name] == found[name]).all()


def test_uncertain_prices_and_lengths_widen_the_band(found):
    spread = serve(
        price_usd_per_gpu_hour=Uncertain(median=2.0, log_sd=0.5), prompt_tokens=Uncertain(median=161.31, log_sd=0.5)
    )
    name = "serving_usd_per_million_tokens"
    wide = cost(SHAPES, TRAINING, spread, draws=400)
    assert (np.log(wide[name]).std("draw") > np.log(found[name]).std("draw")).all()
    training = dataclasses.replace(TRAINING, mfu={"median": 0.4, "log_sd": 0.2})
    assert np.log(cost([OWN], training, SERVING, draws=4000)["train_usd"]).std() == pytest.approx(0.2, rel=0.05)


def test_a_measured_latency_has_bands_of_no_width(table):
    found = cost([OWN], TRAINING, table, draws=20)
    row = bands(found).isel(architecture=0)
    for name in UNITS:
        low, middle, high = row[name].values
        assert low == middle == high or name in ("ttft_s", "usd_per_million_cached_tokens"), name
    assert np.isnan(row["ttft_s"]).all()
    # Of 64 requests an iteration takes 2 + 10 ms.
    assert [float(row[name][1]) for name in ("batch", "n_gpus")] == [64, 1]
    assert float(row["tpot_s"][1]) == pytest.approx(0.012, rel=1e-6)
    assert float(row["serving_usd_per_million_tokens"][1]) == pytest.approx(2 / 0.5 / 3600 / (64 / 0.012) * 1e6, rel=1e-6)
    assert str(row["commonest_limit"].item()) == "max_batch"
    said = costs(bands(found))
    assert "nan" not in said.lower()
    assert "time to first token" not in said
    document = CostDocument.of(bands(found)).as_dict()["architectures"][0]
    assert document["ttft_s"] == {"q05": None, "q50": None, "q95": None}
    assert set(document["step_share"].values()) == {None}, "a table does not say what a step is made of"


def test_a_latency_that_was_not_measured_is_said_to_be_so(table):
    summary = bands(cost([public_shape("llama-3.1-8b")], TRAINING, table, draws=5))
    assert (float(summary["p_feasible"][0]), str(summary["commonest_limit"][0].item())) == (0.0, "speed")
    assert "P(feasible) = 0: it fits, but a step takes forever, or its latency was not measured." in costs(summary)


def test_bands_are_quantiles_of_the_feasible_draws():
    model = public_shape("llama-3.1-70b")
    free = cost([model], TRAINING, SERVING, draws=400)["tpot_s"]
    fastest = cost([model], TRAINING, serve(max_batch=1), draws=400)["tpot_s"]
    found = cost([model], TRAINING, serve(max_tpot_s=float(np.quantile(fastest, 0.5))), draws=400)
    feasible = found["feasible"].values[:, 0]
    assert 0.2 < feasible.mean() < 1.0
    assert (found["tpot_s"].values[feasible] <= float(np.quantile(fastest, 0.5)) * (1 + 1e-9)).all()
    assert (found["tpot_s"].values[feasible] <= free.values[feasible]).all()
    summary = bands(found).isel(architecture=0)
    assert float(summary["p_feasible"]) == feasible.mean()
    for name in ("tpot_s", "serving_usd_per_million_tokens", "n_gpus"):
        values = found[name].values[:, 0]
        assert np.isnan(values[~feasible]).all()
        np.testing.assert_allclose(summary[name], np.quantile(values[feasible], [0.05, 0.5, 0.95]))
    assert str(summary["commonest_limit"].item()) == "max_tpot_s"
    assert "the target for time per output token bounds the batch" in costs(bands(found))


def test_the_commonest_limit_is_that_of_most_draws(found):
    limit = np.full((400, 3), "memory", dtype="U10")
    limit[:150, 0] = "max_tpot_s"
    limit[:250, 1] = "max_tpot_s"
    document = bands(found.assign(limit=(("draw", "architecture"), limit)))["commonest_limit"]
    assert document.values.tolist() == ["memory", "max_tpot_s", "memory"]


@pytest.mark.parametrize(
    ("changed", "limit", "why"),
    [
        ({"max_gpus": 1}, "memory", "it does not fit into the memory of the most GPUs allowed"),
        (
            {"max_tpot_s": 1e-6, "max_gpus": 64},
            "max_tpot_s",
            "not even one request meets the target for time per output token",
        ),
        (
            {"max_ttft_s": 1e-6, "max_gpus": 64},
            "max_ttft_s",
            "not even one request meets the target for time to first token",
        ),
    ],
)
@pytest.mark.few(1)
def test_a_model_that_cannot_be_served_says_why(changed, limit, why):
    model = public_shape("deepseek-v3")
    found = cost([model, OWN], TRAINING, serve(**changed), draws=50)
    of_serving = ["n_gpus", "batch", "tpot_s", "ttft_s", "serving_usd_per_million_tokens", "lifetime_usd", "memory_bytes"]
    summary = bands(found)
    assert float(summary["p_feasible"][0]) == 0.0
    assert str(summary["commonest_limit"][0].item()) == limit
    for name in of_serving:
        assert np.isnan(found[name][:, 0]).all(), name
    assert np.isfinite(found["train_usd"]).all()
    said = costs(summary)
    assert f"{model.name}: P(feasible) = 0: {why}." in said
    assert "nan" not in said.lower()
    row = json.loads(CostDocument.of(summary).as_json())["architectures"][0]
    assert (row["p_feasible"], row["limited_by"]) == (0.0, limit)
    assert row["tpot_s"] == {"q05": None, "q50": None, "q95": None}
    assert row["train_usd"]["q50"] > 0


def test_the_document_is_versioned_json_with_units_in_its_keys(found):
    document = json.loads(CostDocument.of(bands(found)).as_json())
    assert (document["schema"], document["schema_version"], document["band"]) == ("bayesmoe.cost", 1, [0.05, 0.95])
    assert document["bayesmoe_version"] == bayesmoe.__version__
    renamed = {"n_gpus": "n_gpus_per_replica", "batch": "batch_requests"}
    expected = {
        "architecture",
        "p_feasible",
        "limited_by",
        "step_share",
        "training",
        *(renamed.get(name, name) for name in UNITS),
    }
    assert [row["architecture"] for row in document["architectures"]] == [shape.name for shape in SHAPES]
    for row in document["architectures"]:
        assert set(row) == expected
        assert sum(row["step_share"].values()) == pytest.approx(1.0)
        assert row["p_feasible"] == 1.0
        assert all(row[name]["q05"] <= row[name]["q50"] <= row[name]["q95"] for name in expected if "_usd" in name)


def test_the_text_has_a_line_a_quantity_with_a_unit(found):
    lines = costs(bands(found)).splitlines()
    heads = [line for line in lines if line.endswith("bounds the batch.") or line.endswith("bounds it.")]
    assert [line.split(":")[0] for line in heads] == [shape.name for shape in SHAPES]
    weights = [line.split() for line in lines if line.startswith("  weights  ")]
    assert [words[-1] for words in weights] == ["GB"] * 3
    assert any(line.startswith("  serving, per million output tokens") and line.endswith(" USD") for line in lines)
    assert "90% band" in lines[-1]


def test_a_batch_beyond_those_that_were_measured_is_said(found):
    measured = found.attrs["largest_batch"]
    assert measured == read_calibration().attrs["largest_batch"] >= 256
    few = bands(cost(SHAPES, TRAINING, serve(max_batch=int(measured)), draws=20))
    assert "Beyond the" not in costs(few)
    many = costs(bands(cost(SHAPES, TRAINING, serve(max_batch=4096, accelerator="B200-SXM"), draws=20)))
    names = ", ".join(shape.name for shape in SHAPES)
    assert f"Beyond the {measured:,.0f} requests together that were measured at a known load: {names}." in many


def test_no_architecture_is_refused():
    with pytest.raises(InputError) as caught:
        cost([], TRAINING, SERVING)
    assert str(caught.value) == "architectures: is empty; give at least one."


def test_an_unknown_engine_and_a_missing_calibration_are_refused(tmp_path):
    for changed, says in (
        ({"engine": "vLMM"}, "did you mean 'vLLM'"),
        ({"calibration": str(tmp_path / "no.nc")}, "no such file"),
    ):
        with pytest.raises(InputError, match=says):
            cost([OWN], TRAINING, serve(**changed), draws=2)


def test_a_cluster_is_in_the_bands_the_document_and_the_text():
    training = dataclasses.replace(TRAINING, cluster_gpus=8, step_tokens=2.0**20)
    large = public_shape("deepseek-v3")
    found = bands(cost([OWN, large], training, SERVING, draws=50))
    assert found["p_trains"].values.tolist() == [1.0, 0.0]
    fits, not_so = (one.training for one in CostDocument.of(found).architectures)
    assert (fits.p_fits, fits.reason, not_so.p_fits, not_so.layout) == (1.0, None, 0.0, None)
    assert fits.tokens_per_s_per_gpu.q05 < fits.tokens_per_s_per_gpu.q50 < fits.tokens_per_s_per_gpu.q95
    assert (not_so.tokens_per_s_per_gpu.q50, "GB a GPU" in not_so.reason) == (None, True)
    said = costs(found)
    assert "P(fits) = 100%; " in said
    assert "cannot be trained: the leanest layout" in said
    assert CostDocument.of(bands(cost([OWN], TRAINING, SERVING, draws=2))).architectures[0].training is None


def test_a_share_cached_that_may_be_all_leaves_something_to_compute():
    for share in (1.0, UncertainShare(median=0.8, log_sd=0.5)):
        found = cost([OWN], TRAINING, serve(cached_share=share, prefill="either", prompt_tokens=2000.0), draws=200)
        for name in ("serving_usd_per_million_tokens", "usd_per_million_input_tokens", "ttft_s"):
            assert np.isfinite(found[name]).all(), name
