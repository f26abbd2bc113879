"""The model: gradients, routing, and that no token sees what comes after it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sweep.model import BLOCK, Model, blocks, experts, gated, initial, logits, losses, route

SHAPES = {
    "dense": Model(12, 2, vocabulary=20, length=8),
    "top-1": Model(12, 2, num_experts=4, top_k=1, granularity=1, vocabulary=20, length=8),
    "top-2 of half-width experts, one shared": Model(
        12, 1, num_experts=4, top_k=2, granularity=2, shared_experts=1, vocabulary=20, length=8
    ),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def model(request: pytest.FixtureRequest) -> Model:
    """A small model."""
    return request.param


def doubled(parameters):
    """Parameters in double precision."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), parameters)


def documents(model: Model, count: int = 4, seed: int = 0):
    """Random tokens."""
    return np.random.default_rng(seed).integers(0, model.vocabulary, (count, model.length))


def test_parameters_are_counted_as_the_family_counts_them(model: Model) -> None:
    parameters = initial(model, 0)
    matrices = ("qkv", "attended", "up", "down", "shared_up", "shared_down")
    total = sum(parameters["layers"][name].size for name in matrices if name in parameters["layers"])
    assert total == pytest.approx(float(model.family.run(model.n_dense, 1.0, model.num_experts)["n_total"]))


def test_parameters_are_single_precision(model: Model) -> None:
    assert {leaf.dtype for leaf in jax.tree.leaves(initial(model, 0))} == {np.dtype("float32")}


def test_gradients_are_those_of_finite_differences(model: Model) -> None:
    parameters, given = doubled(initial(model, 1)), documents(model)

    def objective(changed):
        of_tokens, balance = losses(model, changed, given)
        return of_tokens.mean() + 0.01 * balance

    gradient = jax.grad(objective)(parameters)
    leaves, tree = jax.tree.flatten(parameters)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        direction = jax.tree.unflatten(tree, [jnp.asarray(rng.normal(size=leaf.shape)) for leaf in leaves])
        along = sum(jnp.vdot(g, u) for g, u in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
        # A step short enough that no token changes its expert.
        ahead, back = (
            objective(jax.tree.map(lambda p, u, step=step: p + step * u, parameters, direction)) for step in (1e-7, -1e-7)
        )
        assert float((ahead - back) / 2e-7) == pytest.approx(float(along), rel=1e-4, abs=1e-6)


def test_every_part_is_trained(model: Model) -> None:
    gradient = jax.grad(lambda p: losses(model, p, documents(model, 16))[0].mean())(doubled(initial(model, 1)))
    parts = {
        jax.tree_util.keystr(path): float(jnp.abs(leaf).max())
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
    }
    assert min(parts.values()) > 0.0, parts


def test_no_token_sees_what_comes_after_it(model: Model) -> None:
    parameters, given = doubled(initial(model, 2)), documents(model)
    changed = given.copy()
    changed[:, 5:] = (changed[:, 5:] + 1) % model.vocabulary
    before, after = (np.asarray(logits(model, parameters, tokens)[0]) for tokens in (given, changed))
    np.testing.assert_allclose(before[:, :5], after[:, :5], atol=1e-12)
    assert abs(before[:, 5:] - after[:, 5:]).max() > 1e-3


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_gates_are_shares_of_distinct_experts(top_k: int) -> None:
    scores = jnp.asarray(np.random.default_rng(0).normal(size=(64, 8)))
    routed = route(scores, top_k)
    if top_k > 1:
        np.testing.assert_allclose(routed.gates.sum(axis=1), 1.0)
    else:
        np.testing.assert_allclose(routed.gates[:, 0], jax.nn.softmax(scores).max(axis=1))
    assert all(len(set(row)) == top_k for row in np.asarray(routed.experts))


@pytest.mark.parametrize("skew", [0.0, 2.0, 50.0], ids=["even", "skewed", "all to one"])
@pytest.mark.parametrize("top_k", [1, 2])
def test_no_choice_is_dropped_and_every_row_is_its_experts_own(top_k: int, skew: float) -> None:
    scores = jnp.asarray(np.random.default_rng(0).normal(size=(64, 8))).at[:, 0].add(skew)
    chosen = route(scores, top_k).experts
    where = blocks(chosen, 8)
    rows = np.asarray(where.rows)
    assert len(np.unique(rows)) == rows.size
    assert rows.min() >= 0
    assert rows.max() < len(where.experts) * BLOCK
    assert (np.asarray(where.experts)[rows // BLOCK] == np.asarray(chosen)).all()


def test_balance_is_one_when_even_and_all_experts_when_not() -> None:
    even = jnp.eye(8)[jnp.arange(64) % 8] * 1e-6
    assert float(route(even, 1).balance) == pytest.approx(1.0, abs=1e-4)
    assert float(route(jnp.zeros((64, 8)).at[:, 0].set(50.0), 1).balance) == pytest.approx(8.0)


@pytest.mark.parametrize("name", ["top-1", "top-2 of half-width experts, one shared"])
def test_experts_are_those_of_a_loop_over_tokens(name: str) -> None:
    model = SHAPES[name]
    layer = {part: value[0] for part, value in doubled(initial(model, 3))["layers"].items()}
    x = jnp.asarray(np.random.default_rng(1).normal(size=(32, model.d_model)))
    y, _ = experts(model, layer, x)
    routed = route(x @ layer["router"], model.top_k)
    expected = [
        sum(g * gated(token, layer["up"][e], layer["down"][e]) for g, e in zip(gates, chosen, strict=True))
        + (gated(token, layer["shared_up"], layer["shared_down"]) if model.shared_experts else 0.0)
        for token, gates, chosen in zip(x, routed.gates, routed.experts, strict=True)
    ]
    np.testing.assert_allclose(y, jnp.stack(expected), atol=1e-12)
