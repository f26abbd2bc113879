"""The next run, the tornado and the hyperparameters of the small plan."""

from __future__ import annotations

import dataclasses
import datetime
import json

import numpy as np
import pytest

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.hyperparameters import hyperparameters
from bayesmoe.decisions.next_run import SHARE, next_runs
from bayesmoe.decisions.risk import risk
from bayesmoe.decisions.run_plan import schedule
from bayesmoe.decisions.sensitivity import FACTOR, sensitivity
from bayesmoe.documents import NextRunDocument, SensitivityDocument
from bayesmoe.errors import InputError
from bayesmoe.hyperparameters import hyperparameter_law_named
from bayesmoe.planning.build_surface import inputs, surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.reporting import advice_text


@pytest.fixture(scope="module")
def found(small_fit, small_plan):
    """Candidate runs of the small plan."""
    return next_runs(small_fit, small_plan, batch=3)


def test_runs_stand_in_the_order_of_what_they_bring_less_what_they_cost(found):
    net = found["net_usd"].values
    assert (np.diff(net) <= 0).all()
    np.testing.assert_allclose(net, found["evsi_usd"] - found["train_usd"])
    assert net[0] > 0


def test_runs_are_affordable_and_spend_what_they_say(found, scenario):
    most = SHARE * scenario.training.budget_flop
    assert found.attrs["max_flop"] == pytest.approx(most)
    assert float(found["train_flop"].max()) <= most * (1 + 1e-9)
    np.testing.assert_allclose(found["train_flop"], 6.0 * found["n_active"] * found["tokens"], rtol=1e-9)
    assert set(found["num_experts"].values) == set(scenario.choices.num_experts)
    assert (found["tokens"] / found["n_active"]).max() > 3.5 * (found["tokens"] / found["n_active"]).min()


def test_a_run_is_worth_at_most_everything_and_a_dearer_one_of_its_kind_more(found):
    assert float(found["evsi_usd"].min()) >= 0.0
    assert float(found["evsi_usd"].max()) <= float(found["evpi_usd"])
    by_flop = found["evsi_usd"].groupby(found["train_flop"].round(-15)).mean()
    assert (np.diff(by_flop.values) > 0).all()


def test_a_batch_is_worth_what_its_runs_say_together(found):
    assert found.sizes["added"] == 3
    assert len(set(found["batch_run"].values.tolist())) == 3
    assert (np.diff(found["batch_evsi_usd"]) >= 0).all()
    np.testing.assert_allclose(found["batch_train_usd"], found["train_usd"].values[found["batch_run"].values].cumsum())


def test_less_compute_is_worth_less(small_fit, small_plan, found):
    small = next_runs(small_fit, small_plan, max_flop=1e17)
    assert float(small["evsi_usd"].max()) < 0.5 * float(found["evsi_usd"].max())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"problem": "lowest_los"}, r"problems: is not a planning problem"),
        ({"problem": "loss_optimal"}, r"problem: is not a problem of this plan.*one of cheapest_serving, lowest_loss"),
        ({"max_flop": 0.0}, r"max_flop: must be a positive number"),
        ({"max_flop": float("nan")}, r"max_flop: must be a positive number"),
        ({"batch": 0}, r"batch: must be at least 1"),
    ],
)
def test_what_cannot_be_asked_of_a_next_run(small_fit, small_plan, how, says):
    with pytest.raises(InputError, match=says):
        next_runs(small_fit, small_plan, **how)


def test_a_next_run_needs_money(small_fit, small_plan):
    with pytest.raises(InputError, match=r"serving\.lifetime_tokens: is needed to put money on a regret"):
        next_runs(small_fit, small_plan.drop_vars("lifetime_tokens"))


def test_a_run_is_worth_to_two_plans_what_it_is_to_each(small_fit, small_plan, found):
    twice = next_runs(small_fit, [small_plan, small_plan], batch=3)
    assert twice.attrs["budgets"] == 2
    by_run = [each.sortby("n_dense")["evsi_usd"].values for each in (found, twice)]
    np.testing.assert_allclose(by_run[1], 2.0 * by_run[0], rtol=1e-9)
    assert float(twice["evpi_usd"]) == pytest.approx(2.0 * float(found["evpi_usd"]))
    np.testing.assert_allclose(np.sort(twice["train_usd"]), np.sort(found["train_usd"]))


def test_the_next_run_in_words_and_in_json(found):
    said = advice_text.next_runs(found, schedule(found, start=datetime.datetime(2026, 1, 5)))
    assert "Runs of at most 5.15e+20 FLOP" in said
    assert "The batch as a plan, one run after the other:" in said
    assert said.endswith(advice_text.EVSI_NOTE)
    document = NextRunDocument.of(found).as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert len(document["runs"]) == found.sizes["run"]
    assert document["batch"][0]["train_usd_so_far"] == pytest.approx(
        document["runs"][document["batch"][0]["run"]]["train_usd"]
    )
    worthless = found.assign(verdict=("run", ["not worth it"] * found.sizes["run"]))
    assert "None of these runs is worth what it costs" in advice_text.next_runs(worthless)


