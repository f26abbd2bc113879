"""Planning problems: one file each; a new problem is one file and one line here."""

from __future__ import annotations

from bayesmoe.errors import InputError, nearest
from bayesmoe.planning.problems.base import Problem, Thresholds
from bayesmoe.planning.problems.cheapest_serving import CheapestServing
from bayesmoe.planning.problems.efficiency_leverage import EfficiencyLeverage, leverage
from bayesmoe.planning.problems.equal_resources import EqualResources
from bayesmoe.planning.problems.fixed_hardware import FixedHardware
from bayesmoe.planning.problems.lifetime import LifetimeCost, LifetimeFlop
from bayesmoe.planning.problems.loss_optimal import LossOptimal
from bayesmoe.planning.problems.lowest_loss import LowestLoss
from bayesmoe.planning.problems.memory_limited import MemoryLimited
from bayesmoe.planning.scenario import Scenario

all_problems: tuple[Problem, ...] = (
    CheapestServing(),
    LowestLoss(),
    LossOptimal(),
    LifetimeCost(),
    LifetimeFlop(),
    MemoryLimited(),
    EqualResources(),
    FixedHardware(),
    EfficiencyLeverage(),
)

__all__ = ["Problem", "Thresholds", "all_problems", "asked_problems", "leverage", "problem_named"]


def problem_named(name: str) -> Problem:
    """The problem of that name.

    Raises
    ------
    InputError
        The name is unknown.
    """
    known = {problem.name: problem for problem in all_problems}
    if name not in known:
        raise InputError("is not a planning problem", column="problems", value=name, hint=nearest(name, tuple(known)))
    return known[name]


def asked_problems(scenario: Scenario) -> tuple[Problem, ...]:
    """Problems of a scenario, in its order.

    Raises
    ------
    InputError
        A name is unknown or repeated, or the scenario lacks what a problem reads.
    """
    found = tuple(map(problem_named, scenario.problems))
    if len(set(scenario.problems)) != len(scenario.problems):
        raise InputError("must not repeat a problem", column="problems", value=list(scenario.problems))
    for problem in found:
        problem.require(scenario)
    return found
