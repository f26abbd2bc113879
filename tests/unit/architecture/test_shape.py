"""Shapes: every count worked by hand, counted again layer by layer, and summed again position by position."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from shape_costs import cache_elements, decode_flop, prefill_flop

from bayesmoe.architecture import Experts, Heads, Latent, Linear, Shape, public_models
from bayesmoe.errors import InputError

DENSE_FIRST = Shape(
    num_layers=3,
    d_model=10,
    vocab=100,
    attention=Heads(num_heads=2, num_kv_heads=1, head_dim=5),
    d_ff=20,
    experts=Experts(num_experts=4, top_k=2, d_expert=6, d_shared=8),
    num_dense_layers=1,
)
EVERY_SECOND = Shape(
    num_layers=5,
    d_model=10,
    vocab=7,
    attention=Latent(num_heads=2, query_rank=3, kv_rank=4, rope_dim=2, nope_dim=3, value_dim=6),
    d_ff=30,
    experts=Experts(num_experts=6, top_k=1, d_expert=10, latent_dim=5),
    moe_every=2,
    tied_embeddings=True,
)
WINDOWED = Shape(
    num_layers=6,
    d_model=8,
    vocab=50,
    attention=Heads(num_heads=4, num_kv_heads=2, head_dim=2),
    d_ff=16,
    window_layers=2,
    window_tokens=3,
    linear_layers=1,
    linear=Linear(key_heads=1, value_heads=2, key_dim=3, value_dim=4),
)
BY_HAND = {"dense first": DENSE_FIRST, "every second": EVERY_SECOND, "windowed": WINDOWED}
SHAPES = BY_HAND | {
    "dense first, then every third": dataclasses.replace(DENSE_FIRST, num_layers=11, num_dense_layers=2, moe_every=3),
    "all layers": dataclasses.replace(DENSE_FIRST, d_ff=None, num_dense_layers=0),
    "ensemble": dataclasses.replace(DENSE_FIRST, members=2),
    **{name: model.shape for name, model in public_models().items()},
}


def recounted(shape: Shape) -> tuple[int, int, int]:
    """n_total, n_active and routed parameters, from what each layer holds."""
    total = active = routed = 0
    for layer in range(shape.num_layers):
        attention = shape.linear if layer < shape.linear_layers else shape.attention
        always = attention.parameters(shape.d_model)
        experts, since = shape.experts, layer - shape.num_dense_layers + 1
        if experts is not None and since > 0 and since % shape.moe_every == 0:
            width = experts.latent_dim or shape.d_model
            one = 3 * width * experts.d_expert
            always += shape.d_model * (experts.num_experts + 3 * experts.d_shared + 2 * (experts.latent_dim or 0))
            total += experts.num_experts * one
            routed += experts.num_experts * one
            active += shape.members * experts.top_k * one
        else:
            always += 3 * shape.d_model * shape.d_ff
        total += always
        active += always
    return total, active, routed


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        (
            "dense first",
            {
                "num_moe_layers": 2,
                # A layer: 10 x 10 of queries and of outputs, 10 x 5 of keys and of values.
                "n_attention": 3 * 300,
                "n_dense_ffn": 3 * 10 * 20,
                # Two routers of 10 x 4 and two shared experts of 3 x 10 x 8.
                "n_always_on": 2 * (40 + 240),
                "n_per_expert": 2 * 3 * 10 * 6,
                "n_routed": 4 * 360,
                "n_total": 900 + 600 + 560 + 1440,
                "n_active": 900 + 600 + 560 + 2 * 360,
                "n_multiplied": 2780,
                "n_dense": 900 + 3 * 600,
                "n_head": 1000,
                "n_embedding": 2000,
            },
        ),
        (
            "every second",
            {
                "num_moe_layers": 2,
                # Down 10 x 9, queries up 3 x 2 x 5, keys and values up 4 x 2 x 9, outputs 2 x 6 x 10.
                "n_attention": 5 * (90 + 30 + 72 + 120),
                "n_dense_ffn": 3 * 3 * 10 * 30,
                # Two routers of 10 x 6, and projections of 10 x 5 down and up.
                "n_always_on": 2 * (60 + 100),
                "n_per_expert": 2 * 3 * 5 * 10,
                "n_routed": 6 * 300,
                "n_total": 1560 + 2700 + 320 + 1800,
                "n_active": 1560 + 2700 + 320 + 300,
                "n_multiplied": 4880,
                "n_dense": 1560 + 5 * 900,
                "n_head": 70,
                "n_embedding": 70,
            },
        ),
        (
            "windowed",
            {
                "num_moe_layers": 0,
                "full_layers": 3,
                # Five layers of 8 x 24; the linear one has 8 x (6 + 16 + 4) in and 8 x 8 out.
                "n_attention": 5 * 192 + 208 + 64,
                "n_dense_ffn": 6 * 3 * 8 * 16,
                "n_always_on": 0,
                "n_per_expert": 0,
                "n_routed": 0,
                "n_total": 1232 + 2304,
                "n_active": 3536,
                "n_multiplied": 3536,
                "n_dense": 3536,
                "n_head": 400,
                "n_embedding": 800,
            },
        ),
    ],
)
def test_counts_by_hand(name, by_hand):
    assert {count: getattr(BY_HAND[name], count) for count in by_hand} == by_hand


@pytest.mark.parametrize(
    ("num_layers", "num_dense_layers", "moe_every", "num_moe_layers"),
    [(12, 0, 1, 12), (12, 0, 2, 6), (13, 0, 2, 6), (12, 1, 1, 11), (12, 11, 1, 1), (11, 2, 3, 3), (10, 2, 3, 2)],
)
def test_dense_layers_come_first_and_then_moe_layers_every_so_often(num_layers, num_dense_layers, moe_every, num_moe_layers):
    shape = dataclasses.replace(DENSE_FIRST, num_layers=num_layers, num_dense_layers=num_dense_layers, moe_every=moe_every)
    assert shape.num_moe_layers == num_moe_layers
    assert shape.n_per_expert == num_moe_layers * 180
    assert shape.n_dense_ffn == (num_layers - num_moe_layers) * 600


def test_a_backbone_without_a_dense_width_has_the_width_that_a_token_uses():
    experts = Experts(num_experts=4, top_k=2, d_expert=6, d_shared=3)
    shape = dataclasses.replace(DENSE_FIRST, experts=experts, d_ff=None, num_dense_layers=0)
    assert shape.n_dense == 900 + 3 * 3 * 10 * (2 * 6 + 3)


@pytest.mark.parametrize("name", SHAPES)
def test_all_parameters_are_those_of_the_layers(name):
    shape = SHAPES[name]
    assert (shape.n_total, shape.n_active, shape.n_routed) == recounted(shape)
    assert shape.n_total == shape.n_attention + shape.n_dense_ffn + shape.n_always_on + shape.n_routed
    assert 0 < shape.n_active <= shape.n_total
    assert (shape.n_active == shape.n_total) == (shape.experts is None or name == "ensemble")


def test_experts_that_are_all_used_and_as_wide_as_the_dense_part_are_the_dense_model_but_for_routers():
    experts = Experts(num_experts=2, top_k=2, d_expert=7, d_shared=6)
    moe = dataclasses.replace(DENSE_FIRST, experts=experts)
    dense = dataclasses.replace(DENSE_FIRST, experts=None, num_dense_layers=0)
    routers = 2 * 10 * 2
    assert moe.n_total == moe.n_active == dense.n_total + routers == 2700 + routers
    assert moe.n_dense == dense.n_dense
    assert decode_flop(moe, 9) == decode_flop(dense, 9) + 2 * routers
    assert prefill_flop(moe, 9) == prefill_flop(dense, 9) + 9 * 2 * routers
    assert moe.train_flop_per_token(9) == pytest.approx(dense.train_flop_per_token(9) + 3 * 2 * routers, rel=1e-12)


def test_a_dense_model_uses_all_it_has():
    dense = dataclasses.replace(DENSE_FIRST, experts=None, num_dense_layers=0)
    assert dense.n_total == dense.n_active == dense.n_dense == 2700
    assert dense.n_routed == dense.n_always_on == dense.n_per_expert == 0


@pytest.mark.parametrize(
    ("name", "context", "elements"),
    [
        ("dense first", 10, 3 * 10 * 10),
        ("every second", 10, 5 * 6 * 10),
        # Three layers see all tokens and two at most three, of 8 elements each; the state is 2 x 3 x 4.
        ("windowed", 2, 3 * 16 + 2 * 16 + 24),
        ("windowed", 3, 3 * 24 + 2 * 24 + 24),
        ("windowed", 10, 3 * 80 + 2 * 24 + 24),
        ("windowed", 0, 24),
    ],
)
def test_cache_by_hand(name, context, elements):
    assert cache_elements(BY_HAND[name], context) == elements


def test_cache_of_each_kind_of_layer_by_hand():
    assert WINDOWED.cache_elements_per_token == 3 * 8
    assert WINDOWED.window_cache_elements_per_token == 2 * 8
    assert WINDOWED.state_elements == 24


@pytest.mark.parametrize(("name", "total", "embedding"), [("dense first", 3500, 2000), ("every second", 6380, 70)])
def test_weights_by_hand(name, total, embedding):
    assert (BY_HAND[name].n_total, BY_HAND[name].n_embedding) == (total, embedding)


@pytest.mark.parametrize(
    ("name", "context", "flop"),
    [
        # Two FLOP a parameter and one of the head; three layers of 40 FLOP a token of context.
        ("dense first", 10, 2 * (2780 + 1000) + 3 * 10 * 40),
        # Five layers of 2 x 2 x (2 x 4 + 2) FLOP a token of context, in the latent.
        ("every second", 10, 2 * (4880 + 70) + 5 * 10 * 40),
        # 32 FLOP a token of context, of which a window shows three; the state takes 6 x 24.
        ("windowed", 10, 2 * (3536 + 400) + (3 * 10 + 2 * 3) * 32 + 144),
        ("windowed", 2, 2 * (3536 + 400) + (3 * 2 + 2 * 2) * 32 + 144),
    ],
)
def test_decode_flop_by_hand(name, context, flop):
    assert decode_flop(BY_HAND[name], context) == flop


@pytest.mark.parametrize(
    ("name", "prompt", "flop"),
    [
        # Four tokens see 1 + 2 + 3 + 4 of each other.
        ("dense first", 4, 4 * 2 * 2780 + 3 * 10 * 40 + 2 * 1000),
        # Heads of 3 + 2 and 6: 2 x 2 x 11 FLOP.
        ("every second", 4, 4 * 2 * 4880 + 5 * 10 * 44 + 2 * 70),
        # Five tokens see 15 of each other, and 1 + 2 + 3 + 3 + 3 in a window.
        ("windowed", 5, 5 * 2 * 3536 + (3 * 15 + 2 * 12) * 32 + 5 * 144 + 2 * 400),
        ("windowed", 1, 2 * 3536 + 5 * 32 + 144 + 2 * 400),
    ],
)
def test_prefill_flop_by_hand(name, prompt, flop):
    assert prefill_flop(BY_HAND[name], prompt) == pytest.approx(flop, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "sequence", "flop"),
    [
        ("dense first", 4, 3 * (2 * 2780 + 3 * 2.5 * 40 + 2 * 1000)),
        ("every second", 4, 3 * (2 * 4880 + 5 * 2.5 * 44 + 2 * 70)),
        ("windowed", 5, 3 * (2 * 3536 + (3 * 3 + 2 * 2.4) * 32 + 144 + 2 * 400)),
    ],
)
def test_train_flop_by_hand(name, sequence, flop):
    assert BY_HAND[name].train_flop_per_token(sequence) == pytest.approx(flop, rel=1e-12)


@pytest.mark.parametrize("name", ["dense first", "windowed", "ensemble", "gpt-oss-20b", "qwen3.6-35b-a3b"])
@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 17, 300])
def test_reading_a_prompt_is_decoding_it_position_by_position_with_one_head(name, tokens):
    shape = SHAPES[name]
    positions = sum(decode_flop(shape, seen) for seen in range(1, tokens + 1))
    spared = (tokens - 1) * 2 * shape.members * shape.n_head
    assert prefill_flop(shape, tokens) == pytest.approx(positions - spared, rel=1e-12)
    assert shape.train_flop_per_token(tokens) == pytest.approx(3 * positions / tokens, rel=1e-12)


@pytest.mark.parametrize("tokens", [1, 2, 17])
def test_a_prompt_in_latent_attention_is_read_in_full_heads(tokens):
    seen = sum(range(1, tokens + 1))
    expected = tokens * 2 * 4880 + 5 * 44 * seen + 2 * 70
    assert prefill_flop(EVERY_SECOND, tokens) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "gflop"), [("deepseek-v2", 155), ("deepseek-v3", 250)])
def test_train_flop_of_deepseek_is_the_published_one(name, gflop):
    """arXiv:2505.09343, Table 2, at sequences of 4,096."""
    assert round(SHAPES[name].train_flop_per_token(4096) / 1e9) == gflop


def test_more_experts_add_parameters_but_no_work_besides_routers():
    counts = [4, 8, 64]
    shapes = [
        dataclasses.replace(DENSE_FIRST, experts=dataclasses.replace(DENSE_FIRST.experts, num_experts=count))
        for count in counts
    ]
    for (few, more), (fewer, larger) in zip(pairwise(shapes), pairwise(counts), strict=True):
        added = larger - fewer
        assert more.n_total - few.n_total == added * (360 + 2 * 10)
        assert more.n_active - few.n_active == added * 2 * 10
        assert decode_flop(more, 5) - decode_flop(few, 5) == 2 * added * 2 * 10
        assert more.n_dense == few.n_dense


def test_more_experts_a_token_add_work_but_no_parameters():
    shapes = [
        dataclasses.replace(DENSE_FIRST, experts=dataclasses.replace(DENSE_FIRST.experts, top_k=top_k))
        for top_k in (1, 2, 3, 4)
    ]
    for less, more in pairwise(shapes):
        assert more.n_total == less.n_total
        assert more.n_active - less.n_active == 360
        assert decode_flop(more, 5) - decode_flop(less, 5) == 2 * 360
        assert prefill_flop(more, 5) > prefill_flop(less, 5)
        assert more.train_flop_per_token(5) > less.train_flop_per_token(5)


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.full_layers])
def test_more_context_takes_more_cache_and_work(name):
    shape = SHAPES[name]
    for near, far in pairwise((1, 2, 100, 4096, 131_072)):
        assert cache_elements(shape, far) > cache_elements(shape, near)
        assert decode_flop(shape, far) > decode_flop(shape, near)
        assert (
            prefill_flop(shape, far) > far / near * prefill_flop(shape, near) - 2 * far / near * shape.members * shape.n_head
        )
        assert shape.train_flop_per_token(far) > shape.train_flop_per_token(near)


def test_context_beyond_the_window_of_every_layer_is_free():
    shape = dataclasses.replace(WINDOWED, window_layers=5)
    assert shape.full_layers == 0
    assert cache_elements(shape, 3) == cache_elements(shape, 1000) > cache_elements(shape, 2)
    assert decode_flop(shape, 3) == decode_flop(shape, 1000) > decode_flop(shape, 2)


def test_a_window_longer_than_the_context_is_none():
    windowed = dataclasses.replace(DENSE_FIRST, window_layers=3, window_tokens=50)
    for tokens in (1, 7, 50):
        assert cache_elements(windowed, tokens) == cache_elements(DENSE_FIRST, tokens)
        assert decode_flop(windowed, tokens) == decode_flop(DENSE_FIRST, tokens)
        assert prefill_flop(windowed, tokens) == pytest.approx(prefill_flop(DENSE_FIRST, tokens), rel=1e-12)
    assert prefill_flop(windowed, 51) < prefill_flop(DENSE_FIRST, 51)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"num_dense_layers": 4}, r"num_dense_layers must be at most num_layers \(3\)"),
        ({"d_ff": None}, "d_ff is needed: some layers are dense"),
        ({"experts": None, "d_ff": None}, "d_ff is needed: some layers are dense"),
        ({"d_ff": None, "num_dense_layers": 0, "moe_every": 2}, "d_ff is needed: some layers are dense"),
        ({"window_layers": 4, "window_tokens": 2}, r"window_layers and linear_layers must be at most num_layers \(3\)"),
        ({"window_layers": 2}, "window_layers and window_tokens go together"),
        ({"window_tokens": 2}, "window_layers and window_tokens go together"),
        ({"linear_layers": 2}, "linear_layers and linear go together"),
        ({"linear": WINDOWED.linear}, "linear_layers and linear go together"),
        (
            {"linear_layers": 2, "linear": WINDOWED.linear, "window_layers": 2, "window_tokens": 2},
            r"window_layers and linear_layers must be at most num_layers \(3\) together",
        ),
        ({"experts": None, "members": 2}, "members needs experts to share out"),
        ({"members": 3}, r"members must divide num_experts \(4\) and leave top_k to each"),
        ({"members": 4}, r"members must divide num_experts \(4\) and leave top_k to each"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, rule):
    with pytest.raises(InputError, match=rule):
        dataclasses.replace(DENSE_FIRST, **change)


def test_a_token_cannot_use_more_experts_than_there_are():
    with pytest.raises(InputError, match=r"top_k must be at most num_experts \(4\)"):
        Experts(num_experts=4, top_k=5, d_expert=6)


def test_one_expert_is_a_dense_model():
    with pytest.raises(InputError, match="greater than or equal to 2"):
        Experts(num_experts=1, top_k=1, d_expert=6)


def test_an_empty_prompt_is_allowed():
    assert prefill_flop(DENSE_FIRST, 0) <= 2 * 1000


@pytest.mark.parametrize("members", [1, 2])
def test_experts_without_any_moe_layer_are_refused(members):
    with pytest.raises(InputError, match="needs an MoE layer"):
        dataclasses.replace(DENSE_FIRST, moe_every=8, num_dense_layers=0, members=members)
