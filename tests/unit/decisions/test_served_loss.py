"""What quantizing adds is said wherever the loss is, and tokens per total parameter can be asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.next_run import _candidates, _predicted
from bayesmoe.decisions.text import facts
from bayesmoe.documents.problem import ProblemSection
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting.assumptions import assumptions
from bayesmoe.reporting.brief import brief


@pytest.fixture(scope="module")
def served(small_fit, scenario):
    """A plan served in four bits, of designs that see thirty tokens per total parameter at least."""
    wanted = dataclasses.replace(
        scenario,
        choices=dataclasses.replace(scenario.choices, num_experts=(4, 16), baseline_num_experts=4),
        serving=dataclasses.replace(scenario.serving, accelerator="B200-SXM", precision="fp4"),
        limits=dataclasses.replace(scenario.limits, constraints=("tokens_per_total_parameter >= 30",)),
    )
    return plan(small_fit, wanted, sketch=100)


def test_what_quantizing_adds_is_said_wherever_the_loss_is(served, small_fit) -> None:
    decision = decide(served, small_fit, advice=False)[0]
    added = decision.closest.quantization_loss
    assert 0.0 < added.low < added.median < added.high
    assert added.high < decision.closest.loss.median
    assert "from quantizing to fp4 after training" in facts(decision)["Loss"]
    gate = FitInfo.read(small_fit).required_gate()
    assert "from quantizing to fp4" in brief(decision, gate).answers["How sure"]
    row = ProblemSection.of(decision).num_experts[0]
    assert row.quantization_loss_nats_per_token is not None
    assert row.design.quantization_loss_nats_per_token is not None
    said = {one.name: str(one) for one in assumptions(served)}
    assert "at 7B parameters" in said["serving.quantization_loss_nats"]
    assert "docs/precision.md" in said["serving.quantization_loss_nats"]


def test_a_plan_in_sixteen_bits_says_nothing_of_it(small_plan, small_fit) -> None:
    assert not [name for name in small_plan.data_vars if "quantization" in str(name)]
    decision = decide(small_plan, small_fit, advice=False)[0]
    assert decision.closest.quantization_loss is None
    assert "quantizing" not in facts(decision)["Loss"]
    assert ProblemSection.of(decision).num_experts[0].quantization_loss_nats_per_token is None


def test_tokens_per_total_parameter_can_be_asked_for(served) -> None:
    kept = served["tokens_per_total_parameter"].where(served["feasible"])
    assert float(kept.min()) >= 30.0 * (1.0 - 1e-9)
    np.testing.assert_allclose(kept, (served["tokens"] / served["n_total"]).where(served["feasible"]))
    assert "tokens_per_total_parameter >= 30" in PlanInfo.read(served).scenario.limits.constraints


def test_a_run_to_come_is_seen_as_it_is_trained(small_fit, scenario) -> None:
    """What a run would say does not depend on the precision in which another model will be served."""

    def of(precision):
        serving = dataclasses.replace(scenario.serving, accelerator="B200-SXM", precision=precision)
        return surfaces(small_fit, dataclasses.replace(scenario, serving=serving), elsewhere=True, draws=20)

    frame = _candidates(of("bf16"), 1e20)
    wide, narrow = (_predicted(small_fit, of(precision), frame, None) for precision in ("bf16", "fp4"))
    np.testing.assert_array_equal(wide, narrow)
    size, tokens = np.log(frame["n_dense"].to_numpy()[:5])[None], frame["tokens"].to_numpy()[:5][None]
    losses = [next(iter(of(precision).values())).loss(size, tokens) for precision in ("bf16", "fp4")]
    assert (np.asarray(losses[1]) > np.asarray(losses[0])).all()


def test_shipped_scenarios_are_read_as_before() -> None:
    found = read_scenario("yun-2024")
    assert (found.serving.quantization, found.serving.quantization_loss_nats) == ("after training", None)
