"""A decision has the numbers of the plan's risk, is readable, and repeats nothing that it does not know."""

from __future__ import annotations

import dataclasses
import math

import pytest

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.decision import Decision, Decisions
from bayesmoe.decisions.gate import MOST_AT_LARGEST, far, gate_of_plan
from bayesmoe.decisions.risk import extrapolation_factors
from bayesmoe.decisions.text import facts
from bayesmoe.decisions.value_of_information import evppi
from bayesmoe.inference.gate import Gate


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
        # Heads that eight GPUs can share leave fewer widths to choose from.
        assert one.shape.attention.num_heads % 8 == 0
        assert one.shape.n_dense == pytest.approx(one.recommended.n_dense, rel=0.01)


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


def test_a_best_count_at_the_end_of_the_list_is_said(decisions) -> None:
    for one in decisions:
        assert one.p_best_is_largest == one.optimum(max(one.scenario.choices.num_experts)).p_best
        assert ("Counts compared" in facts(one)) == (one.p_best_is_largest > MOST_AT_LARGEST)
    assert "add larger counts" in facts(at_largest(decisions[0], 0.11))["Counts compared"]
    assert "Counts compared" not in facts(at_largest(decisions[0], 0.1))
    alone = dataclasses.replace(decisions[0], optima=decisions[0].optima[:1])
    assert alone.p_best_is_largest == 0.0


def at_largest(decision: Decision, share: float) -> Decision:
    """A decision in which the largest count is the best in such a share of draws."""
    largest = max(one.num_experts for one in decision.optima)
    optima = (dataclasses.replace(one, p_best=share) if one.num_experts == largest else one for one in decision.optima)
    return dataclasses.replace(decision, optima=tuple(optima))


def planned(decisions: Decisions, times: dict[str, float], *shares: float) -> Decisions:
    """Decisions so many times beyond the largest run, the largest count best in such shares of draws."""
    made = [
        at_largest(dataclasses.replace(one, extrapolation=times), share)
        for one, share in zip(decisions, shares, strict=True)
    ]
    return Decisions(made, decisions.risk)


def test_a_plan_is_reviewed_far_beyond_the_runs_and_where_the_list_of_counts_cuts_it_off(decisions) -> None:
    gate = Gate(())
    assert gate_of_plan(gate, planned(decisions, {"tokens": 9.0, "train_flop": 99.0}, 0.1, 0.0)).verdict == "PASS"
    for times in ({"tokens": 11.0}, {"train_flop": 101.0, "tokens": 2.0}):
        assert far(times)
        found = gate_of_plan(gate, planned(decisions, times, 0.0, 0.0))
        assert (found.verdict, found.checks[0].where) == ("REVIEW", next(iter(times)))
    found = gate_of_plan(gate, planned(decisions, {}, 0.0, 0.11))
    assert (found.verdict, [one.where for one in found.checks]) == ("REVIEW", ["lowest_loss"])


def test_a_plan_for_latencies_that_nothing_met_is_reviewed(decisions) -> None:
    serving = dataclasses.replace(decisions[0].scenario.serving, max_tpot_s=0.001)
    scenario = dataclasses.replace(decisions[0].scenario, serving=serving)
    asked = Decisions(
        [dataclasses.replace(one, scenario=scenario) for one in planned(decisions, {}, 0.0, 0.0)], decisions.risk
    )
    found = gate_of_plan(Gate(()), asked)
    assert found.verdict == "REVIEW"
    (check,) = (one for one in found.checks if one.verdict != "PASS")
    assert (check.name, check.where, check.value) == ("latency target", "serving.max_tpot_s", 0.001)
    assert check.rule == "at least 0.00229 s, the fastest measured"


def test_a_plan_of_models_far_smaller_than_any_run_fails(decisions) -> None:
    sane, tiny = (gate_of_plan(Gate(()), planned(decisions, {"n_dense": times}, 0.0, 0.0)) for times in (2e-4, 5e-5))
    assert sane.verdict == "PASS"
    assert tiny.verdict == "FAIL"
    (check,) = (one for one in tiny.checks if one.verdict == "FAIL")
    assert (check.name, check.value) == ("size", 5e-5)
    assert check.recommendation.startswith("raise the budget or loosen what keeps the model small")
