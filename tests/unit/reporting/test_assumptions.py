"""Assumptions as used: every value of the resolved scenario, defaults with their source, limits with how often they bind."""

from __future__ import annotations

import dataclasses

import pytest

from bayesmoe.costs.workload import Serving
from bayesmoe.planning.problems import all_problems
from bayesmoe.planning.reference import keys
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting.assumptions import assumptions, binding_limits

WITHOUT_EFFECT = {"serving.draft_acceptance", "serving.draft_acceptance_decay", "serving.quantization", "limits.max_epochs"}
"""What a plan without drafts, in one precision and with all the data that it wants, does not depend on."""


def said_of(plan, **sections):
    """Assumptions by key, of a plan whose scenario has other values."""
    info = PlanInfo.read(plan)
    parts = {name: dataclasses.replace(getattr(info.scenario, name), **values) for name, values in sections.items()}
    scenario = dataclasses.replace(info.scenario, **parts)
    return {one.name: one for one in assumptions(dataclasses.replace(info, scenario=scenario).write(plan))}


def test_what_the_scenario_gives_is_there_and_no_default(small_plan):
    said = said_of(
        small_plan, serving={"precision": "fp8", "max_tpot_s": 0.025}, limits={"unique_tokens": 15e12, "max_epochs": 2.0}
    )
    assert str(said["serving.precision"]) == "fp8"
    assert str(said["serving.max_tpot_s"]) == "0.025 s"
    assert str(said["limits.unique_tokens"]) == "1.5e13 tokens"
    assert str(said["training.mfu"]) == "0.4 (log-sd 0.15) share of the peak in bfloat16"
    assert not said["limits.max_epochs"].source


def test_a_default_says_where_it_comes_from(small_plan):
    usual = Serving().utilization
    said = said_of(small_plan, serving={"utilization": usual, "price_usd_per_gpu_hour": None})
    assert str(said["serving.utilization"]) == "0.5 (log-sd 0.35) share of the time; default: an assumption of this project"
    assert str(said["serving.bytes_per_kv_element"]).startswith("2 bytes; default: 1 with weights of eight bits or fewer")
    assert "default: an assumption of November 2025" in str(said["serving.price_usd_per_gpu_hour"])
    assert "1.2 (log-sd 0.4) for A100-SXM-40GB" in str(said["serving.price_usd_per_gpu_hour"])
    assert "default: no limit on data" in str(said["limits.unique_tokens"])


def test_nothing_in_use_is_left_out(small_plan):
    scenario, said = PlanInfo.read(small_plan).scenario, said_of(small_plan)
    assert not WITHOUT_EFFECT & set(said)
    serving = {"draft_tokens": 2, "precision": "fp8", "accelerator": "H100-SXM"}
    assert set(said_of(small_plan, serving=serving, limits={"unique_tokens": 1e12})) >= WITHOUT_EFFECT
    for key in keys():
        if key.section in ("training", "serving", "architecture", "limits", "tolerance") and key.name not in WITHOUT_EFFECT:
            assert (key.name in said) >= (getattr(getattr(scenario, key.section), key.key, None) is not None)
    assert "limits.memory_bytes" not in said


@pytest.mark.parametrize(
    ("repetition", "says"),
    [
        (
            "prior",
            "; repeats fade after 8 (log-sd 0.9) passes and excess size after 8 (log-sd 0.9) times that for the data: the prior, as no",
        ),
        ("runs", "; repeats fade as the runs of the fit say"),
        ("none", ""),
    ],
)
def test_limited_data_say_where_the_worth_of_repeats_comes_from(small_plan, repetition, says):
    info = PlanInfo.read(small_plan)
    limits = dataclasses.replace(info.scenario.limits, unique_tokens=1e12)
    scenario = dataclasses.replace(info.scenario, limits=limits)
    plan = dataclasses.replace(info, scenario=scenario, repetition=repetition).write(small_plan)
    said = {one.name: one.value for one in assumptions(plan)}["limits.max_epochs"]
    assert said.startswith(f"40 passes{says}")
    assert said == "40 passes" or says


def test_a_threshold_of_the_scenario_is_not_the_baselines(small_plan):
    assert "4-expert model" in str(said_of(small_plan)["limits.loss_nats"])
    assert str(said_of(small_plan, limits={"loss_nats": 2.1})["limits.loss_nats"]) == "2.1 nats per token"


def limited(plan, tokens=None, max_gpus=None):
    """The plan with a limit on data, or on GPUs, at a quantile of what its draws take."""
    info = PlanInfo.read(plan)
    limits = dataclasses.replace(info.scenario.limits, unique_tokens=tokens, max_epochs=1.0)
    serving = dataclasses.replace(info.scenario.serving, max_gpus=max_gpus or info.scenario.serving.max_gpus)
    return dataclasses.replace(info, scenario=dataclasses.replace(info.scenario, limits=limits, serving=serving)).write(plan)


def test_limits_that_bind_are_named_with_their_share(small_plan):
    free = binding_limits(small_plan)
    titles = [one.title for one in all_problems if one.name in small_plan["problem"].values]
    assert list(free) == titles
    assert not any("limits.unique_tokens" in said for said in free.values())
    held = small_plan.assign(tokens=small_plan["tokens"].clip(max=1e9))
    assert all(
        "data (limits.unique_tokens x max_epochs) in 100% of draws" in said
        for said in binding_limits(limited(held, 1e9)).values()
    )
    assert not any("limits.unique_tokens" in said for said in binding_limits(limited(held, 1.1e9)).values())
    gpus = binding_limits(limited(small_plan.assign(n_gpus=0.0 * small_plan["tokens"] + 3.0), None, 3))
    assert all("serving.max_gpus) in 100%" in said for said in gpus.values())


def test_a_plan_without_any_design_says_so(small_plan):
    none = binding_limits(small_plan.assign(feasible=small_plan["feasible"] & False))
    assert set(none.values()) == {"no design meets every limit in any draw"}


@pytest.mark.parametrize("problem", ["cheapest_serving", "lowest_loss"])
def test_the_threshold_that_a_problem_has_is_among_the_limits(small_plan, problem):
    title = next(one.title for one in all_problems if one.name == problem)
    assert "the threshold of" in binding_limits(small_plan)[title]
