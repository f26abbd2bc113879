"""Risk of tiny plans whose bands, chances and regrets are known by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.risk import risk
from bayesmoe.documents import PlanDocument
from bayesmoe.planning.planner import UNITS
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.scenario import ToleranceSpec
from bayesmoe.planning.store import PlanInfo

NAN = float("nan")


def by_hand(scenario) -> PlanInfo:
    """What a plan made by hand says of itself."""
    return PlanInfo(scenario, "yun", "REVIEW", "mcmc", 0.0, "runs.csv", "0" * 64, False, "0" * 64)


COUNTS = (1, 4, 8)


def options(loss, cost):
    """One fixed option of each count, as good as its own solution."""
    each = {"objective": np.stack([cost, loss]), "loss": np.stack([loss] * 2)}
    each |= {name: np.ones((2, *loss.shape)) for name in ("train_usd", "train_gpu_hours")}
    each |= {"serving_usd_per_million_tokens": np.stack([cost] * 2), "feasible": np.isfinite(np.stack([cost, loss]))}
    found = {f"option_{name}": (("problem", "option", "sample"), values) for name, values in each.items()}
    found |= {f"option_{name}": (("problem", "option"), np.ones((2, len(loss)))) for name in ("n_dense", "tokens")}
    found |= {f"option_{name}": ("option", np.array(COUNTS)) for name in ("num_experts", "top_k", "granularity")}
    thresholds = {
        name: ("sample", np.full(loss.shape[1], 9.0))
        for name in ("threshold_loss", "threshold_serving_usd_per_million_tokens")
    }
    return {**found, **thresholds, "usd_per_nat": ("sample", np.ones(loss.shape[1]))}


@pytest.fixture
def made(scenario):
    """A plan from tables of losses and of serving costs by expert count and draw; NaN where infeasible."""

    def make(loss, cost=None, *, tolerance=None):
        loss = np.array(loss, dtype=float)
        objectives = {"cheapest_serving": loss if cost is None else np.array(cost, dtype=float), "lowest_loss": loss}
        feasible = np.stack([np.isfinite(values) for values in objectives.values()])
        dims = ("problem", "num_experts", "sample")
        values = {name: np.where(feasible, 1.0, NAN) for name in UNITS}
        values |= {problem_named(name).objective: np.stack([own] * 2) for name, own in objectives.items()}
        variables = {name: (dims, values[name], {"units": unit}) for name, unit in UNITS.items()}
        variables["loss_optimal_inside"] = (dims[1:], np.isfinite(loss))
        variables |= options(loss, np.array(cost if cost is not None else loss, dtype=float))
        variables["loss_optimal_loss"] = (dims[1:], loss, {"units": UNITS["loss"]})
        variables["feasible"] = (dims, feasible)
        choices = dataclasses.replace(scenario.choices, num_experts=COUNTS, baseline_num_experts=4)
        asked = dataclasses.replace(scenario, choices=choices, tolerance=tolerance or scenario.tolerance, name="by hand")
        plan = xr.Dataset(
            variables,
            coords={"problem": list(objectives), "num_experts": list(COUNTS), "law": ("sample", ["yun"] * len(loss.T))},
        )
        return by_hand(asked).write(plan)

    return make


def of(plan, problem="lowest_loss"):
    """Risk of one problem."""
    return risk(plan).sel(problem=problem)


def test_chances_and_regrets_by_hand(made):
    found = of(made([[2.0, 2.5, 2.2, 2.4], [2.1, 2.2, 2.1, 2.1], [2.4, 2.0, 2.3, 2.3]]))
    np.testing.assert_allclose(found["p_best"], [0.25, 0.5, 0.25], rtol=1e-12)
    np.testing.assert_allclose(found["expected_objective"], [2.275, 2.125, 2.25], rtol=1e-12)
    np.testing.assert_allclose(found["expected_regret"], [0.9 / 4, 0.3 / 4, 0.8 / 4], rtol=1e-9)
    assert int(found["per_draw_choice"]) == 4
    np.testing.assert_array_equal(found["p_feasible"], 1.0)
    assert float(found["p_any_feasible"]) == 1.0


def test_bands_are_quantiles_of_the_draws(made):
    draws = np.linspace(2.0, 3.0, 21)
    found = of(made([draws, draws + 1, draws[::-1] + 2]))
    np.testing.assert_allclose(found["quantile"], [0.05, 0.5, 0.95])
    for i in range(3):
        np.testing.assert_allclose(found["loss"].isel(num_experts=i), np.array([2.05, 2.5, 2.95]) + i, rtol=1e-12)
    np.testing.assert_allclose(found["loss_optimal_loss"].isel(num_experts=0), [2.05, 2.5, 2.95], rtol=1e-12)


def test_the_problems_have_their_own_objectives(made):
    found = risk(made([[2.0, 2.0], [2.1, 2.1], [2.2, 2.2]], [[3.0, 4.0], [1.0, 2.0], [2.0, 1.0]]))
    assert found["per_draw_choice"].sel(problem="lowest_loss") == 1
    cheapest = found.sel(problem="cheapest_serving")
    np.testing.assert_allclose(cheapest["p_best"], [0.0, 0.5, 0.5])
    np.testing.assert_allclose(cheapest["expected_regret"], [2.5, 0.5, 0.5])


def test_ties_share_the_draw(made):
    found = of(made([[2.0, 2.0, 2.0], [2.0, 2.0, 2.1], [2.0, 2.1, 2.2]]))
    np.testing.assert_allclose(found["p_best"], [(1 / 3 + 1 / 2 + 1) / 3, (1 / 3 + 1 / 2) / 3, 1 / 9], rtol=1e-12)
    assert float(found["p_best"].sum()) == pytest.approx(1.0, rel=1e-12)


def test_bands_chances_and_regrets_leave_out_infeasible_draws(made):
    found = of(made([[2.0, NAN, NAN, NAN], [2.5, 2.4, 2.6, 2.5], [NAN, 2.0, 2.8, NAN]]))
    np.testing.assert_allclose(found["p_feasible"], [0.25, 1.0, 0.5])
    np.testing.assert_allclose(found["p_best"], [0.25, 0.5, 0.25])
    np.testing.assert_allclose(found["loss"].sel(quantile=0.5), [2.0, 2.5, 2.4])
    np.testing.assert_allclose(found["expected_regret"], [0.0, (0.5 + 0.4) / 4, 0.1], rtol=1e-9, atol=1e-12)
    assert float(found["p_any_feasible"]) == 1.0


def test_a_count_that_is_seldom_feasible_is_not_chosen_however_good(made):
    feasible_in_four_of_five = [2.0, 2.0, 2.0, 2.0, NAN]
    loss = [feasible_in_four_of_five, [2.5] * 5, [2.6] * 5]
    assert int(of(made(loss))["per_draw_choice"]) == 4
    assert int(of(made(loss, tolerance=ToleranceSpec(probability=0.8)))["per_draw_choice"]) == 1


def test_only_the_sure_are_near_optimal(made):
    found = of(made([[2.0, NAN], [2.0, 2.0], [2.005, 2.005]]))
    assert found["near_optimal"].values.tolist() == [False, True, True]


def test_nothing_feasible_chooses_nothing(made):
    found = of(made(np.full((3, 4), NAN)))
    assert int(found["per_draw_choice"]) == 0
    assert float(found["p_any_feasible"]) == 0.0
    assert not found["near_optimal"].any()
    np.testing.assert_array_equal(found["p_best"], 0.0)
    assert found["loss"].isnull().all()


def test_nothing_sure_chooses_nothing_and_still_says_how_often(made):
    found = of(made([[2.0, NAN], [NAN, 2.0], [NAN, NAN]]))
    assert int(found["per_draw_choice"]) == 0
    np.testing.assert_allclose(found["p_best"], [0.5, 0.5, 0.0])
    assert float(found["p_any_feasible"]) == 1.0


def test_draws_without_any_feasible_count_are_nobodys(made):
    found = of(made([[2.0, NAN], [2.1, NAN], [2.2, NAN]]))
    np.testing.assert_allclose(found["p_best"], [0.5, 0.0, 0.0])
    assert float(found["p_best"].sum()) == float(found["p_any_feasible"]) == 0.5


@pytest.mark.parametrize(
    ("loss_nats", "near"), [(0.0, [True, False, False]), (0.02, [True, True, False]), (0.3, [True] * 3)]
)
def test_the_near_optimal_set_of_losses_is_a_tolerance_in_nats(made, loss_nats, near):
    found = of(made([[2.0, 2.2], [2.01, 2.21], [2.2, 2.4]], tolerance=ToleranceSpec(loss_nats=loss_nats)))
    assert found["near_optimal"].values.tolist() == near
    assert float(found["regret_tolerance"]) == loss_nats


@pytest.mark.parametrize(
    ("cost_share", "near"), [(0.0, [False, True, False]), (0.06, [False, True, True]), (1.0, [True] * 3)]
)
def test_the_near_optimal_set_of_costs_is_a_share_of_the_lowest_cost(made, cost_share, near):
    cost = [[1.9, 3.8], [1.0, 2.0], [1.05, 2.1]]
    found = of(made([[2.0] * 2] * 3, cost, tolerance=ToleranceSpec(cost_share=cost_share)), "cheapest_serving")
    assert found["near_optimal"].values.tolist() == near
    assert float(found["regret_tolerance"]) == pytest.approx(1.5 * cost_share, rel=1e-12)


def test_units_stand_on_the_plans_quantities_alone(made):
    found = risk(made([[2.0, 2.2], [2.01, 2.21], [2.2, 2.4]]))
    assert {name: found[name].attrs["units"] for name in UNITS} == UNITS
    known = {
        *UNITS,
        "loss_optimal_loss",
        *(f"design_{name}" for name in ("loss", "serving_usd_per_million_tokens", "train_usd", "train_gpu_hours")),
    }
    wrong = [name for name in found.data_vars if name not in known and "units" in found[name].attrs]
    assert wrong == []


@pytest.fixture
def document(made):
    """The JSON document of a plan with one count feasible always, one half the time and one never."""
    plan = made([[2.0, 2.1], [NAN, 2.05], [NAN, NAN]], [[3.0, 1.0], [NAN, 2.0], [NAN, NAN]])
    return PlanDocument.of(plan, decide(plan)).as_dict()


def test_the_document_is_json(document):
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_document_says_what_it_is(document):
    expected = {
        "schema": "bayesmoe.plan",
        "schema_version": 3,
        "scenario_name": "by hand",
        "budget_flop": 5.15e21,
        "baseline_num_experts": 4,
        "law": "yun",
        "gate": "REVIEW",
        "data_origin": "runs.csv",
        "data_simulated": False,
        "draws": 2,
        "band": [0.05, 0.95],
    }
    assert expected.items() <= {**document, "band": list(document["band"])}.items()
    assert set(document["problems"]) == {"cheapest_serving", "lowest_loss"}


def test_the_document_carries_units_in_its_keys(document):
    rows = {name: problem["num_experts"][0] for name, problem in document["problems"].items()}
    common = {
        "n_dense_parameters",
        "n_active_parameters",
        "n_total_parameters",
        "loss_nats_per_token",
        "serving_usd_per_million_tokens",
        "n_gpus_per_replica",
        "batch_requests",
        "train_flop",
        "train_usd",
    }
    assert common | {"expected_regret_nats"} <= set(rows["lowest_loss"])
    assert common | {"expected_regret_usd_per_million_tokens"} <= set(rows["cheapest_serving"])


def test_the_document_has_the_plans_numbers_and_null_for_the_unknown(document):
    problem = document["problems"]["lowest_loss"]
    always, half, never = problem["num_experts"]
    assert [row["num_experts"] for row in problem["num_experts"]] == list(COUNTS)
    assert always["loss_nats_per_token"]["q50"] == pytest.approx(2.05)
    assert set(always["loss_nats_per_token"]) == {"q05", "q50", "q95"}
    assert (always["p_feasible"], half["p_feasible"], never["p_feasible"]) == (1.0, 0.5, 0.0)
    assert never["loss_nats_per_token"] == {"q05": None, "q50": None, "q95": None}
    assert never["expected_regret_nats"] is None
    assert (problem["per_draw_choice_num_experts"], problem["near_optimal_num_experts"]) == (1, [1])
    assert always["near_optimal"] is True
    assert half["near_optimal"] is False


def test_the_document_of_no_choice_says_null(made):
    plan = made(np.full((3, 4), NAN))
    problem = PlanDocument.of(plan, decide(plan)).as_dict()["problems"]["lowest_loss"]
    assert problem["per_draw_choice_num_experts"] is None
    assert problem["near_optimal_num_experts"] == []
