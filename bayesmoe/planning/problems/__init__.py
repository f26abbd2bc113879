"""Planning problems: one file each; a new problem is one file and one line here.

One of your own needs no line: name it ``package.module:MyProblem`` in a scenario.
"""

from __future__ import annotations

from bayesmoe.errors import InputError, nearest
from bayesmoe.planning.problems.base import OBJECTIVES, Objective, Problem, Thresholds
from bayesmoe.planning.problems.cheapest_serving import CheapestServing
from bayesmoe.planning.problems.efficiency_leverage import EfficiencyLeverage, leverage
from bayesmoe.planning.problems.equal_resources import EqualResources
from bayesmoe.planning.problems.fixed_hardware import FixedHardware
from bayesmoe.planning.problems.lifetime import LifetimeCost, LifetimeFlop
from bayesmoe.planning.problems.loss_optimal import LossOptimal
from bayesmoe.planning.problems.lowest_loss import LowestLoss
from bayesmoe.planning.problems.memory_limited import MemoryLimited
from bayesmoe.planning.scenario import Scenario
from bayesmoe.plugins import imported

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

__all__ = ["OBJECTIVES", "Objective", "Problem", "Thresholds", "all_problems", "asked_problems", "leverage", "problem_named"]


def problem_named(name: str) -> Problem:
    """The problem of that name, or the user's own ``package.module:MyProblem``.

    Raises
    ------
    InputError
        The name is unknown, the module cannot be imported, or what it names is not a problem with one of :data:`OBJECTIVES`.
    """
    if ":" in name:
        own = imported(name, Problem, column="problems", needs=("title", "label", "source"))()
        if ":" not in own.name:
            raise InputError(
                "sets a name",
                column="problems",
                value=name,
                hint="leave it out: a problem of your own is named by where it is",
            )
        if own.objective not in OBJECTIVES:
            hint = nearest(own.objective, tuple(OBJECTIVES))
            raise InputError(
                f"minimizes {own.objective!r}, which is not an objective", column="problems", value=name, hint=hint
            )
        return own
    known = {problem.name: problem for problem in all_problems}
    if name not in known:
        hint = f"{nearest(name, tuple(known))} (your own: package.module:MyProblem)"
        raise InputError("is not a planning problem", column="problems", value=name, hint=hint)
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
