"""Limits of plans that cannot be kept: they add up to what is infeasible, and relaxing one as it says is enough."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.decisions.decide import decide
from bayesmoe.inference.ensemble import most_experts
from bayesmoe.planning.best_designs import best_designs
from bayesmoe.planning.limits import limit_named
from bayesmoe.planning.planner import plan
from bayesmoe.planning.scenario import MOST_TOKENS_PER_PARAMETER, with_counts
from bayesmoe.planning.store import PlanInfo


def changed(scenario, **sections):
    """A scenario of two counts with other values."""
    parts = {
        name: value if name == "problems" else dataclasses.replace(getattr(scenario, name), **value)
        for name, value in sections.items()
    }
    return dataclasses.replace(with_counts(scenario, (4, 16)), **parts)


CASES = {
    "memory": (
        {
            "problems": ("cheapest_serving",),
            "serving": {"max_gpus": 1, "memory_fraction": 0.2},
            "limits": {"loss_nats": 3.0, "constraints": ("n_active >= 3e9",)},
        },
        "serving.max_gpus",
    ),
    "time per token": (
        {
            "problems": ("cheapest_serving",),
            "serving": {"max_tpot_s": 0.004},
            "limits": {"loss_nats": 3.0, "constraints": ("n_active >= 3e9",)},
        },
        "serving.max_tpot_s",
    ),
    "loss": ({"problems": ("cheapest_serving",), "limits": {"loss_nats": 1.95}}, "limits.loss_nats"),
    "price": (
        {
            "problems": ("lowest_loss",),
            "limits": {"serving_usd_per_million_tokens": 0.02, "constraints": ("n_active >= 3e9",)},
        },
        "limits.serving_usd_per_million_tokens",
    ),
    "own": ({"problems": ("loss_optimal",), "limits": {"constraints": ("loss <= 1.95",)}}, "loss <= 1.95"),
    "demand": (
        {"problems": ("fixed_hardware",), "limits": {"output_tokens_per_s": 1e5, "constraints": ("n_active >= 3e9",)}},
        "limits.output_tokens_per_s",
    ),
}


@pytest.mark.parametrize("case", ["loss", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "loss")])
@pytest.mark.slow
def test_limits_add_up_and_relaxing_one_as_it_says_is_enough(small_fit, scenario, case):
    sections, key = CASES[case]
    asked = changed(scenario, **sections)
    found = plan(small_fit, asked)
    for p, row in enumerate(best_designs(found).values):
        together = found["limit_kept"].values[p].all(axis=0)
        np.testing.assert_array_equal(together, found["option_feasible"].values[p, row])
    (decision,) = decide(found, small_fit, advice=False)
    assert decision.recommended is None
    outcome = decision.closest
    assert 1e6 * 1.01 < outcome.design.n_dense < 1e14
    assert outcome.design.tokens <= MOST_TOKENS_PER_PARAMETER * outcome.design.n_active * 1.001
    own = {one.limit.key: one for one in outcome.limits}
    assert sum(one.p_costs_alone for one in outcome.limits) <= 1.0 - outcome.p_feasible + 1e-9
    assert own[key].p_kept < 0.9
    relaxed = own[key].needed
    assert np.isfinite(relaxed), f"{key}: {own[key]}"
    limit = own[key].limit
    assert relaxed < limit.given if limit.at_least else relaxed > limit.given
    (again,) = decide(plan(small_fit, loosened(asked, key, relaxed)), small_fit, advice=False)
    assert again.recommended is not None, f"{key} = {relaxed}: {again}"


def loosened(scenario, key, value):
    """The scenario with one limit at a value, rounded so that it is a little looser."""
    if " <= " in key:
        texts = tuple(text.replace(key, f"loss <= {value * 1.0001}") for text in scenario.limits.constraints)
        return changed(scenario, limits={"constraints": texts})
    section, name = key.split(".")
    if name == "max_gpus":
        return changed(scenario, serving={name: int(value)})
    return changed(scenario, **{section: {name: value * (0.999 if name == "output_tokens_per_s" else 1.001)}})


def test_a_design_whose_tokens_are_the_same_in_every_draw_reaches_its_loss_in_some_alone(small_fit, scenario):
    found = plan(small_fit, changed(scenario, problems=("lifetime_flop",), limits={"loss_nats": 2.1}))
    loss, met = (found[f"option_{name}"].values[0] for name in ("loss", "feasible"))
    clear = np.abs(loss / 2.1 - 1.0) > 1e-5
    assert not (met & (loss > 2.1) & clear).any()
    (decision,) = decide(found, small_fit, advice=False)
    # As many tokens as reach it in nine of ten draws do so in no more.
    assert 0.9 <= decision.outcome.p_feasible < 0.95


def test_a_plan_with_a_design_for_every_problem_carries_no_limits(small_plan):
    assert "limit" not in small_plan


def test_limits_are_named_by_the_keys_that_set_them(scenario):
    asked = changed(scenario, serving={"max_tpot_s": 0.02}, limits={"unique_tokens": 1e12, "max_epochs": 2.0})
    assert limit_named("serving.max_tpot_s", asked)[1:] == ("time per output token", "s", 0.02, False)
    assert limit_named("limits.unique_tokens", asked).given == 2e12
    assert limit_named("n_total <= 6e10", asked)[3:] == (6e10, False)
    assert limit_named("20 < tokens / n_active", asked)[3:] == (20.0, True)
    both = limit_named("n_total <= 6e10 and loss < 2", asked)
    assert (np.isnan(both.given), both.label) == (True, "n_total <= 6e10 and loss < 2")


@pytest.mark.slow
def test_without_a_list_counts_are_added_until_the_best_lies_inside_or_too_far_from_the_runs(
    small_fit, scenario, monkeypatch
):
    monkeypatch.setattr("bayesmoe.planning.choices.STARTING_COUNTS", (1, 4, 8))
    asked = dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, num_experts=None))
    asked = dataclasses.replace(asked, problems=("loss_optimal",))
    info = PlanInfo.read(found := plan(small_fit, asked, sketch=200))
    largest = max(info.scenario.choices.num_experts)
    assert info.scenario.choices.num_experts[:3] == (1, 4, 8)
    assert largest <= 8 * most_experts(small_fit)
    (decision,) = decide(found, small_fit, advice=False)
    if info.counts_end == "inside":
        assert decision.p_best_is_largest <= 0.01
    else:
        assert info.counts_end == "trained"
        assert 2 * largest > 8 * most_experts(small_fit)
    listed = plan(small_fit, with_counts(asked, (1, 4, 8)), sketch=200)
    assert PlanInfo.read(listed).counts_end == "list"
