"""Shapes: Yun's published ratios, fine-grained families and shape formulas worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.architecture import (
    FLOP_RULES,
    Family,
    gated_ffn_parameters,
    num_layers,
    parameters_from_shape,
    width_times_layers,
)

YUN = Family()
FINE = Family(moe_share=0.6, top_k=4.0, granularity=2.0, shared_experts=1.0)


@pytest.mark.parametrize(("num_experts", "ratio"), [(4, 2.0), (8, 3.33333333333), (16, 6.0), (32, 11.3333333333)])
def test_total_over_dense_is_yuns(num_experts, ratio):
    """arXiv:2404.02852, section 4.2 and appendix C."""
    assert YUN.total_ratio(num_experts) == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("num_experts", [4, 8, 16, 32])
def test_active_over_dense_is_yuns_at_every_expert_count(num_experts):
    """arXiv:2404.02852, section 2.1."""
    assert YUN.active_ratio(num_experts) == pytest.approx(4 / 3, rel=1e-12)


@pytest.mark.parametrize("family", [YUN, FINE])
def test_a_dense_model_is_its_own_backbone(family):
    assert family.total_ratio(1) == family.active_ratio(1) == 1.0
    assert family.routed_ratio(1) == 0.0
    run = family.run(3e9, 5e10, 1)
    layers, d_model = run.pop("num_layers"), run.pop("d_model")
    assert 12 * d_model**2 * layers == pytest.approx(3e9, rel=1e-12)
    assert d_model * layers == pytest.approx(0.045 * 3e9 ** (2 / 3), rel=1e-12)
    assert run == {
        "n_dense": 3e9,
        "n_active": 3e9,
        "n_total": 3e9,
        "tokens": 5e10,
        "num_experts": 1,
        "top_k": 1.0,
        "granularity": 1.0,
        "shared_experts": 0.0,
        "activation_ratio": 1.0,
        "train_flop": 6 * 3e9 * 5e10,
    }


def test_a_run_of_a_fine_grained_family_by_hand():
    # 0.4 of the backbone stays; 0.6 is swapped for experts of half the width: (32 + 1)/2 in all, (4 + 1)/2 a token.
    run = FINE.run(1e9, 2e10, 32)
    assert run["n_total"] == pytest.approx(1e9 * (0.4 + 0.6 * 16.5), rel=1e-12)
    assert run["n_active"] == pytest.approx(1e9 * (0.4 + 0.6 * 2.5), rel=1e-12)
    assert (run["top_k"], run["granularity"], run["shared_experts"]) == (4.0, 2.0, 1.0)
    assert run["activation_ratio"] == pytest.approx(5 / 33, rel=1e-12)
    assert run["train_flop"] == pytest.approx(6 * 1.9e9 * 2e10, rel=1e-12)
    assert 12 * run["d_model"] ** 2 * run["num_layers"] == pytest.approx(1e9, rel=1e-12)
    assert FINE.routed_ratio(32) == pytest.approx(0.6 * 16, rel=1e-12)


@pytest.mark.parametrize("family", [YUN, FINE])
def test_ratios_take_arrays(family):
    counts = np.array([1, 8, 64])
    for ratio in (family.total_ratio, family.active_ratio, family.routed_ratio):
        np.testing.assert_array_equal(ratio(counts), [ratio(int(count)) for count in counts])


@pytest.mark.parametrize(("rule", "flop"), [(FLOP_RULES[0], 6 * 4 / 3 * 2e9), (FLOP_RULES[1], 6 * 2e9)])
def test_training_flop_a_token(rule, flop):
    assert YUN.train_flop_per_token(2e9, 8, rule) == pytest.approx(flop, rel=1e-12)
    assert YUN.train_flop_per_token(2e9, 1, rule) == 6 * 2e9


@pytest.mark.parametrize(
    ("d_model", "layers", "n_dense", "mu"),
    [
        (768, 12, 81_395_712, 0.0490691025595),
        (896, 20, 184_647_680, 0.0552639727529),
        (1024, 24, 289_406_976, 0.0561701005692),
        (1536, 24, 679_477_248, 0.0476964267731),
    ],
)
def test_width_times_layers_is_that_of_yuns_models(d_model, layers, n_dense, mu):
    """arXiv:2404.02852, Table 1 with depths corrected from the parameter counts."""
    assert width_times_layers(n_dense, mu) == pytest.approx(d_model * layers, rel=1e-6)


@pytest.mark.parametrize(("n_dense", "mu"), [(1e8, 0.038), (6.1e9, 0.045), (1e12, 0.056)])
def test_layers_and_width_make_up_the_backbone(n_dense, mu):
    layers = num_layers(n_dense, mu)
    d_model = width_times_layers(n_dense, mu) / layers
    assert 12 * d_model**2 * layers == pytest.approx(n_dense, rel=1e-12)


def test_layers_of_a_plain_transformer():
    # 24 layers of width 1536: 12 x 1536^2 x 24 parameters, mu = 1536 x 24 / N^(2/3).
    n_dense = 12 * 1536**2 * 24
    assert num_layers(n_dense, 1536 * 24 / n_dense ** (2 / 3)) == pytest.approx(24, rel=1e-12)


def test_a_gated_feed_forward_part_has_three_matrices():
    assert gated_ffn_parameters(768, 2048) == 3 * 768 * 2048


def test_fine_grained_shape_by_hand():
    shape = parameters_from_shape(
        d_model=768, num_layers=12, d_ff=3072, num_moe_layers=11, num_experts=48, top_k=4, d_expert=768, d_shared=384
    )
    # A layer: 4 x 768^2 = 2,359,296 of attention and 3 x 768 x 3072 = 7,077,888 of feed-forward.
    assert shape["n_dense"] == 12 * (2_359_296 + 7_077_888)
    # Eleven layers keep their attention; an expert is 3 x 768 x 768 = 1,769,472, the shared one half of that.
    kept = 12 * 2_359_296 + 7_077_888
    assert shape["n_active"] == kept + 11 * (4 * 1_769_472 + 884_736)
    assert shape["n_total"] == kept + 11 * (48 * 1_769_472 + 884_736)


@pytest.mark.parametrize(
    ("d_model", "num_experts", "n_active", "n_total"),
    [(1024, 32, 321_030_144, 5_001_873_408), (1664, 4, 1_103_142_144, 3_046_907_136)],
)
def test_ludziejewskis_shape(d_model, num_experts, n_active, n_total):
    """arXiv:2502.05172, appendix A: 64 of width a block, width 3 d of an expert, top-1; its counts hold 50,257 embeddings twice."""
    shape = parameters_from_shape(
        d_model=d_model,
        num_layers=d_model // 64,
        d_ff=3 * d_model,
        num_moe_layers=d_model // 64,
        num_experts=num_experts,
        top_k=1,
        d_expert=3 * d_model,
        d_shared=0,
    )
    embeddings = 2 * d_model * 50_257
    assert shape["n_active"] + embeddings == pytest.approx(n_active, rel=1e-6)
    assert shape["n_total"] + embeddings == pytest.approx(n_total, rel=1e-6)


def test_a_dense_row_ignores_expert_columns():
    shape = parameters_from_shape(
        d_model=768, num_layers=12, d_ff=3072, num_moe_layers=11, num_experts=1, top_k=1, d_expert=999, d_shared=999
    )
    assert shape["n_dense"] == shape["n_active"] == shape["n_total"] == 12 * 9_437_184


@pytest.mark.parametrize("family", [YUN, FINE])
def test_family_and_shape_count_alike(family):
    # A shape whose feed-forward share is the family's: 3 d d_ff beside attention of 4 d^2, all layers MoE.
    d_model, layers = 512, 8
    d_ff = 4 / 3 * d_model * family.moe_share / (1 - family.moe_share)
    shape = parameters_from_shape(
        d_model=d_model,
        num_layers=layers,
        d_ff=d_ff,
        num_moe_layers=layers,
        num_experts=16,
        top_k=family.top_k,
        d_expert=d_ff / family.granularity,
        d_shared=family.shared_experts * d_ff / family.granularity,
    )
    run = family.run(shape["n_dense"], 0.0, 16)
    assert run["n_active"] == pytest.approx(shape["n_active"], rel=1e-12)
    assert run["n_total"] == pytest.approx(shape["n_total"], rel=1e-12)
