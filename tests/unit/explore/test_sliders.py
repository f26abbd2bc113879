"""Sliders start where the scenario is, move one number each, and leave what they do not move."""

from __future__ import annotations

import dataclasses

import pytest

from bayesmoe.costs.uncertain import Uncertain
from bayesmoe.explore.sliders import sliders, turned
from bayesmoe.planning.reading import read_scenario
from bayesmoe.specs import to_toml


def with_serving(scenario, **values):
    return dataclasses.replace(scenario, serving=dataclasses.replace(scenario.serving, **values))


def by_key(scenario):
    return {one.key: one for one in sliders(scenario)}


def test_every_slider_starts_where_the_scenario_is(scenario):
    for one in sliders(scenario):
        assert one.start in one.options().values(), one.key
        assert turned(scenario, one, one.start) is scenario


def test_an_uncertain_number_keeps_its_spread(scenario):
    price = by_key(scenario)["price_usd_per_gpu_hour"]
    found = turned(scenario, price, 3.0).serving.price_usd_per_gpu_hour
    assert found == Uncertain(median=3.0, log_sd=scenario.serving.price_usd_per_gpu_hour.log_sd)


def test_one_number_moves_and_no_other(scenario):
    for one in sliders(scenario):
        value = next(value for value in one.values if value not in (None, one.start))
        found = turned(scenario, one, value)
        part, was = getattr(found, one.section), getattr(scenario, one.section)
        assert dataclasses.replace(part, **{one.key: getattr(was, one.key)}) == was
        assert dataclasses.replace(found, **{one.section: was}) == scenario
        assert getattr(part, one.key) != getattr(was, one.key)


def test_a_target_and_a_demand_may_be_given_and_taken_back(scenario):
    bare = with_serving(scenario, lifetime_tokens=None, max_tpot_s=0.033)
    known = by_key(bare)
    assert known["lifetime_tokens"].values[0] is None
    assert turned(bare, known["lifetime_tokens"], 1e12).serving.lifetime_tokens == 1e12
    assert 0.033 in known["max_tpot_s"].values
    assert turned(bare, known["max_tpot_s"], None).serving.max_tpot_s is None
    assert known["max_tpot_s"].said(None) == "none"


def test_a_budget_in_dollars_has_its_slider(scenario):
    training = dataclasses.replace(scenario.training, budget_flop=None, budget_usd=1e6)
    budget = by_key(dataclasses.replace(scenario, training=training))["budget_usd"]
    assert (budget.said(1e6), budget.start) == ("1.00M USD", 1e6)


def test_latency_targets_grow_stricter_to_the_right(scenario):
    values = by_key(scenario)["max_tpot_s"].values[1:]
    assert list(values) == sorted(values, reverse=True)


@pytest.mark.parametrize("key", ["budget_flop", "max_tpot_s", "probability", "lifetime_tokens"])
def test_what_was_moved_can_be_read_again(scenario, key, tmp_path):
    one = by_key(scenario)[key]
    asked = turned(scenario, one, one.values[-2])
    (tmp_path / "scenario.toml").write_text(to_toml(asked), encoding="utf-8")
    assert read_scenario(tmp_path / "scenario.toml") == asked
