"""Attention: parameters, cache and FLOP of one layer, worked by hand and against published models."""

from __future__ import annotations

import pytest

from bayesmoe.architecture import Heads, Latent, Linear
from bayesmoe.errors import InputError

MULTI_HEAD = Heads(num_heads=4, head_dim=3)
GROUPED = Heads(num_heads=4, num_kv_heads=2, head_dim=3)
MULTI_QUERY = Heads(num_heads=4, num_kv_heads=1, head_dim=3)
GATED = Heads(num_heads=4, num_kv_heads=2, head_dim=3, gated=True)
LATENT = Latent(num_heads=2, query_rank=3, kv_rank=4, rope_dim=2, nope_dim=5, value_dim=6)
PLAIN_QUERIES = Latent(num_heads=2, kv_rank=4, rope_dim=2, nope_dim=5, value_dim=6)
DELTA = Linear(key_heads=2, value_heads=3, key_dim=4, value_dim=5)

LLAMA_405B = Heads(num_heads=128, num_kv_heads=8, head_dim=128)
DEEPSEEK_V3 = Latent(num_heads=128, query_rank=1536, kv_rank=512, rope_dim=64, nope_dim=128, value_dim=128)


@pytest.mark.parametrize(
    ("attention", "parameters"),
    [
        # Queries and outputs 10 x 12 each; keys and values 10 x 12, 10 x 6 or 10 x 3 each; the gate another 10 x 12.
        (MULTI_HEAD, 240 + 240),
        (GROUPED, 240 + 120),
        (MULTI_QUERY, 240 + 60),
        (GATED, 360 + 120),
        # Down 10 x (3 + 4 + 2), queries up 3 x 2 x 7, keys and values up 4 x 2 x 11, outputs 2 x 6 x 10.
        (LATENT, 90 + 42 + 88 + 120),
        # Queries straight from the model 10 x 2 x 7, down 10 x (4 + 2).
        (PLAIN_QUERIES, 140 + 60 + 88 + 120),
        # Queries and keys 10 x 8 each, values and gates 10 x 15 each, two scalars for each of 3 heads, outputs 15 x 10.
        (DELTA, 160 + 300 + 60 + 150),
    ],
)
def test_parameters_by_hand(attention, parameters):
    assert attention.parameters(10) == parameters


@pytest.mark.parametrize(
    ("attention", "elements", "shards"),
    [(MULTI_HEAD, 24, 4), (GROUPED, 12, 2), (MULTI_QUERY, 6, 1), (GATED, 12, 2), (LATENT, 6, 1), (PLAIN_QUERIES, 6, 1)],
)
def test_cache_by_hand(attention, elements, shards):
    assert attention.cache_elements_per_token == elements
    assert attention.cache_shards == shards


@pytest.mark.parametrize(
    ("attention", "flop", "decode_flop"),
    [
        # Scores and their sum over values: two matrices of 12, two FLOP each.
        (MULTI_HEAD, 48, 48),
        (GROUPED, 48, 48),
        (MULTI_QUERY, 48, 48),
        (GATED, 48, 48),
        # Two heads, two FLOP each: scores of 5 + 2 and values of 6; in the latent, scores of 4 + 2 and values of 4.
        (LATENT, 52, 40),
        (PLAIN_QUERIES, 52, 40),
    ],
)
def test_flop_per_token_of_context_by_hand(attention, flop, decode_flop):
    assert attention.flop_per_token_of_context == flop
    assert attention.decode_flop_per_token_of_context == decode_flop


def test_a_linear_layer_keeps_a_state_by_hand():
    # Three heads of a 4 x 5 state, which a token decays into, is written to and read from at two FLOP each.
    assert DELTA.state_elements == 60
    assert DELTA.flop_per_token == 360


def test_multi_head_attention_has_four_square_matrices():
    assert Heads(num_heads=12, head_dim=64).parameters(768) == 4 * 768**2


def test_key_heads_are_query_heads_where_left_out():
    assert Heads(num_heads=6, head_dim=8).kv_heads == 6
    assert Heads(num_heads=6, num_kv_heads=3, head_dim=8).kv_heads == 3
    spelled = Heads(num_heads=6, num_kv_heads=6, head_dim=8)
    assert spelled.parameters(48) == Heads(num_heads=6, head_dim=8).parameters(48)


@pytest.mark.parametrize(
    ("attention", "layers", "cache_bytes"),
    [(LLAMA_405B, 126, 516_096), (DEEPSEEK_V3, 61, 70_272)],
    ids=["llama-3.1-405b", "deepseek-v3"],
)
def test_cache_bytes_a_token_are_the_published_ones(attention, layers, cache_bytes):
    """arXiv:2505.09343, Table 1, in BF16."""
    assert 2 * layers * attention.cache_elements_per_token == cache_bytes


def test_deepseek_v3_has_187_million_parameters_of_attention_a_layer():
    # 7168 x 1536, 1536 x 128 x 192, 7168 x 576, 512 x 128 x 256 and 128 x 128 x 7168.
    assert DEEPSEEK_V3.parameters(7168) == 11_010_048 + 37_748_736 + 4_128_768 + 16_777_216 + 117_440_512


@pytest.mark.parametrize("num_kv_heads", [3, 8])
def test_key_heads_must_divide_query_heads(num_kv_heads):
    with pytest.raises(InputError, match=r"num_kv_heads must divide num_heads \(4\)"):
        Heads(num_heads=4, num_kv_heads=num_kv_heads, head_dim=3)


@pytest.mark.parametrize("name", ["num_heads", "num_kv_heads", "head_dim"])
def test_heads_are_counted_from_one(name):
    with pytest.raises(InputError, match=rf"(?s){name}.*greater than or equal to 1"):
        Heads(**{"num_heads": 4, "num_kv_heads": 2, "head_dim": 3, name: 0})
