"""A decision has the numbers of the plan's risk, is readable, and repeats nothing that it does not know."""

from __future__ import annotations

import dataclasses
import math

import pytest

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.decision import Decision, Decisions
from bayesmoe.decisions.risk import extrapolation_factors
from bayesmoe.decisions.value_of_information import evppi


@pytest.fixture(scope="module")
def decisions(small_plan, small_fit) -> Decisions:
    """Decisions of the small plan."""
    return decide(small_plan, small_fit)


def test_one_decision_a_problem_in_the_plans_order(decisions, small_plan) -> None:
    assert [one.problem.name for one in decisions] == small_plan["problem"].values.tolist()
    assert all(isinstance(one, Decision) for one in decisions)


def test_a_decision_has_the_numbers_of_the_risk(decisions) -> None:
    for one in decisions:
        part = decisions.risk.sel(problem=one.problem.name)
        row = part.sel(num_experts=one.recommended.num_experts)
        assert one.recommended.num_experts == int(part["recommended"])
        assert one.recommended.n_dense == float(row["design_n_dense"])
        assert one.outcome.p_feasible >= one.threshold
        assert list(one.outcome.loss) == row["design_loss"].values.tolist()
        assert one.optimum(one.recommended.num_experts).p_best == float(row["p_best"])
        assert one.recommended.n_dense <= one.recommended.n_active <= one.recommended.n_total
        assert one.shape.n_dense == pytest.approx(one.recommended.n_dense, rel=1e-9)


def test_lifetime_cost_is_training_and_serving(decisions) -> None:
    outcome = decisions[0].outcome
    assert outcome.train_usd.median < outcome.lifetime_usd.median
    assert outcome.lifetime_usd.low < outcome.mean_cost < outcome.lifetime_usd.high


def test_what_would_change_it(decisions, small_plan) -> None:
    advice = decisions[1].advice
    worth = evppi(small_plan)["evppi_usd"].sel(problem="lowest_loss")
    assert advice.evppi_usd == {str(key): float(worth.sel(input=key)) for key in worth["input"].values}
    assert advice.without_law == {}
    assert math.isfinite(advice.learning_rate_log_sd)


def test_extrapolation_is_the_worst_of_the_problems(decisions, small_fit) -> None:
    assert decisions.extrapolation == extrapolation_factors(small_fit, decisions.risk)


def test_it_reads_in_a_terminal_and_in_a_notebook(decisions) -> None:
    assert max(map(len, str(decisions).splitlines())) <= 80
    assert repr(decisions).count("Recommended: ") == 2
    assert decisions._repr_html_().count("<table>") == 2


def test_without_a_recommended_design_it_says_how_probable_the_most_probable_is(decisions) -> None:
    none = dataclasses.replace(decisions[0], recommended_num_experts=None)
    assert none.recommended is None
    assert none.shape is None
    assert "No recommendation: no design meets the goal" in str(none)


def test_without_demand_there_is_no_money(small_plan) -> None:
    one = decide(small_plan.drop_vars("lifetime_tokens"))[0]
    assert (one.evpi_usd, one.outcome.lifetime_usd, one.outcome.regret_usd) == (None, None, None)
    assert one.advice.break_even == ()
    assert one.extrapolation == {}
