"""Terms of a training step by hand; limits, conservation, and that faster hardware is never slower."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.architecture import Family, Shape, public_shape
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training.coefficients import NAMES, PRIOR, log_design
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.step import GROUPS, TERMS, Chip, Slopes, Software, seconds_by_term, step_terms
from bayesmoe.costs.training.throughput import fastest, seconds_per_token
from bayesmoe.costs.training.trained_model import TrainedModel, trained_family, trained_shapes
from bayesmoe.specs import from_mapping

CHIP = Chip(1e15, 5e14, 1e12, 1e11, 1e10, 8.0)
MOE = {
    "num_layers": 4,
    "num_dense_layers": 1,
    "d_model": 100,
    "d_ff": 300,
    "vocab": 1000,
    "attention": {"kind": "heads", "num_heads": 10, "num_kv_heads": 5, "head_dim": 10},
    "experts": {"num_experts": 8, "top_k": 2, "d_expert": 50},
}
LAYOUT = Layout(
    num_gpus=64.0, global_batch=128.0, micro_batch=2.0, sequence_tokens=1000.0, tensor=2.0, pipeline=2.0, expert=4.0
)


def model_of(shape: dict, sequence: float = 1000.0) -> TrainedModel:
    return trained_shapes([from_mapping(shape, Shape)], sequence)


def slopes(value: float = 1.0) -> Slopes:
    one = np.full((1, 1), value)
    return Slopes(tuple(one for _ in TERMS), one, one, one, one, np.ones((1, 1)))


def terms_of(model: TrainedModel, layout: Layout = LAYOUT, chip: Chip = CHIP) -> dict[str, float]:
    return {name: float(np.ravel(term)[0]) for name, term in zip(TERMS, step_terms(model, layout, chip), strict=True)}


def test_terms_by_hand():
    found = terms_of(model_of(MOE))
    # Three MoE layers of two experts of three matrices, forward and twice backward.
    routed = 6 * 3 * 2 * 3 * 100 * 50
    assert found["experts"] == pytest.approx(routed / 1e15)
    assert found["narrow_experts"] == pytest.approx(routed / 1e15 / 50)
    # A pass of 2 x 1,000 tokens on 2 tensor ranks: 1,000 a GPU, twice 1,000 copies to 8 experts from each of 4 ranks.
    assert found["few_rows"] == pytest.approx(routed / 1e15 / (1000 * 2 * 4 / 8))
    assert found["attention"] == pytest.approx(3 * 4 * 4 * 100 * 500.5 / 5e14)
    assert found["residual"] == pytest.approx(4 * 100 / 1e12)
    # q, k, v, o of 100, 50, 50, 100 in four layers; gate and up of 300 in the dense one.
    assert found["activation"] == pytest.approx((4 * 300 + 600) / 1e12)
    assert found["expert_activation"] == pytest.approx(3 * 2 * 2 * 50 / 1e12)
    assert found["permutation"] == pytest.approx(3 * 2 * 100 / 1e12)
    assert found["exchange"] == pytest.approx(8 * 3 * 2 * 100 * 0.75 / 1e11)
    assert found["exchange_between_nodes"] == 0.0
    assert found["tensor_exchange"] == pytest.approx(2 * 4 * 100 / 1e11)
    assert found["layers"] == pytest.approx(4 / 1000)
    assert found["local_experts"] == pytest.approx(3 * 8 / 4 / 1000)


def test_sixteen_replicas_send_gradients_over_the_network_once_a_step():
    model = model_of(MOE)
    routed = 3 * 8 * 3 * 100 * 50
    dense = float(model.n_total[0]) - routed
    kept = (dense / 2 + routed / 4) / 2
    assert terms_of(model)["gradients"] == pytest.approx(kept / 1e10 * 64 / 128000)


def test_experts_beyond_a_node_cross_the_network():
    wide = {**MOE, "experts": {**MOE["experts"], "num_experts": 32}}
    found = terms_of(model_of(wide), LAYOUT._replace(expert=32.0))
    assert found["exchange_between_nodes"] == pytest.approx(8 * 3 * 2 * 100 * 0.75 / 1e10)


@pytest.mark.parametrize(
    "name", ["mixtral-8x7b", "deepseek-v3", "gpt-oss-120b", "qwen3.5-397b-a17b", "llama-3.1-8b", "llama-4-maverick"]
)
def test_flop_are_those_of_the_shape(name):
    shape = public_shape(name)
    model = trained_shapes([shape], 4096.0)
    assert float(model.flop[0]) == pytest.approx(shape.train_flop_per_token(4096.0), rel=1e-12)
    assert float(model.n_total[0]) == shape.n_total + shape.n_embedding


def test_one_gpu_exchanges_nothing():
    found = terms_of(model_of(MOE), Layout(1.0, 8.0, 1.0, 1000.0))
    assert [
        found[name] for name in ("exchange", "exchange_between_nodes", "tensor_exchange", "gradients", "gathered_weights")
    ] == [0.0] * 5
    assert float(Layout(1.0, 8.0, 1.0, 1000.0).bubble) == 0.0


def test_a_dense_model_has_no_experts():
    dense = {name: value for name, value in MOE.items() if name not in ("experts", "num_dense_layers")}
    found = terms_of(model_of(dense))
    assert {
        name
        for name in (*GROUPS["experts"], *GROUPS["routing"], *GROUPS["all_to_all"], "moe_layers", "local_experts")
        if found[name]
    } == set()


def test_one_expert_in_a_family_is_its_dense_model():
    family = Family(moe_share=2 / 3, top_k=2, granularity=4)
    one, many = (
        trained_family(1e9, np.array([count]), family, mu=0.045, moe_layer_share=1.0, sequence_tokens=4096.0)
        for count in (1, 64)
    )
    assert float(one.routed_flop[0]) == float(one.n_routed[0]) == float(one.top_k[0]) == 0.0
    assert float(one.dense_flop[0]) == pytest.approx(6e9)
    assert float(many.dense_flop[0] + many.routed_flop[0]) == pytest.approx(6e9 * family.active_ratio(64))
    # The dense feed-forward part that experts replace is as wide as G of them.
    assert float(one.inner_elements[0] - many.inner_elements[0]) == pytest.approx(float(many.routed_elements[0]) * 4 / 2)


@pytest.mark.parametrize("rate", range(5))
def test_no_faster_chip_is_slower(rate):
    better = CHIP._replace(**{Chip._fields[rate]: 2.0 * CHIP[rate]})
    model, layout = model_of(MOE), LAYOUT._replace(expert=8.0)
    before, after = (np.array(list(terms_of(model, layout, chip).values())) for chip in (CHIP, better))
    assert (after <= before).all()


def test_each_rate_counts_somewhere():
    wide = {**MOE, "experts": {**MOE["experts"], "num_experts": 32}}
    model, layout = model_of(wide), LAYOUT._replace(expert=32.0)
    total = sum(terms_of(model, layout).values())
    for rate in range(5):
        better = CHIP._replace(**{Chip._fields[rate]: 2.0 * CHIP[rate]})
        assert sum(terms_of(model, layout, better).values()) < total, Chip._fields[rate]


def test_parts_add_up_to_the_step():
    model = model_of(MOE)
    layout = LAYOUT._replace(recompute=1.0, virtual=2.0)
    parts = seconds_by_term(step_terms(model, layout, CHIP), layout, slopes(0.3))
    whole = seconds_per_token(model, layout, CHIP, slopes(0.3))
    assert float(np.ravel(sum(parts.values()))[0]) == pytest.approx(float(whole[0, 0]), rel=1e-6)
    assert float(np.ravel(parts["uneven_routing"])[0]) > 0.0
    even = seconds_per_token(model, layout, CHIP, slopes(0.3), learned_router=0.0)
    assert float(even[0, 0]) == pytest.approx(float(whole[0, 0] - np.ravel(parts["uneven_routing"])[0]), rel=1e-6)


def test_the_bubble_is_that_of_interleaved_passes():
    # 16 replicas of 128 sequences in passes of 2: four passes through two stages.
    assert float(LAYOUT.micro_batches) == 4.0
    assert float(LAYOUT.bubble) == pytest.approx(1 / 4)
    assert float(LAYOUT._replace(virtual=2.0).bubble) == pytest.approx(1 / 8)


def test_slopes_are_products_of_coefficients():
    theta = np.log([median for median, _ in PRIOR.values()])
    value = dict(zip(NAMES, np.exp(theta), strict=True))
    found = dict(
        zip(
            TERMS,
            np.exp(log_design(Software(age_years=2.0, full_graph=1.0, partial_graph=0.0, overlap=1.0), "fp8") @ theta),
            strict=True,
        )
    )
    assert found["narrow_matmul"] == pytest.approx(
        value["matmul"] * value["matmul_fp8"] * value["matmul_width"] * value["year"] ** 2
    )
    old = (value["year"] * value["year_of_experts"]) ** 2
    assert found["exchange"] == pytest.approx(value["exchange"] * value["overlap"] * value["full_graph"] * old)
    assert found["attention"] == pytest.approx(value["attention"] * value["year"] ** 2)


def test_narrow_precisions_speed_up_matrices_only():
    h100 = accelerator_named("H100-SXM")
    model = model_of(MOE)
    wide, narrow = (terms_of(model, chip=Chip.of(h100, precision)) for precision in ("bf16", "fp8"))
    faster = {name for name in TERMS if narrow[name] < wide[name]}
    assert faster == {*GROUPS["matmul"], *GROUPS["experts"]}


def test_many_draws_of_many_configurations_at_once():
    rng = np.random.default_rng(0)
    draws, count = 50, 70
    models = trained_family(
        np.geomspace(1e8, 1e11, count),
        np.tile([1, 64], count // 2),
        Family(),
        mu=0.045,
        moe_layer_share=0.5,
        sequence_tokens=4096.0,
    )
    some = Slopes(
        tuple(np.exp(rng.standard_normal((draws, 1))) for _ in TERMS),
        *(np.exp(rng.standard_normal((draws, 1))) for _ in range(3)),
        np.exp(rng.standard_normal((draws, count))),
        np.exp(rng.standard_normal((draws, count))),
    )
    layout = Layout(
        64.0, 256.0, np.where(np.arange(count) % 3, 1.0, 2.0), 4096.0, pipeline=2.0, expert=8.0, recompute_some=1.0
    )
    found = np.asarray(seconds_per_token(models, layout, CHIP, some))
    assert found.shape == (draws, count)
    one = TrainedModel(*(np.broadcast_to(leaf, (count,))[7:8] for leaf in models))
    alone = some._replace(
        terms=tuple(slope[3:4] for slope in some.terms),
        recompute=some.recompute[3:4],
        recompute_some=some.recompute_some[3:4],
        bubble=some.bubble[3:4],
        unevenness=some.unevenness[3:4, 7:8],
        slowdown=some.slowdown[3:4, 7:8],
    )
    layout = layout._replace(micro_batch=1.0)
    parts = seconds_by_term(step_terms(one, layout, CHIP), layout, alone)
    assert float(np.ravel(sum(parts.values()))[0]) == pytest.approx(float(found[3, 7]), rel=1e-5)


def test_the_fastest_layout_that_fits():
    seconds = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    fits = np.array([[True, False, True], [True, True, True], [False, False, False]])
    best, which = fastest(seconds, fits)
    np.testing.assert_array_equal(best, [2.0, 1.0, np.inf])
    np.testing.assert_array_equal(which, [2, 1, -1])
    assert fastest(np.zeros((2, 0)), np.zeros((2, 0), bool))[1].tolist() == [-1, -1]
