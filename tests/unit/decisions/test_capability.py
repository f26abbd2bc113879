"""The caution about reasoning stands where a sparse design sees few tokens per total parameter, in every renderer, and nowhere else."""

from __future__ import annotations

import dataclasses

import pytest

from bayesmoe.decisions.capability import SOURCE, TURNING_POINT, capability_caution
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.outcome import Design
from bayesmoe.decisions.text import facts
from bayesmoe.documents.problem import ProblemSection
from bayesmoe.inference.store import FitInfo
from bayesmoe.reporting.brief import brief
from bayesmoe.reporting.decision import card


def design(tokens_per_total: float, num_experts: int = 64) -> Design:
    """A design with so many tokens per total parameter."""
    return Design(num_experts, 2, 1.0, 1e9, 2e9, 20e9, tokens_per_total * 20e9)


def test_it_stands_below_the_published_turning_point_alone() -> None:
    assert capability_caution(design(TURNING_POINT)) == ""
    assert capability_caution(design(60.0)) == ""
    assert capability_caution(design(5.0, num_experts=1)) == ""
    said = capability_caution(design(5.0))
    assert "5.0 tokens per total parameter" in said
    assert "10% are active" in said
    assert SOURCE in said
    assert f"tokens_per_total_parameter >= {TURNING_POINT:g}" in said


@pytest.fixture(scope="module")
def decision(small_plan, small_fit):
    """A decision whose designs see many tokens per total parameter."""
    return decide(small_plan, small_fit, advice=False)[0]


def with_tokens(decision, tokens_per_total: float):
    """The same with other tokens."""

    def changed(one):
        own = dataclasses.replace(one.design, tokens=tokens_per_total * one.design.n_total)
        return dataclasses.replace(one, design=own)

    return dataclasses.replace(decision, designs=tuple(map(changed, decision.designs)))


@pytest.mark.parametrize(("tokens_per_total", "cautioned"), [(4.0, True), (40.0, False)])
def test_terminal_report_and_json_carry_it(decision, small_fit, tokens_per_total, cautioned) -> None:
    own = with_tokens(decision, tokens_per_total)
    assert own.closest.design.num_experts > 1
    assert ("Reasoning" in facts(own)) == cautioned
    assert (SOURCE in str(own)) == cautioned
    assert (SOURCE in own._repr_html_()) == cautioned
    assert ("Reasoning" in card(own)["facts"]) == cautioned
    gate = FitInfo.read(small_fit).required_gate()
    assert (SOURCE in brief(own, gate).answers["What could go wrong"]) == cautioned
    document = ProblemSection.of(own)
    assert (document.capability_caution is not None) == cautioned
    row = next(one for one in document.num_experts if one.num_experts == own.closest.design.num_experts)
    assert row.design.tokens_per_total_parameter == pytest.approx(tokens_per_total)
