"""Other ways to be sparse: latent experts, a dense model cut into experts and an ensemble, against what they start from."""

from __future__ import annotations

import dataclasses

import pytest
from shape_costs import cache_elements, decode_flop, prefill_flop
from shape_variants import ensemble, moefied, with_latent_experts

from bayesmoe.architecture import Experts, Heads, Linear, Shape, public_models, public_shape

MOE = Shape(
    name="small",
    num_layers=3,
    d_model=10,
    vocab=100,
    attention=Heads(num_heads=2, num_kv_heads=1, head_dim=5),
    d_ff=20,
    experts=Experts(num_experts=8, top_k=2, d_expert=6, d_shared=8),
    num_dense_layers=1,
)
DENSE = Shape(
    name="plain", num_layers=3, d_model=10, vocab=100, attention=Heads(num_heads=2, num_kv_heads=1, head_dim=5), d_ff=24
)
ALL_LAYERS = dataclasses.replace(MOE, num_dense_layers=0)
LONG = dataclasses.replace(
    MOE,
    num_layers=9,
    num_dense_layers=1,
    moe_every=3,
    window_layers=2,
    window_tokens=4,
    linear_layers=3,
    linear=Linear(key_heads=1, value_heads=2, key_dim=3, value_dim=4),
)
SPARSE = [name for name, model in public_models().items() if model.shape.experts is not None]


def test_latent_experts_by_hand():
    # Two layers: 3 x 8 x 10 x 6 become 3 x 8 x 4 x 6 and two projections of 10 x 4.
    latent = with_latent_experts(MOE, 4)
    assert MOE.n_total - latent.n_total == 2 * (1440 - 576 - 80)
    assert MOE.n_active - latent.n_active == 2 * (2 * 180 - 2 * 72 - 80)
    assert latent.n_per_expert == 2 * 72
    assert latent.n_routed == 2 * 576
    assert latent.n_always_on == MOE.n_always_on + 2 * 80
    assert decode_flop(latent, 7) == decode_flop(MOE, 7) - 2 * (MOE.n_active - latent.n_active)


