"""What is said of plans: the recommended design, what each draw would choose, and no number without its band."""

from __future__ import annotations

import dataclasses

import pytest

from bayesmoe.costs.training_budget import Training
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.decision import Advice, Decisions
from bayesmoe.decisions.limits import LimitOutcome
from bayesmoe.decisions.outcome import Band
from bayesmoe.decisions.text import facts, headline
from bayesmoe.planning.limits import BUDGET, Limit
from bayesmoe.planning.problems import all_problems, problem_named
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting import plan_text


@pytest.fixture(scope="module")
def decided(small_fit, small_plan):
    """Decisions on the small plan."""
    return decide(small_plan, small_fit)


@pytest.fixture(scope="module")
def cheapest(decided):
    """The decision on the cheapest serving."""
    return decided[0]


@pytest.fixture(scope="module")
def lowest(decided):
    """The decision on the lowest loss."""
    return decided[1]


def with_optima(decision, **columns):
    """A decision whose per-draw optima have other values, one for each expert count."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    pairs = zip(decision.optima, rows, strict=True)
    return dataclasses.replace(decision, optima=tuple(dataclasses.replace(one, **row) for one, row in pairs))


@pytest.mark.parametrize(
    ("problem", "base", "goal"),
    [
        ("cheapest_serving", 4, "as good as the loss-optimal 4-expert model"),
        ("lowest_loss", 4, "no more expensive to serve than the loss-optimal 4-expert model"),
        ("cheapest_serving", 1, "as good as the loss-optimal dense model"),
    ],
)
def test_no_choice_says_so_with_every_probability(decided, scenario, problem, base, goal):
    asked = dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, baseline_num_experts=base))
    own = next(one for one in decided if one.problem.name == problem)
    own = with_optima(own, p_feasible=[0.004, 0.5, 0.89, 0.0, 0.2])
    assert plan_text.per_draw(dataclasses.replace(own, scenario=asked, per_draw_num_experts=None)) == (
        f"No expert count meets the goal ({goal}) with the required probability. Probability of meeting it: dense < 1%, "
        "4 experts 50%, 8 experts 89%, 16 experts 0%, 32 experts 20%."
    )


def test_a_choice_has_its_numbers_bands_and_alternatives(cheapest):
    bands = {
        "n_dense": Band(2e9, 3e9, 4e9),
        "n_total": Band(2e10, 3.3e10, 4e10),
        "tokens": Band(1e11, 2e11, 3e11),
        "over_training_ratio": Band(1.4, 2.0, 2.8),
        "loss": Band(2.15, 2.18, 2.24),
        "serving_usd_per_million_tokens": Band(0.21, 0.3, 0.44),
        "train_usd": Band(1e6, 2e6, 2.5e6),
    }
    own = with_optima(
        dataclasses.replace(cheapest, per_draw_num_experts=16),
        p_feasible=[0.0, 1.0, 1.0, 0.97, 0.95],
        p_best=[0.0, 0.0, 0.1, 0.7, 0.2],
        near_optimal=[False, False, True, True, True],
        bands=[bands] * 5,
    )
    assert plan_text.per_draw(own) == (
        "16 experts, 3.0B (2.0B–4.0B) backbone parameters (33B in total), 200B (100B–300B) tokens, over-trained 2.0 (1.4–2.8) times; "
        "as good as the loss-optimal 4-expert model in 97% of draws. Loss 2.180 (2.150–2.240) nats per token, serving USD "
        "0.30 (0.21–0.44) per million output tokens, training USD 2.0M (1.0M–2.5M). Best of all counts in 70% of draws. "
        "Near-optimal too: 8 or 32 experts."
    )


def test_a_lone_choice_says_that_nothing_else_is_within_the_tolerance(lowest):
    own = with_optima(dataclasses.replace(lowest, per_draw_num_experts=1), near_optimal=[True, False, False, False, False])
    assert plan_text.per_draw(own).startswith("Dense, ")
    assert plan_text.per_draw(own).endswith("No other count is within the tolerance.")


def test_the_demo_ends_in_ten_lines(small_plan, decided):
    lines = plan_text.ten_lines(small_plan, decided, "A note.", "report.html")
    assert len(lines) == 10
    assert "(SIMULATED)" in lines[0]
    assert "gate PASS" in lines[0]
    assert lines[-1] == "A note. Report: report.html"
    for line, decision in zip((1, 5), decided, strict=True):
        assert lines[line] == f"{decision.problem.title}: train {decision.recommended_num_experts} experts"


def test_the_demo_ends_in_ten_lines_without_a_choice(small_plan, decided):
    trained = dataclasses.replace(PlanInfo.read(small_plan), data_simulated=False).write(small_plan)
    undecided = Decisions([dataclasses.replace(decided[0], recommended_num_experts=None), decided[1]], decided.risk)
    lines = plan_text.ten_lines(trained, undecided, "", "report.html")
    assert len(lines) == 10
    assert "no expert count meets the constraint" in lines[1]
    assert lines[5].startswith(decided[1].problem.title)
    assert "SIMULATED" not in lines[0]


def test_every_problem_has_its_words_and_its_look(scenario):
    for words in (lambda one: one.title, lambda one: one.label, lambda one: (one.marker, one.color)):
        assert len({words(problem) for problem in all_problems}) == len(all_problems)
    assert all(problem.goal(scenario) for problem in all_problems)


def test_a_shape_is_said_in_whole_numbers():
    from bayesmoe.architecture import Experts, Heads, Shape

    shape = Shape(
        num_layers=24,
        d_model=1536,
        vocab=0,
        d_ff=4096,
        moe_every=2,
        attention=Heads(num_heads=24, head_dim=64),
        experts=Experts(num_experts=8, top_k=2, d_expert=4096),
    )
    assert plan_text.shape_text(shape) == (
        "A shape of that size: 24 layers of width 1,536, 24 heads, feed-forward width 4,096, 8 experts of width 4,096, 2 a token, "
        "in 12 of the layers (680M backbone, 2.3B in all)."
    )


def test_a_recommendation_has_its_facts(lowest):
    by_measure = {"mean": 16, "q95": 16, "cvar95": 8, "worst": None}
    own = dataclasses.replace(lowest, recommended_num_experts=16, recommended_by_measure=by_measure)
    assert headline(own).startswith("Recommended: 16 experts, ")
    known = facts(own)
    assert known["Tail risk"] == "8 experts would be best by the mean of the worst 5%"
    assert known["Goal"].startswith("no more expensive to serve than the loss-optimal 4-expert model: met in ")
    assert "Expected opportunity loss" not in known, "a nat has no worth in USD unless the scenario gives it"
    paid = dataclasses.replace(own.scenario, value=dataclasses.replace(own.scenario.value, usd_per_nat=5e6))
    assert facts(dataclasses.replace(own, scenario=paid))["Expected opportunity loss"].endswith(
        "USD 5.0M, as the scenario says"
    )
    same = facts(dataclasses.replace(own, recommended_by_measure=dict.fromkeys(by_measure, 16)))
    assert same["Tail risk"] == "16 experts is also best by the 95% quantile, the mean of the worst 5% and the worst draw"


def test_no_recommendation_says_what_comes_closest_and_doubts_the_budget(lowest):
    probabilities = (0.1, 0.2, 0.6, 0.3, 0.0)
    designs = (dataclasses.replace(one, p_feasible=p) for one, p in zip(lowest.designs, probabilities, strict=True))
    limit = LimitOutcome(Limit("serving.max_tpot_s", "time per output token", "s", 0.02, at_least=False), 0.6, 0.3, 0.025)
    none = LimitOutcome(Limit("goal", "goal", "", float("nan"), at_least=False), 0.9, 0.1, float("nan"))
    budget = LimitOutcome(Limit(BUDGET, "training budget", "times the budget", 1.0, at_least=False), 1.0, 0.0, 2.5)
    designs = [dataclasses.replace(one, limits=(limit, none, budget)) for one in designs]
    own = dataclasses.replace(
        lowest, recommended_num_experts=None, closest_num_experts=8, tied=(), designs=tuple(designs), p_any_feasible=0.7
    )
    goal = "no more expensive to serve than the loss-optimal 4-expert model"
    assert headline(own) == (
        f"No recommendation: no design meets the goal ({goal}) in 90% of draws. The closest, {designs[2].design}, does in 60%."
    )
    said = facts(own)
    assert "Tail risk" not in said
    assert said["Limit: time per output token"] == (
        "broken in 40% of draws, in 30% it alone, serving.max_tpot_s = 0.02; 0.0250 s alone would do"
    )
    assert said["Limit: goal"] == "broken in 10% of draws, in 10% it alone"
    assert said["Limit: training budget"] == "2.5 times the budget would do at this size"
    doubted = headline(dataclasses.replace(own, p_optimum_inside=0.0))
    assert doubted.endswith("lies between 10k and 100T parameters in 0% of draws: check the budget and its unit.")


def test_dropping_a_law_says_what_would_change(lowest):
    own = dataclasses.replace(lowest, recommended_num_experts=8)
    assert plan_text.without_laws(own) == ""
    own = dataclasses.replace(own, advice=Advice(without_law={"yun": own}))
    assert plan_text.without_laws(own) == "Dropping any one law does not change the recommended count."
    own = dataclasses.replace(own, recommended_num_experts=16)
    assert plan_text.without_laws(own) == "The count depends on the laws: without yun: 8 experts."


def test_limits_that_are_given_are_named_in_the_goal(scenario):
    limits = dataclasses.replace(
        scenario.limits, loss_nats=2.1, serving_usd_per_million_tokens=0.3, memory_bytes=80e9, cached_tokens=16384.0
    )
    asked = dataclasses.replace(scenario, limits=limits)
    assert problem_named("lifetime_cost").goal(asked) == "at or below 2.1 nats per token"
    assert problem_named("lowest_loss").goal(asked) == "served for at most USD 0.3 per million output tokens"
    assert problem_named("memory_limited").goal(asked) == "within 80B bytes with 16k tokens cached"


def test_scenarios_side_by_side(decided):
    nothing = Decisions([dataclasses.replace(one, recommended_num_experts=None) for one in decided], decided.risk)
    said = plan_text.compared({"today": decided, "double": nothing, "other": Decisions([decided[1]], decided.risk)})
    rows = [" ".join(line.split()) for line in said.splitlines()]
    assert "double no recommendation" in rows
    assert "other not asked" in rows


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"budget_flop": 5.15e21}, "5.15e21 FLOP"),
        ({"budget_usd": 1e7}, "USD 10M"),
        ({"budget_gpu_hours": 2.7e6}, "2.7M GPU-hours"),
        ({"cluster_gpus": 2048, "days": 60.0}, "60 days on 2,048 H100-SXM"),
    ],
)
def test_a_budget_is_written_in_its_own_unit(scenario, given, says):
    asked = dataclasses.replace(scenario, training=Training(**given))
    assert plan_text.budget(asked) == says
