"""Models as their server sees them: exact shapes field by field, and families near the shapes that they stand for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from shape_costs import cache_elements, prefill_flop
from shape_variants import ensemble

from bayesmoe.architecture import Experts, Family, Heads, Linear, Shape, public_models, shape_of_size
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.serving import ServedModel, Traffic, served_family, served_shapes
from bayesmoe.costs.serving.step import cache_bytes, prompt_terms, weight_bytes

PUBLIC = {name: model.shape for name, model in public_models().items()}
MIXED = Shape(
    num_layers=8,
    d_model=10,
    vocab=100,
    attention=Heads(num_heads=4, num_kv_heads=2, head_dim=5),
    d_ff=20,
    experts=Experts(num_experts=8, top_k=2, d_expert=6, d_shared=4),
    num_dense_layers=2,
    window_layers=3,
    window_tokens=16,
    linear_layers=1,
    linear=Linear(key_heads=1, value_heads=2, key_dim=3, value_dim=4),
)
YUN = {"family": Family(), "mu": 0.045, "cache_share": 1.0, "moe_layer_share": 0.5}


def one(shape):
    return ServedModel(*(float(column[0]) for column in served_shapes([shape])))


def family(n_dense, num_experts, **changes):
    return served_family(np.asarray(n_dense, float), np.asarray(num_experts), **{**YUN, **changes})


def test_a_shape_by_hand():
    # Attention: queries and outputs 10 x 20 each, keys and values 10 x 10 each, in seven layers; a linear layer has
    # 10 (6 + 16 + 4) + 80. Feed-forward: 600 in two layers; six of 8 x 180 routed, 120 shared and 80 of router.
    attention = 7 * 600 + 340
    assert one(MIXED) == ServedModel(
        n_dense=attention + 8 * 600,
        n_active=attention + 2 * 600 + 6 * (2 * 180 + 200),
        n_total=attention + 2 * 600 + 6 * (8 * 180 + 200),
        n_routed=6 * 8 * 180,
        n_attention=attention,
        n_head=1000,
        n_embedding=2000,
        num_experts=8,
        top_k=2,
        num_layers=8,
        num_moe_layers=6,
        d_model=10,
        # Four layers see the whole context, 2 x 2 x 5 elements each; three a window of 16; one has a state of 2 x 3 x 4.
        cache_per_token=80,
        window_cache_per_token=60,
        window_tokens=16,
        state=24,
        cache_shards=2,
        attention_flop=4 * 4 * 4 * 5,
        window_attention_flop=3 * 4 * 4 * 5,
        decode_attention_flop=4 * 4 * 4 * 5,
        window_decode_attention_flop=3 * 4 * 4 * 5,
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_model_is_served_as_its_shape(name):
    shape = PUBLIC[name]
    model = one(shape)
    for same in (
        "n_dense",
        "n_total",
        "n_active",
        "n_routed",
        "n_attention",
        "n_head",
        "n_embedding",
        "num_layers",
        "num_moe_layers",
        "d_model",
    ):
        assert getattr(model, same) == getattr(shape, same)
    assert (model.num_experts, model.top_k) == (
        (1, 1) if shape.experts is None else (shape.experts.num_experts, shape.experts.top_k)
    )
    assert model.cache_shards == shape.attention.cache_shards
    for context in (1.0, 500.0, 1e5):
        found = float(cache_bytes(model, Traffic(1.0, 1.0, 0.5), context))
        assert found == pytest.approx(0.5 * cache_elements(shape, context), rel=1e-12)
    assert weight_bytes(model, "fp8") == shape.n_total + 2.0 * shape.n_embedding


@pytest.mark.parametrize("name", [name for name, shape in PUBLIC.items() if not shape.window_layers])
def test_a_long_prompt_takes_the_flop_of_its_shape(name):
    shape, chip = PUBLIC[name], accelerator_named("H100-SXM")
    always, routed = map(float, prompt_terms(one(shape), 1.0, Traffic(8192.0, 1.0), chip, "bf16"))
    # Narrow experts count for more than their FLOP.
    seconds = always + routed * (1.0 if shape.experts is None else (shape.experts.d_expert / 2048.0) ** 0.5)
    # One token's head and the linear layers are left out.
    assert seconds * chip.peak_flop_per_s == pytest.approx(prefill_flop(shape, 8192.0), rel=0.05)


def test_shapes_keep_their_order():
    shapes = list(PUBLIC.values())
    stacked = served_shapes(shapes)
    assert all(column.shape == (len(shapes),) and column.dtype == float for column in stacked)
    for i, shape in enumerate(shapes):
        assert ServedModel(*(float(column[i]) for column in stacked)) == one(shape)


def test_an_ensemble_works_and_caches_for_all_members():
    together, alone = one(ensemble(MIXED, 2)), one(MIXED)
    copies = ensemble(MIXED, 2).copies
    assert together.top_k == 2 * alone.top_k
    assert together.n_active == ensemble(MIXED, 2).n_multiplied
    for same in ("n_total", "n_routed", "n_embedding", "num_experts", "cache_shards"):
        assert getattr(together, same) == getattr(alone, same)
    for copied in ("cache_per_token", "window_cache_per_token", "state", "attention_flop"):
        assert getattr(together, copied) == pytest.approx(copies * getattr(alone, copied), rel=1e-12)


@pytest.mark.parametrize("num_experts", [1, 8, 64])
@pytest.mark.parametrize("size", [1e9, 1e10, 1e11])
def test_a_family_is_near_the_shapes_of_its_sizes(size, num_experts):
    shape = dataclasses.replace(shape_of_size(size, num_experts), vocab=0)
    exact, near = one(shape), ServedModel(*map(float, family(shape.n_dense, num_experts)))
    # Widths are multiples of 64, depths whole and even; a family has no routers, and heads of twice the width.
    for name in ("n_dense", "n_active", "n_total", "n_routed"):
        assert getattr(near, name) == pytest.approx(getattr(exact, name), rel=0.03)
    for name in ("num_layers", "num_moe_layers", "d_model", "cache_per_token", "attention_flop", "n_attention"):
        assert getattr(near, name) == pytest.approx(getattr(exact, name), rel=0.1)
    for name in ("num_experts", "top_k", "n_head", "n_embedding", "window_cache_per_token", "state"):
        assert getattr(near, name) == getattr(exact, name)


def test_one_expert_is_the_backbone():
    model = family(3e9, 1)
    assert model.n_dense == model.n_active == model.n_total == 3e9
    assert model.n_routed == model.num_moe_layers == 0
    assert model.num_experts == model.top_k == 1


@pytest.mark.parametrize("mu", [0.038, 0.045, 0.056])
def test_layers_and_width_of_a_family_follow_mu(mu):
    model = family(3e9, 16, mu=mu, cache_share=0.25, moe_layer_share=0.4)
    assert model.d_model * model.num_layers == pytest.approx(mu * 3e9 ** (2 / 3), rel=1e-12)
    assert 12 * model.d_model**2 * model.num_layers == pytest.approx(3e9, rel=1e-12)
    assert model.cache_per_token == pytest.approx(0.25 * 2 * model.d_model * model.num_layers, rel=1e-12)
    assert model.attention_flop == pytest.approx(4 * model.d_model * model.num_layers, rel=1e-12)
    assert model.num_moe_layers == pytest.approx(0.4 * model.num_layers, rel=1e-12)


def test_a_fine_grained_family_keeps_its_ratios():
    fine = Family(moe_share=0.6, top_k=4.0, granularity=2.0, shared_experts=1.0)
    model = family(1e9, 32, family=fine)
    # 0.4 of the backbone stays; 0.6 is swapped for experts of half the width: (32 + 1)/2 in all, 32/2 routed, (4 + 1)/2 a token.
    assert model.n_total == pytest.approx(1e9 * (0.4 + 0.6 * 16.5), rel=1e-12)
    assert model.n_routed == pytest.approx(1e9 * 0.6 * 16, rel=1e-12)
    assert model.n_active == pytest.approx(1e9 * (0.4 + 0.6 * 2.5), rel=1e-12)
    assert model.top_k == 4


def test_families_take_arrays():
    sizes, counts = np.array([1e8, 1e10])[:, None], np.array([1, 4, 32])
    stacked = family(sizes, counts)
    for i, j in np.ndindex(2, 3):
        alone = family(sizes[i, 0], counts[j])
        for whole, part in zip(stacked, alone, strict=True):
            assert np.broadcast_to(whole, (2, 3))[i, j] == pytest.approx(float(part), rel=1e-14)