@pytest.mark.parametrize("name", SPARSE)
def test_latent_experts_change_nothing_else(name):
    shape = public_shape(name)
    latent = with_latent_experts(shape, shape.d_model // 4)
    assert latent.n_routed * 4 == shape.n_routed
    assert latent.n_total < shape.n_total
    for same in ("n_attention", "n_dense_ffn", "n_dense", "n_embedding", "num_moe_layers", "name"):
        assert getattr(latent, same) == getattr(shape, same)
    assert cache_elements(latent, 4096) == cache_elements(shape, 4096)


def test_a_wider_latent_costs_more():
    sizes = [with_latent_experts(MOE, width).n_total for width in range(1, 10)]
    assert sizes == sorted(set(sizes))


def test_a_dense_model_cut_into_experts_by_hand():
    # Parts of 3 x 10 x 24 fall into six of 3 x 10 x 4 in each of three layers; a router is 10 x 6.
    cut = moefied(DENSE, 6, 2)
    assert cut.experts == Experts(num_experts=6, top_k=2, d_expert=4)
    assert cut.num_moe_layers == 3
    assert cut.n_per_expert == 3 * 120
    assert cut.n_routed == 3 * 720
    assert cut.n_total == DENSE.n_total + 3 * 60
    assert cut.n_active == DENSE.n_total + 3 * 60 - 3 * 4 * 120
    assert cut.n_dense == DENSE.n_total


@pytest.mark.parametrize(
    ("shape", "num_experts"),
    [(DENSE, 2), (DENSE, 24), (public_shape("llama-2-7b"), 16), (public_shape("llama-3.1-8b"), 64)],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_cut_model_that_uses_all_experts_is_the_dense_one_but_for_routers(shape, num_experts):
    cut = moefied(shape, num_experts, num_experts)
    routers = shape.num_layers * shape.d_model * num_experts
    assert cut.n_total == cut.n_active == shape.n_total + routers
    assert cut.n_dense == shape.n_dense
    assert decode_flop(cut, 100) == pytest.approx(decode_flop(shape, 100) + 2 * routers, rel=1e-12)
    assert prefill_flop(cut, 100) == pytest.approx(prefill_flop(shape, 100) + 100 * 2 * routers, rel=1e-12)
    assert cut.train_flop_per_token(100) == pytest.approx(shape.train_flop_per_token(100) + 6 * routers, rel=1e-12)
    assert cache_elements(cut, 100) == cache_elements(shape, 100)


def test_a_cut_model_has_the_same_size_whatever_it_uses():
    cuts = [moefied(DENSE, 6, top_k) for top_k in (1, 3, 6)]
    assert {cut.n_total for cut in cuts} == {DENSE.n_total + 180}
    assert [cut.n_active for cut in cuts] == [DENSE.n_total + 180 - 3 * unused * 120 for unused in (5, 3, 0)]


@pytest.mark.parametrize("shape", [MOE, ALL_LAYERS, LONG], ids=["dense first", "all layers", "every third"])
def test_an_ensemble_of_one_is_the_model(shape):
    assert ensemble(shape, 1) == shape
    assert ensemble(ensemble(shape, 2), 1) == shape


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("members", [1, 2])
def test_an_ensemble_has_the_parameters_of_the_model(name, members):
    shape = public_shape(name)
    together = ensemble(shape, members)
    for same in ("n_total", "n_dense", "n_routed", "n_always_on", "n_embedding"):
        assert getattr(together, same) == getattr(shape, same)
    assert together.n_active - shape.n_active == (members - 1) * shape.experts.top_k * shape.n_per_expert
    assert together.n_active <= together.n_total


@pytest.mark.parametrize("members", [2, 4])
@pytest.mark.parametrize("shape", [MOE, ALL_LAYERS, LONG], ids=["dense first", "all layers", "every third"])
def test_an_ensemble_works_and_caches_at_most_members_times(shape, members):
    together = ensemble(shape, members)
    for cost in (decode_flop, prefill_flop, Shape.train_flop_per_token, cache_elements):
        for tokens in (1, 10, 5000):
            alone = cost(shape, tokens)
            assert alone < cost(together, tokens) <= members * alone * (1 + 1e-12)


@pytest.mark.parametrize("members", [2, 4])
def test_an_ensemble_caches_members_times_from_the_first_moe_layer_on(members):
    # One layer before it and two from there on, of 2 x 5 elements; then no layer before it.
    assert cache_elements(ensemble(MOE, members), 7) == pytest.approx((1 + 2 * members) * 10 * 7, rel=1e-12)
    assert cache_elements(ensemble(ALL_LAYERS, members), 7) == pytest.approx(3 * members * 10 * 7, rel=1e-12)


def test_an_ensemble_of_moe_layers_every_third_copies_after_the_first():
    # One dense layer and two more come before the first MoE layer, of nine: 3 once and 6 twice.
    together = ensemble(LONG, 2)
    assert together.copies == pytest.approx((3 + 2 * 6) / 9, rel=1e-12)
    assert cache_elements(together, 100) == pytest.approx((4 * 100 * 10 + 2 * 4 * 10 + 3 * 24) * 15 / 9, rel=1e-12)


def test_an_ensembles_work_by_hand():
    # One dense layer of 300 + 600 once; twice two layers of 300, 3 x 10 x 8 shared and two experts of 180, and two routers of 10 x 8.
    # The tolerance leaves open how often routers count, which are 160.
    work = 900 + 2 * 2 * (300 + 240 + 2 * 180) + 160
    assert ensemble(MOE, 2).n_multiplied == pytest.approx(work, abs=160)
    attention = 5 * 7 * 40
    assert decode_flop(ensemble(MOE, 2), 7) == pytest.approx(2 * (work + 2 * 1000) + attention, abs=2 * 160)


def test_a_copy_in_an_ensemble_meets_the_router_of_its_own_member_only():
    """arXiv:2110.03360, section 4.1: W_m has E/M rows."""
    work = 900 + 2 * 2 * (300 + 240 + 2 * 180) + 2 * 2 * 10 * 8 // 2
    assert ensemble(MOE, 2).n_multiplied == pytest.approx(work, rel=1e-12)
