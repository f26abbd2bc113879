"""Answers at once agree with the whole plan within what fewer draws allow, and what is moved is answered from what was compiled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.criticism.gate import check
from bayesmoe.decisions.decide import decide
from bayesmoe.explore import preview
from bayesmoe.explore.charts import charts
from bayesmoe.explore.preview import Answer, Previewer
from bayesmoe.planning.blocks import _mapped


@pytest.fixture(scope="module", autouse=True)
def no_hurry():
    """Answers have their full draws on a busy machine too: each smaller number of draws would be compiled apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preview, "ALLOWED_S", float("inf"))
        yield


@pytest.fixture(scope="module")
def asker(small_fit):
    return Previewer(small_fit, check(small_fit))


@pytest.fixture(scope="module")
def answered(asker, scenario):
    return asker.ask("lowest_loss", scenario)


@pytest.mark.slow
def test_an_answer_is_the_plan_of_fewer_draws(answered, small_plan):
    whole = decide(small_plan, advice=False)[1]
    assert answered.draws <= preview.MOST_DRAWS < small_plan.sizes["sample"]
    # Four standard errors of a share from as many draws.
    allowed = 4 * np.sqrt(0.25 / answered.draws)
    for own, other in zip(answered.decision.optima, whole.optima, strict=True):
        assert abs(own.p_best - other.p_best) < allowed
    for own, other in zip(answered.decision.designs, whole.designs, strict=True):
        np.testing.assert_allclose(own.loss, other.loss, rtol=0.02)
    assert answered.decision.recommended_num_experts == whole.recommended_num_experts


@pytest.mark.slow
def test_moving_numbers_compiles_nothing(asker, scenario):
    asker.ask("lowest_loss", scenario)
    before = _mapped._cache_size()
    for budget, chance in ((4e21, 0.5), (2e21, 0.8)):
        training = dataclasses.replace(scenario.training, budget_flop=budget)
        tolerance = dataclasses.replace(scenario.tolerance, probability=chance)
        asker.ask("lowest_loss", dataclasses.replace(scenario, training=training, tolerance=tolerance))
    assert _mapped._cache_size() == before


@pytest.mark.slow
def test_the_gate_says_how_far_the_choice_lies(answered, asker):
    assert answered.gate.verdict in ("REVIEW", asker.gate.verdict)
    added = [one.name for one in answered.gate.checks[len(asker.gate.checks) :]]
    assert added == ["extrapolation", "size", "counts compared"]


def test_a_slow_question_gets_fewer_draws(asker, scenario, monkeypatch):
    asked = []

    def slow(self, scenario, draws):
        asked.append(draws)
        return Answer(None, self.gate, draws, draws / 400.0)

    monkeypatch.setattr(Previewer, "_answer", slow)
    monkeypatch.setattr(preview, "ALLOWED_S", 0.2)
    found = Previewer(asker.fit, asker.gate).ask("lowest_loss", scenario)
    assert found.draws == 50
    assert asked[-1] == 50
    assert sorted(set(asked), reverse=True) == [400, 50]


def test_charts_draw_what_the_answer_says(answered):
    drawn, designs = charts(answered.decision), answered.decision.designs
    assert set(drawn) == {"best", "over_training", "loss", "serving"}
    assert drawn["best"].source.data["value"] == [one.p_best for one in answered.decision.optima]
    for name, bands in (("loss", "loss"), ("serving", "serving_usd_per_million_tokens")):
        for column, end in (("low", "low"), ("value", "median"), ("high", "high")):
            expected = [getattr(getattr(one, bands), end) if one.meets_probability else np.nan for one in designs]
            np.testing.assert_array_equal(drawn[name].source.data[column], expected)
    assert drawn["best"].source.data["experts"] == ["dense", "4", "8", "16", "32"]


def test_charts_draw_the_closest_designs_where_none_meets_the_goal(answered):
    decision = answered.decision
    none = dataclasses.replace(
        decision, designs=tuple(dataclasses.replace(one, meets_probability=False) for one in decision.designs)
    )
    assert charts(none)["loss"].source.data["value"] == [one.loss.median for one in decision.designs]