@pytest.fixture(scope="module")
def turned(small_fit, scenario):
    """The tornado of a scenario of two counts, with a latency target."""
    choices = dataclasses.replace(scenario.choices, num_experts=(4, 16))
    serving = dataclasses.replace(scenario.serving, max_tpot_s=0.1)
    return sensitivity(small_fit, dataclasses.replace(scenario, choices=choices, serving=serving))


@pytest.mark.slow
def test_every_number_is_turned_to_the_ends_of_its_band(turned):
    values = turned["value"]
    assert {"serving.lifetime_tokens", "serving.max_tpot_s", "training.mfu", "serving.utilization"} <= set(
        turned["input"].values
    )
    np.testing.assert_allclose(values.sel(input="training.mfu"), 0.4 * np.exp(0.15 * np.array([-1.6449, 1.6449])), rtol=1e-4)
    np.testing.assert_allclose(values.sel(input="serving.max_tpot_s"), [0.1 / FACTOR, 0.1 * FACTOR])
    assert "serving.max_ttft_s" not in turned["input"].values


@pytest.mark.slow
def test_inputs_stand_in_the_order_of_their_swing(turned):
    swing = np.abs(turned["cost"].isel(problem=0).diff("side")).values.ravel()
    assert (np.diff(swing) <= 0).all()
    assert swing[0] > 0


@pytest.mark.slow
def test_what_costs_more_costs_more(turned):
    cost = turned["cost"].sel(problem="lowest_loss")
    for name in ("serving.lifetime_tokens", "serving.price_usd_per_gpu_hour", "training.price_usd_per_gpu_hour"):
        low, high = cost.sel(input=name).values
        assert low < turned["baseline_cost"].sel(problem="lowest_loss") < high, name
    low, high = cost.sel(input="serving.utilization").values
    assert low > high


@pytest.mark.slow
def test_the_tornado_in_words_and_in_json(turned):
    said = advice_text.tornado(turned)
    assert said.count("serving.lifetime_tokens") == 2
    document = SensitivityDocument.of(turned).as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["problems"]["lowest_loss"]["inputs"][0]["value"]["low"] > 0


def test_hyperparameters_are_those_of_the_papers_at_the_choice(small_plan):
    summary = risk(small_plan)
    found = hyperparameters(small_plan, summary)
    row = summary.sel(problem="lowest_loss", num_experts=int(summary["recommended"].sel(problem="lowest_loss")))
    own = found.sel(problem="lowest_loss")
    tokens = float(row["design_tokens"])
    batch = hyperparameter_law_named("step-law").law_for("batch_tokens").value(tokens=tokens)
    assert float(own["batch_tokens"].sel(paper="step-law", quantile=0.5)) == pytest.approx(float(batch), rel=1e-9)
    low, _, high = own["learning_rate"].sel(paper="step-law-bootstrap").values
    assert low < high
    assert np.isnan(own["learning_rate"].sel(paper="kaplan")).all()
    # Kaplan's batch follows from the loss, which draws differ in.
    low, _, high = own["batch_tokens"].sel(paper="kaplan").values
    assert low < high
    assert 0.1 < float(own["learning_rate_log_sd"]) < 2.0
    assert "the largest in the runs behind step-law" in str(own["beyond"].sel(paper="step-law").item())
    assert "Training settings by the literature's laws" in advice_text.settings(decide(small_plan)[1])


def test_no_recommendation_has_no_hyperparameters(small_plan):
    summary = risk(small_plan)
    found = hyperparameters(small_plan, summary.assign(recommended=0 * summary["recommended"]))
    assert found["learning_rate"].isnull().all()
    advice = decide(small_plan.assign(option_feasible=small_plan["option_feasible"] & False))[1]
    assert advice.recommended is None
    assert advice_text.settings(advice) == ""


def test_inputs_are_the_numbers_that_vary(small_fit, scenario):
    found = inputs(surfaces(small_fit, scenario))
    assert {"yun.gamma", "training.mfu", "serving.latency", "serving.lifetime_tokens"} <= set(found)
    assert "serving.prompt_tokens" not in found
    assert all(np.ptp(values) > 0 for values in found.values())


@pytest.mark.slow
def test_scenarios_that_differ_in_prices_share_their_compiled_program(small_fit, scenario):
    from bayesmoe.planning.blocks import _mapped

    plan(small_fit, scenario)
    before = _mapped._cache_size()
    serving = dataclasses.replace(scenario.serving, price_usd_per_gpu_hour=9.0, utilization=0.3, lifetime_tokens=1e13)
    plan(small_fit, dataclasses.replace(scenario, serving=serving, name="dear"))
    assert _mapped._cache_size() == before
