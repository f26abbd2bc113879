"""A planning problem of the user's own is one class, named where it is: planned, drawn, reported and written like any other."""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import pytest

from bayesmoe import plots
from bayesmoe.decisions.decide import decide
from bayesmoe.documents import PlanDocument
from bayesmoe.errors import InputError
from bayesmoe.planning.planner import plan
from bayesmoe.planning.problems import Problem, problem_named
from bayesmoe.planning.problems.cheapest_serving import CheapestServing
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.store import load_plan, save_plan
from bayesmoe.reporting.build import report

NAME = "labs_own_problems:SmallEnough"


@dataclasses.dataclass(frozen=True)
class SmallEnough(Problem):
    """The lowest loss of a model of at most 20B parameters."""

    title: ClassVar[str] = "Lowest loss of at most 20B parameters"
    label: ClassVar[str] = "lowest loss, 20B at most"
    source: ClassVar[str] = "this test"

    def goal(self, scenario: Scenario) -> str:
        return "of at most 20B parameters"

    def met(self, here: Any, quantities: Any, thresholds: Any) -> Any:
        return quantities.n_total <= 20e9


@pytest.fixture(autouse=True)
def labs_own_problems(monkeypatch):
    """A module that holds the problem, and classes that are none."""
    module = ModuleType("labs_own_problems")
    own = {
        name: value
        for name, value in vars(SmallEnough).items()
        if name not in ("__module__", "__dict__", "__weakref__", "name")
    }
    module.SmallEnough = type("SmallEnough", (Problem,), {**own, "__module__": "labs_own_problems"})
    module.NoProblem = dict
    module.Untitled = type("Untitled", (Problem,), {"__module__": "labs_own_problems"})
    words = {"title": "t", "label": "l", "source": "s", "__module__": "labs_own_problems"}
    module.Cheaper = type("Cheaper", (CheapestServing,), {"title": "t", "__module__": "labs_own_problems"})
    module.Renamed = type("Renamed", (Problem,), {**words, "name": "mine"})
    module.Elsewhere = type("Elsewhere", (Problem,), {**words, "objective": "beauty"})
    monkeypatch.setitem(sys.modules, "labs_own_problems", module)


@pytest.fixture
def planned(small_fit, scenario):
    """A plan of the own problem beside a shipped one."""
    choices = dataclasses.replace(scenario.choices, num_experts=(4, 16))
    return plan(small_fit, dataclasses.replace(scenario, choices=choices, problems=("lowest_loss", NAME)))


@pytest.mark.slow
def test_a_tenth_problem_goes_all_the_way(small_fit, planned, tmp_path) -> None:
    save_plan(planned, tmp_path / "plan.nc")
    own = load_plan(tmp_path / "plan.nc", of=small_fit)
    decision = decide(own, small_fit)[1]
    assert decision.problem.name == NAME
    assert decision.goal == "of at most 20B parameters"
    assert decision.recommended is not None
    assert decision.recommended.n_total <= 20e9
    assert NAME in PlanDocument.of(own, decide(own)).as_dict()["problems"]
    assert "Lowest loss of at most 20B parameters" in report(small_fit, own)
    figure = plots.best_experts(decide(own).risk)
    assert "lowest loss, 20B at most" in [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    plt.close(figure)


def test_a_problem_that_extends_a_shipped_one_has_a_name_of_its_own() -> None:
    assert problem_named("labs_own_problems:Cheaper").name == "labs_own_problems:Cheaper"
    assert problem_named("cheapest_serving").name == "cheapest_serving"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("labs_own_problems:NoProblem", r"is not a subclass of bayesmoe\.planning\.problems\.Problem"),
        ("labs_own_problems:Nothing", r"cannot be imported"),
        ("nowhere_at_all:Nothing", r"cannot be imported"),
        ("labs_own_problems:Untitled", r"has no title"),
        ("labs_own_problems:Renamed", r"sets a name"),
        ("labs_own_problems:Elsewhere", r"minimizes 'beauty', which is not an objective"),
    ],
)
def test_what_is_no_problem_says_why(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        problem_named(name)
