"""The answer on one screen: five questions, and a sentence that holds the numbers of the decision."""

from __future__ import annotations

import dataclasses

import pytest

from bayesmoe.criticism.gate import check
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.gate import gate_of_plan
from bayesmoe.decisions.limits import LimitOutcome
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.decisions.outcome import Band
from bayesmoe.inference.gate import Check, Gate
from bayesmoe.planning.limits import Limit
from bayesmoe.reporting.brief import brief
from bayesmoe.units import band, percent, short, significant

QUESTIONS = ["What to train", "How sure", "What it costs", "What could go wrong", "What next"]


@pytest.fixture(scope="module")
def decided(small_fit, small_plan):
    return decide(small_plan, small_fit)


@pytest.fixture(scope="module")
def gate(small_fit, decided):
    return gate_of_plan(check(small_fit), decided)


def test_five_questions_are_answered_and_the_sentence_sums_them_up(decided, gate):
    decision = decided.main
    said = brief(decision, gate)
    assert list(said.answers) == QUESTIONS
    assert all(said.answers.values())
    outcome = decision.closest
    for number in (
        f"{outcome.design.num_experts}-expert",
        f"{short(outcome.design.tokens, 3)} tokens",
        percent(outcome.p_feasible),
        f"USD {band(*outcome.lifetime_usd, large=True)} in all",
    ):
        assert number in said.sentence
    assert said.answers["What next"] in said.sentence
    times = max(decision.extrapolation.values())
    assert f"It is an extrapolation, to {significant(times)} times the " in said.answers["What could go wrong"]


def test_the_other_problems_are_told_where_they_differ(decided, gate):
    main, other = decided
    assert brief(main, gate, others=[main]).answers["How sure"] == brief(main, gate).answers["How sure"]
    count = next(one for one in (8, 16) if one != main.recommended_num_experts)
    changed = dataclasses.replace(other, recommended_num_experts=count)
    assert (
        f"For {other.problem.label} it would be {count} experts." in brief(main, gate, others=[changed]).answers["How sure"]
    )


def test_a_run_that_is_worth_its_cost_comes_next(decided, gate, small_fit, small_plan):
    found = next_runs(small_fit, small_plan)
    found["verdict"][:] = "not worth it"
    assert "First train" not in brief(decided.main, gate, next_runs=found).sentence
    found["verdict"][0] = "worth it"
    assert brief(decided.main, gate, next_runs=found).answers["What next"].startswith("First train")


def test_a_failed_gate_and_simulated_runs_are_risks(decided):
    failed = Gate((Check("R-hat", "FAIL", 1.4, "gain", "at most 1.01", "run more warm-up"),))
    said = brief(decided.main, failed, simulated=True)
    assert (
        "The gate FAILs, so that these numbers are not to be decided on (R-hat (gain): run more warm-up)"
        in said.answers["What could go wrong"]
    )
    assert "The runs are simulated" in said.answers["What could go wrong"]
    assert said.answers["What next"].startswith("Mend")
    assert said.sentence.startswith("Do not decide on these numbers")


def test_without_a_recommendation_the_limit_to_loosen_comes_next(decided, gate):
    decision = decided.main
    limit = Limit("serving.max_tpot_s", "time per output token", "s", 0.02, at_least=False)
    outcomes = (LimitOutcome(limit, p_kept=0.6, p_costs_alone=0.3, needed=0.031),)
    designs = tuple(
        dataclasses.replace(one, limits=outcomes) if one == decision.closest else one for one in decision.designs
    )
    none = dataclasses.replace(
        decision, recommended_num_experts=None, closest_num_experts=decision.closest.design.num_experts, designs=designs
    )
    said = brief(none, gate)
    assert said.sentence.startswith("No recommendation")
    assert said.answers["What next"] == "Loosen time per output token to 0.0310 s (now 0.02), then plan again."
    assert "broken in 40% of draws, in 30% it alone" in said.answers["Limit: time per output token"]


def test_days_on_the_cluster_are_part_of_the_cost(decided, gate):
    decision = decided.main
    assert "GPU-hours)" in brief(decision, gate).answers["What it costs"]
    days = Band(10.0, 12.0, 15.0)
    training = dataclasses.replace(decision.scenario.training, cluster_gpus=512)
    designs = tuple(
        dataclasses.replace(one, training=dataclasses.replace(one.training, days=days)) for one in decision.designs
    )
    on_cluster = dataclasses.replace(
        decision, designs=designs, scenario=dataclasses.replace(decision.scenario, training=training)
    )
    assert "12.0 (10.0\u201315.0) days on 512 GPUs" in brief(on_cluster, gate).answers["What it costs"]
