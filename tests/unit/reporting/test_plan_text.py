"""What is said of plans: what to sign, what each draw would choose, and no number without its band."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.risk import risk
from bayesmoe.documents import PlanDocument
from bayesmoe.planning.problems import all_problems
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting import plan_text


@pytest.fixture(scope="module")
def summary(small_plan):
    """Risk of the small plan."""
    return risk(small_plan)


def part_of(summary, problem, **values):
    """Risk of one problem with some values replaced, by hand."""
    part = summary.sel(problem=problem).copy(deep=True)
    for name, value in values.items():
        part[name] = (part[name].dims, np.broadcast_to(value, part[name].shape))
    return part


@pytest.mark.parametrize(
    ("problem", "base", "goal"),
    [
        ("cheapest_serving", 4, "as good as the loss-optimal 4-expert model"),
        ("lowest_loss", 4, "no dearer to serve than the loss-optimal 4-expert model"),
        ("cheapest_serving", 1, "as good as the loss-optimal dense model"),
    ],
)
def test_no_choice_says_so_with_every_chance(summary, scenario, problem, base, goal):
    chances = [0.004, 0.5, 0.89, 0.0, 0.2]
    asked = dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, baseline_num_experts=base))
    said = plan_text.decision(problem, part_of(summary, problem, per_draw_choice=0, p_feasible=chances), asked)
    assert said == (
        f"No expert count meets the aim ({goal}) with the asked-for probability. Chance of meeting it: dense < 1%, 4 experts 50%, "
        "8 experts 89%, 16 experts 0%, 32 experts 20%."
    )


def test_a_decision_has_its_numbers_bands_and_alternatives(summary, scenario):
    bands = {
        "n_dense": np.array([2e9, 3e9, 4e9])[:, None],
        "n_total": np.array([2e10, 3.3e10, 4e10])[:, None],
        "tokens": np.array([1e11, 2e11, 3e11])[:, None],
        "over_training_ratio": np.array([1.4, 2.0, 2.8])[:, None],
        "loss": np.array([2.15, 2.18, 2.24])[:, None],
        "serving_usd_per_million_tokens": np.array([0.21, 0.3, 0.44])[:, None],
        "train_usd": np.array([1e6, 2e6, 2.5e6])[:, None],
    }
    part = part_of(
        summary,
        "cheapest_serving",
        per_draw_choice=16,
        p_feasible=[0.0, 1.0, 1.0, 0.97, 0.95],
        p_best=[0.0, 0.0, 0.1, 0.7, 0.2],
        near_optimal=[False, False, True, True, True],
        **bands,
    )
    assert plan_text.decision("cheapest_serving", part, scenario) == (
        "16 experts, 3.0B (2.0B–4.0B) backbone parameters (33B in all), 200B (100B–300B) tokens, over-trained 2.0 (1.4–2.8) times; "
        "as good as the loss-optimal 4-expert model in 97% of draws. Loss 2.180 (2.150–2.240) nats per token, serving USD "
        "0.30 (0.21–0.44) per million output tokens, training USD 2.0M (1.0M–2.5M). Best of all counts in 70% of draws. "
        "Equally good within the tolerance: 8 or 32 experts."
    )


def test_a_lone_decision_says_that_nothing_else_is_within_the_tolerance(summary, scenario):
    part = part_of(summary, "lowest_loss", per_draw_choice=1, near_optimal=[True, False, False, False, False])
    said = plan_text.decision("lowest_loss", part, scenario)
    assert said.startswith("Dense, ")
    assert said.endswith("No other count is within the tolerance.")


def test_the_demo_ends_in_ten_lines(small_plan, summary):
    lines = plan_text.ten_lines(summary, PlanDocument.of(small_plan, decide(small_plan)).as_dict(), "A note.", "report.html")
    assert len(lines) == 10
    assert "(SIMULATED)" in lines[0]
    assert "gate PASS" in lines[0]
    assert lines[-1] == "A note. Report: report.html"
    for line, problem in ((1, "cheapest_serving"), (5, "lowest_loss")):
        choice = int(summary["recommended"].sel(problem=problem))
        assert lines[line] == f"{plan_text.TITLES[problem]}: train {choice} experts"


def test_the_demo_ends_in_ten_lines_without_a_choice(small_plan, summary):
    document = PlanDocument.of(small_plan, decide(small_plan)).as_dict()
    document["problems"]["cheapest_serving"]["recommended_num_experts"] = None
    lines = plan_text.ten_lines(summary, {**document, "data_simulated": False}, "", "report.html")
    assert len(lines) == 10
    assert "no expert count meets the constraint" in lines[1]
    assert lines[5].startswith(plan_text.TITLES["lowest_loss"])
    assert "SIMULATED" not in lines[0]


def test_every_problem_has_its_words(small_plan):
    assert set(plan_text.TITLES) == {problem.name for problem in all_problems}
    assert {problem.objective for problem in all_problems} <= set(plan_text.UNITS)
    assert all(plan_text.goal(problem.name, PlanInfo.read(small_plan).scenario) for problem in all_problems)


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
    assert plan_text.shape(shape) == (
        "A shape of that size: 24 layers of width 1,536, 24 heads, feed-forward width 4,096, 8 experts of width 4,096, 2 a token, "
        "in 12 of the layers (680M backbone, 2.3B in all)."
    )


def test_what_to_sign_has_its_facts(summary, scenario):
    part = part_of(summary, "lowest_loss", recommended=16, recommended_by_measure=[16, 16, 8, 0])
    assert plan_text.headline("lowest_loss", part, scenario).startswith("To sign: 16 experts, ")
    found = plan_text.facts("lowest_loss", part, scenario)
    assert found["Tail"] == "8 experts would win by the mean of the worst twentieth"
    assert found["Aim"].startswith("no dearer to serve than the loss-optimal 4-expert model: met in ")
    assert "which is what training buys it for" in found["Not knowing"]
    same = plan_text.facts(
        "lowest_loss", part_of(summary, "lowest_loss", recommended=16, recommended_by_measure=16), scenario
    )
    assert same["Tail"] == "16 experts wins by the 95% quantile, the mean of the worst twentieth and the worst draw too"


def test_nothing_to_sign_says_how_sure_the_surest_is_and_doubts_the_budget(summary, scenario):
    part = part_of(summary, "lowest_loss", recommended=0, design_p_feasible=[0.1, 0.2, 0.6, 0.3, 0.0])
    said = plan_text.headline("lowest_loss", part, scenario)
    aim = "no dearer to serve than the loss-optimal 4-expert model"
    assert (
        said == f"Nothing to sign: no single size meets the aim ({aim}) in 90% of draws; the surest, 8 experts, does in 60%."
    )
    assert plan_text.facts("lowest_loss", part, scenario) == {}
    doubted = plan_text.headline(
        "lowest_loss", part_of(part.expand_dims(problem=["x"]), "x", p_optimum_inside=0.0), scenario
    )
    assert doubted.endswith("lies between 1.0M and 100T parameters in 0% of draws: check the budget and its unit.")


def test_dropping_a_law_says_what_would_change(summary):
    part = part_of(summary, "lowest_loss", recommended=8)
    assert plan_text.dropped(8, {}) == ""
    assert plan_text.dropped(8, {"yun": part}) == "Dropping any one law leaves the count to sign as it is."
    assert plan_text.dropped(16, {"yun": part}) == "The count rests on the laws: without yun: 8 experts."


def test_limits_that_are_given_are_named_in_the_aim(scenario):
    limits = dataclasses.replace(
        scenario.limits, loss_nats=2.1, serving_usd_per_million_tokens=0.3, memory_bytes=80e9, cached_tokens=16384.0
    )
    asked = dataclasses.replace(scenario, limits=limits)
    assert plan_text.goal("lifetime_cost", asked) == "at or below 2.1 nats per token"
    assert plan_text.goal("lowest_loss", asked) == "served for at most USD 0.3 per million output tokens"
    assert plan_text.goal("memory_limited", asked) == "within 80B bytes with 16k tokens cached"


def test_scenarios_side_by_side(summary):
    nothing = summary.assign(recommended=0 * summary["recommended"])
    said = plan_text.compared({"today": summary, "double": nothing, "other": summary.sel(problem=["lowest_loss"])})
    assert "  double  nothing to sign" in said
    assert "  other   not asked" in said
