"""Plans at the edge: nothing feasible, one count, one draw, very many; each has a clear answer and JSON without NaN."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from bayesmoe.planning.document import as_document
from bayesmoe.planning.next_run import next_runs
from bayesmoe.planning.plan import plan
from bayesmoe.planning.risk import risk
from bayesmoe.report import plan_text


def changed(scenario, **sections):
    """The scenario with some values of some sections replaced; a section that is no spec is replaced itself."""
    parts = {
        name: dataclasses.replace(getattr(scenario, name), **values) if isinstance(values, dict) else values
        for name, values in sections.items()
    }
    return dataclasses.replace(scenario, **parts)


def told(fit, scenario):
    """Plan, risk, and what is said of the only problem; the document is JSON."""
    found = plan(fit, scenario, verdict="PASS")
    summary = risk(found)
    json.dumps(as_document(found, summary), allow_nan=False)
    problem = scenario.problems[0]
    part = summary.sel(problem=problem)
    return found, part, plan_text.headline(problem, part, scenario), plan_text.decision(problem, part, scenario)


@pytest.mark.parametrize(
    ("problem", "limits"),
    [
        ("memory_limited", {"memory_bytes": 1.0}),
        ("cheapest_serving", {"loss_nats": 0.01}),
        ("lifetime_cost", {"loss_nats": 0.01}),
        ("lowest_loss", {"serving_usd_per_million_tokens": 1e-9}),
        ("loss_optimal", {"constraints": ("n_total < 1",)}),
        ("equal_resources", {"n_total_parameters": 1e13, "constraints": ("n_gpus <= 8",)}),
    ],
)
def test_a_posterior_whose_every_draw_is_infeasible(small_fit, scenario, problem, limits):
    asked = changed(scenario, problems=(problem,), limits=limits)
    found, part, headline, decision = told(small_fit, asked)
    assert not found["feasible"].any()
    assert (int(part["choice"]), int(part["fixed_choice"]), float(part["p_any_feasible"])) == (0, 0, 0.0)
    np.testing.assert_array_equal(part["p_best"], 0.0)
    assert headline.startswith("Nothing to sign: no single size meets the aim (")
    assert headline.endswith("the surest, dense, does in 0%.")
    assert decision.startswith("No expert count meets the aim (")
    # What a run would be worth to a plan that cannot be is nothing, and it says so.
    assert float(next_runs(small_fit, found)["net_usd"].max()) < 0


@pytest.mark.parametrize("budget_flop", [1.0, 1e35])
def test_a_budget_of_the_wrong_unit_is_doubted(small_fit, scenario, budget_flop):
    _, part, headline, _ = told(small_fit, changed(scenario, training={"budget_flop": budget_flop}))
    assert float(part["p_optimum_inside"].max()) < 0.01
    assert headline.endswith("check the budget and its unit.")


def test_one_expert_count_is_chosen_with_certainty(small_fit, scenario):
    choices = {"num_experts": (8,), "base_num_experts": 8}
    asked = changed(scenario, choices=choices, problems=("loss_optimal",))
    found, part, headline, _ = told(small_fit, asked)
    assert headline.startswith("To sign: 8 experts, ")
    assert float(part["p_best"].item()) == 1.0
    assert float(part["expected_regret"].item()) == 0.0
    assert float(part["evpi_usd"]) >= 0.0
    assert set(next_runs(small_fit, found)["num_experts"].values) == {8}


def thinned(fit, draws):
    """The fit with some of its draws, by number."""
    found = fit.copy()
    posterior = fit["posterior"].to_dataset()
    found["posterior"] = xr.DataTree(posterior.isel(chain=[0], draw=draws))
    return found


def test_one_draw_is_a_plan_without_doubt(small_fit, scenario):
    found, part, headline, _ = told(thinned(small_fit, [7]), changed(scenario, problems=("lowest_loss",)))
    assert found.sizes["sample"] == 1
    assert headline.startswith("To sign: ")
    assert set(part["p_best"].values) == {0.0, 1.0}
    assert float(part["evpi_usd"]) == 0.0
    np.testing.assert_array_equal(part["loss"].sel(quantile=0.05), part["loss"].sel(quantile=0.95))


def test_many_draws_say_what_fewer_say(small_fit, scenario):
    """A hundred thousand draws, which repeat the same four hundred: the bands are theirs, up to the draws of costs."""
    asked = changed(scenario, problems=("lowest_loss",), choices={"num_experts": (4, 16)})
    few = thinned(small_fit, range(400))
    many = few.copy()
    many["posterior"] = xr.DataTree(xr.concat([few["posterior"].to_dataset()] * 250, "draw"))
    found, part, headline, _ = told(many, asked)
    _, less, *_ = told(few, asked)
    assert found.sizes["sample"] == 100_000
    assert headline.startswith(f"To sign: {int(less['fixed_choice'])} experts, ")
    np.testing.assert_allclose(part["loss"], less["loss"], rtol=0.01)
    np.testing.assert_allclose(part["p_best"], less["p_best"], atol=0.05)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_invariants_hold_for_any_scenario(small_fit, scenario, seed):
    rng = np.random.default_rng(seed)
    problems = ("cheapest_serving", "lowest_loss", "lifetime_cost")
    asked = changed(
        scenario,
        problems=problems,
        training={"budget_flop": float(10.0 ** rng.uniform(19, 24))},
        serving={"max_gpus": int(rng.integers(1, 9)), "lifetime_tokens": float(10.0 ** rng.uniform(9, 14))},
        choices={"num_experts": (1, 4, 16), "base_num_experts": int(rng.choice([1, 4, 16]))},
        seed=seed,
    )
    found = plan(small_fit, asked, verdict="PASS")
    summary = risk(found)
    np.testing.assert_allclose(summary["p_best"].sum("num_experts"), summary["p_any_feasible"], atol=1e-12)
    assert not (summary["expected_regret"] < 0).any()
    assert not (summary["fixed_regret_usd"] < 0).any()
    assert not (summary["evpi_usd"] < 0).any()
    # The choice to sign loses at least what the best option does, which is the value of perfect information.
    assert not (summary["fixed_regret_usd"].min("num_experts") < summary["evpi_usd"] * (1 - 1e-6)).any()
    for problem in problems:
        runs = next_runs(small_fit, found, problem=problem)
        assert float(runs["evsi_usd"].min()) >= 0.0
        assert float(runs["evsi_usd"].max()) <= float(runs["evpi_usd"])
