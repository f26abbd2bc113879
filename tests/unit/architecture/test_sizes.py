"""From a size to a shape: near the size, in multiples of 64, and Yun's own models and ratios."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bayesmoe.architecture import SHAPE_RULES, shape_of_size, width_times_layers
from bayesmoe.errors import InputError

SIZES = np.geomspace(1e8, 1e12, 33).tolist()


@pytest.mark.parametrize("size", SIZES, ids="{:.3g}".format)
@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_a_shape_is_within_a_percent_of_its_size(rule, size):
    assert shape_of_size(size, rule=rule).n_dense == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize("size", SIZES, ids="{:.3g}".format)
@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_widths_are_multiples_of_64_and_proportions_those_of_the_family(rule, size):
    shape = shape_of_size(size, 8, rule=rule)
    assert shape.d_model % 64 == shape.d_ff % 64 == shape.experts.d_expert % 64 == 0
    assert shape.attention.num_heads * shape.attention.head_dim == shape.d_model
    assert shape.attention.kv_heads == shape.attention.num_heads
    # Two steps of the width are what rounding leaves the proportions of play.
    play = 2 * 64 / shape.d_model
    assert shape.d_ff / shape.d_model == pytest.approx(8 / 3, rel=play)
    assert shape.d_model * shape.num_layers == pytest.approx(width_times_layers(size), rel=play)


@pytest.mark.parametrize("size", SIZES, ids="{:.3g}".format)
@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_heads_can_be_shared_evenly(rule, size):
    shape = shape_of_size(size, 8, rule=rule, parallel=8)
    assert shape.attention.num_heads % 8 == 0
    assert shape.n_dense == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize("size", SIZES, ids="{:.3g}".format)
@pytest.mark.parametrize("num_experts", [1, 8])
def test_layers_are_even_where_one_in_two_has_experts(size, num_experts):
    assert shape_of_size(size, num_experts, rule="yun").num_layers % 2 == 0


@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_larger_sizes_give_larger_shapes(rule):
    found = [shape_of_size(size, rule=rule).n_dense for size in SIZES]
    assert all(small < large for small, large in pairwise(found))


@pytest.mark.parametrize(
    ("layers", "width", "d_ff"),
    [(12, 768, 1920), (20, 896, 2240), (24, 1024, 2560), (24, 1536, 4096), (32, 4096, 11_008)],
    ids=["yun 81M", "yun 185M", "yun 289M", "yun 679M", "llama-2-7b"],
)
def test_a_shape_on_the_grid_is_found_again(layers, width, d_ff):
    size = layers * (4 * width**2 + 3 * width * d_ff)
    shape = shape_of_size(size, mu=width * layers / size ** (2 / 3))
    assert (shape.num_layers, shape.d_model, shape.d_ff) == (layers, width, d_ff)
    assert shape.n_dense == size


@pytest.mark.parametrize(("shallow", "deep"), [(0.038, 0.045), (0.045, 0.056)])
def test_a_larger_mu_makes_deeper_and_narrower_shapes(shallow, deep):
    one, other = shape_of_size(7e9, mu=shallow), shape_of_size(7e9, mu=deep)
    assert one.num_layers < other.num_layers
    assert one.d_model > other.d_model


@pytest.mark.parametrize("size", [1e8, 1e9, 1e10, 1e11])
@pytest.mark.parametrize(("num_experts", "ratio"), [(4, 2.0), (8, 10 / 3), (16, 6.0), (32, 34 / 3)])
def test_total_over_dense_is_yuns(num_experts, ratio, size):
    """arXiv:2404.02852, section 4.2."""
    shape = shape_of_size(size, num_experts)
    assert shape.num_moe_layers * 2 == shape.num_layers
    # d_ff is 8/3 d to within 1.1 % here, which moves the ratios by a third of that; routers add E / (24 d) of the backbone, 0.2 % at most.
    assert shape.n_total / shape.n_dense == pytest.approx(ratio, rel=0.005)
    assert shape.n_active / shape.n_dense == pytest.approx(4 / 3, rel=0.005)


@pytest.mark.parametrize(("num_experts", "ratio"), [(4, 2.0), (8, 10 / 3), (16, 6.0), (32, 34 / 3)])
def test_total_over_dense_is_yuns_but_for_routers_where_the_width_is_eight_thirds(num_experts, ratio):
    # 24 layers of width 1536 have d_ff = 8/3 d exactly; only routers, d E of 12 d^2 in one layer of two, are left.
    shape = shape_of_size(24 * 12 * 1536**2, num_experts, mu=0.0476964267731)
    assert (shape.d_model, shape.d_ff) == (1536, 4096)
    assert shape.n_total / shape.n_dense == pytest.approx(ratio + num_experts / (24 * 1536), rel=1e-12)
    assert shape.n_active / shape.n_dense == pytest.approx(4 / 3 + num_experts / (24 * 1536), rel=1e-12)


@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_one_expert_is_dense(rule):
    shape = shape_of_size(3e9, 1, rule=rule, top_k=2, granularity=4.0, shared_experts=1)
    assert shape.experts is None
    assert shape.n_total == shape.n_active == shape.n_dense == shape_of_size(3e9, 64, rule=rule).n_dense


def test_every_layer_but_the_first_has_experts_by_lings_rule():
    shape = shape_of_size(3e9, 64, rule="ling", top_k=8)
    assert shape.num_dense_layers == 1
    assert shape.num_moe_layers == shape.num_layers - 1


@pytest.mark.parametrize("rule", SHAPE_RULES)
@pytest.mark.parametrize(("granularity", "shared_experts"), [(1.0, 0), (2.0, 1), (4.0, 2), (12.0, 3)])
def test_experts_are_cut_from_the_dense_width(rule, granularity, shared_experts):
    shape = shape_of_size(1e10, 64, rule=rule, top_k=8, granularity=granularity, shared_experts=shared_experts)
    assert abs(shape.experts.d_expert - shape.d_ff / granularity) <= 32
    assert shape.experts.d_shared == shared_experts * shape.experts.d_expert
    assert (shape.experts.num_experts, shape.experts.top_k) == (64, 8)


@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_a_shape_names_its_rule_and_size(rule):
    assert shape_of_size(3e9, 8, rule=rule).name == f"{rule} 3e+09 x 8"
    assert "arXiv" in shape_of_size(3e9, 8, rule=rule).source


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n_dense": 9_999.0}, "n_dense: must be finite and at least 10000 parameters, found 9999.0."),
        ({"n_dense": -1e9}, "n_dense: must be finite and at least 10000 parameters, found -1000000000.0."),
        ({"n_dense": float("nan")}, "n_dense: must be finite and at least 10000 parameters, found nan."),
        ({"rule": "yunn"}, "rule: is not a known rule, found 'yunn'; known: yun, ling."),
        ({"num_experts": 4, "top_k": 5}, "top_k: must be from 1 to num_experts (4), found 5."),
    ],
)
def test_what_has_no_shape_is_refused(arguments, says):
    with pytest.raises(InputError) as caught:
        shape_of_size(**{"n_dense": 1e9} | arguments)
    assert str(caught.value) == says


@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_the_smallest_size_has_a_shape(rule):
    # Two layers of width 192 have steps of 64 in d_ff, 7 % each.
    assert shape_of_size(1e6, rule=rule).n_dense == pytest.approx(1e6, rel=0.07 / 2)


@pytest.mark.parametrize("size", [1e4, 3e4, 1e5, 3e5, 9.9e5])
@pytest.mark.parametrize("rule", SHAPE_RULES)
def test_small_models_are_shaped_in_finer_steps(rule, size):
    shape = shape_of_size(size, 8, rule=rule, granularity=2.0)
    assert shape.n_dense == pytest.approx(size, rel=0.08)
    assert shape.d_model % 8 == shape.d_ff % 8 == shape.experts.d_expert % 8 == 0
    assert shape.attention.num_heads * shape.attention.head_dim == shape.d_model


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_dense": float("inf")},
        {"num_experts": 0},
        {"num_experts": 8, "top_k": 0},
        {"num_experts": 8, "granularity": 0.0},
        {"num_experts": 8, "shared_experts": -1},
        {"mu": 0.0},
    ],
    ids=lambda arguments: ", ".join(arguments),
)
def test_arguments_out_of_range_are_input_errors(arguments):
    with pytest.raises(InputError):
        shape_of_size(**{"n_dense": 1e9} | arguments)
