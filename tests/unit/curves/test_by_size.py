"""Curves over sizes, tokens, costs and budgets against the surface and the plan that they are made of."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.curves.by_budget import plans_by_budget
from bayesmoe.curves.by_cost import by_cost
from bayesmoe.curves.by_size import loss_by_tokens, order_bands
from bayesmoe.decisions.risk import risk
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan

COUNTS = [1, 4, 8, 16, 32]
QUANTILES = [0.05, 0.5, 0.95]
COST = "serving_usd_per_million_tokens"


@pytest.fixture(scope="module")
def here(small_fit, scenario):
    """The surface of every draw."""
    (found,) = surfaces(small_fit, scenario).values()
    return found


@pytest.fixture(scope="module")
def of_costs(small_fit, scenario):
    return by_cost(small_fit, scenario, draws=None)


def test_a_curve_of_losses_is_the_landscapes(small_fit, scenario, here) -> None:
    found = loss_by_tokens(small_fit, scenario, n_dense=[1e8, 3e9], tokens=[2e9, 7e10, 1e12], draws=None)
    size, tokens = jnp.full((1, 5), np.log(3e9)), jnp.full((1, 5), 7e10)
    expected = np.quantile(np.asarray(here.loss(size, tokens)), QUANTILES, axis=0)
    np.testing.assert_allclose(found["loss"].sel(n_dense=3e9, tokens=7e10).transpose("quantile", ...), expected, rtol=1e-12)
    assert found["num_experts"].values.tolist() == COUNTS
    assert found["loss"].attrs["units"] == "nats/token"
    assert bool((found["loss"].diff("tokens") < 0).all())
    assert bool(found["observed"].isnull().all())


def test_runs_stand_where_they_were_trained(small_fit, scenario) -> None:
    runs = small_fit["constant_data"].dataset
    size, tokens = float(runs["n_dense"][17]), float(runs["tokens"][17])
    found = loss_by_tokens(small_fit, scenario, n_dense=[size, 3.0 * size], tokens=[tokens])
    same = (runs["n_dense"] == size) & (runs["tokens"] == tokens)
    losses = small_fit["observed_data"]["loss"].values
    for count in COUNTS:
        expected = losses[(same & (runs["num_experts"] == count)).values].mean()
        assert found["observed"].sel(n_dense=size, tokens=tokens, num_experts=count).item() == pytest.approx(expected)
    assert bool(found["observed"].sel(n_dense=3.0 * size).isnull().all())


@pytest.mark.slow
def test_more_cost_allows_no_higher_a_loss(of_costs) -> None:
    for name in ("loss", "best_loss"):
        steps = of_costs[name].diff("cost")
        assert bool(((steps <= 0) | steps.isnull()).all())
    # Where so little serves a count in too few draws, it has no such quantile.
    assert bool(((of_costs["best_loss"] <= of_costs["loss"] + 1e-12) | of_costs["loss"].isnull()).all())
    assert bool(of_costs["best_loss"].isel(cost=-1).notnull().all())


def test_the_shares_of_the_best_count_sum_to_those_that_are_served(of_costs) -> None:
    served = of_costs["p_best"].sum("num_experts").values
    # More money serves in more draws, and enough in all.
    assert (np.diff(served) >= -1e-12).all()
    np.testing.assert_allclose(served[len(served) // 2 :], 1.0)
    assert served[0] > 0.5
    assert bool((of_costs["p_best"] >= 0).all())


def test_what_nothing_serves_has_no_loss(small_fit, scenario) -> None:
    found = by_cost(small_fit, scenario, costs=[1e-12, 0.1])
    assert float(found["p_best"].sel(cost=1e-12).sum()) == 0.0
    assert bool(found["loss"].sel(cost=1e-12).isnull().all())
    assert bool(found["best_loss"].sel(cost=0.1).notnull().all())


@pytest.mark.slow
def test_the_frontier_is_the_plans_lowest_loss_at_that_cost(small_fit, scenario) -> None:
    limits = dataclasses.replace(scenario.limits, serving_usd_per_million_tokens=0.1)
    bound = risk(plan(small_fit, dataclasses.replace(scenario, limits=limits, problems=("lowest_loss",))))
    found = by_cost(small_fit, scenario, costs=[0.1], draws=None)
    expected = bound["loss"].sel(problem="lowest_loss").transpose("quantile", "num_experts")
    # The frontier keeps to the grid, on which a step is 4% of a size.
    np.testing.assert_allclose(found["loss"].sel(cost=0.1).values, expected, atol=2e-3)
    assert bool((found["loss"].sel(cost=0.1, quantile=0.5).values >= expected.sel(quantile=0.5) - 1e-6).all())


def test_order_statistics_keep_the_draws_without_an_answer() -> None:
    values = np.concatenate([np.linspace(1.0, 2.0, 90), np.full(10, np.inf)])[:, None]
    low, middle, high = order_bands(values, nothing=np.inf)[:, 0]
    assert low == pytest.approx(1.0 + 4 / 89)
    assert middle == pytest.approx(1.0 + 49 / 89)
    assert np.isnan(high)


def test_a_budgets_plan_is_the_plan(small_fit, small_plan, scenario) -> None:
    budget = scenario.training.budget_flop
    found = plans_by_budget(small_fit, scenario, budgets_flop=[1e21, budget], draws=None)
    own, expected = found.sel(train_flop=budget), risk(small_plan)
    for name in ("over_training_ratio", "size_ratio", "loss", COST, "p_feasible"):
        np.testing.assert_allclose(own[name].transpose(*expected[name].dims), expected[name], rtol=0.02)
    assert bool((own["sure"] == (own["p_feasible"] >= scenario.tolerance.probability)).all())
    assert bool((found["loss"].sel(train_flop=1e21, quantile=0.5) > own["loss"].sel(quantile=0.5))[1].all())
