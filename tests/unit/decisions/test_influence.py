"""Influence: the decision anew on the draws in which an input is low, and in which it is high."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.decisions.influence import TENTH, influence
from bayesmoe.decisions.recommendation import recommendations

PROBLEMS = ("cheapest_serving", "lowest_loss")


@pytest.fixture(scope="module")
def found(small_plan):
    return influence(small_plan)


def test_the_middle_is_the_plans_recommendation(small_plan, found):
    own = recommendations(small_plan)
    for problem in PROBLEMS:
        count = int(own["recommended"].sel(problem=problem))
        assert int(found["baseline_choice"].sel(problem=problem)) == count
        expected = float(own["design_mean_cost"].sel(problem=problem, num_experts=count))
        assert float(found["baseline_cost"].sel(problem=problem)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("side", "end"), [("low", slice(None, 1)), ("high", slice(-1, None))])
def test_an_end_is_the_recommendation_on_its_draws_alone(small_plan, found, side, end):
    values = small_plan["input_value"].sel(input="serving.lifetime_tokens").values
    tenth = round(TENTH * len(values))
    draws = np.argsort(values, kind="stable").reshape(-1, tenth)[end].ravel()
    own = recommendations(small_plan.isel(sample=draws))
    at = {"input": "serving.lifetime_tokens", "side": side}
    assert float(found["value"].sel(at)) == pytest.approx(np.median(values[draws]))
    for problem in PROBLEMS:
        count = int(own["recommended"].sel(problem=problem))
        assert int(found["recommended"].sel({**at, "problem": problem})) == count
        expected = float(own["design_mean_cost"].sel(problem=problem, num_experts=count)) if count else np.nan
        assert float(found["cost"].sel({**at, "problem": problem})) == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_more_demand_costs_more_and_inputs_stand_by_their_swing(found):
    cost = found["cost"].sel(problem=PROBLEMS[0])
    demand = cost.sel(input="serving.lifetime_tokens").values
    assert demand[0] < demand[1]
    swings = np.abs(np.diff(np.nan_to_num(cost.values), axis=1))[:, 0]
    assert (np.diff(swings) <= 0).all()
