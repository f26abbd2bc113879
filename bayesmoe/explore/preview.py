"""Answers at once: a plan on as many draws as a moment allows."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field

import xarray as xr

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.decision import Decision
from bayesmoe.decisions.gate import gate_of_plan
from bayesmoe.inference.gate import Gate
from bayesmoe.planning.planner import plan
from bayesmoe.planning.scenario import Scenario
from bayesmoe.reporting.build import report

MOST_DRAWS, FEWEST_DRAWS = 400, 50
ALLOWED_S = 0.2
"""A moment: what an answer may take, so that the page with it stays under 300 ms."""


@dataclass(frozen=True)
class Answer:
    """What a page shows.

    Attributes
    ----------
    decision : Decision
        Of the one problem that was asked.
    gate : Gate
        The fit's checks, with how far the choice lies beyond the runs.
    draws : int
        How many the answer rests on.
    seconds : float
        What it took.
    """

    decision: Decision
    gate: Gate
    draws: int
    seconds: float


@dataclass(frozen=True)
class Previewer:
    """Asks one fit, and remembers how many draws each kind of question affords.

    Parameters
    ----------
    fit : DataTree
        A fit.
    gate : Gate
        Its checks.
    """

    fit: xr.DataTree
    gate: Gate
    _afforded: dict[tuple[object, ...], int] = field(default_factory=dict)

    def ask(self, problem: str, scenario: Scenario) -> Answer:
        """Plan one problem of a scenario.

        A kind of question that is new is compiled first; it then has fewer draws until it takes no longer than :data:`ALLOWED_S`.
        """
        scenario = dataclasses.replace(scenario, problems=(problem,), goal=None)
        kind = (
            problem,
            scenario.serving.max_tpot_s is None,
            scenario.serving.lifetime_tokens is None,
            scenario.choices.num_experts,
            scenario.limits.constraints,
        )
        if kind not in self._afforded:
            draws = MOST_DRAWS
            self._answer(scenario, draws)
            while (found := self._answer(scenario, draws)).seconds > ALLOWED_S and draws > FEWEST_DRAWS:
                # Each number of draws is compiled apart: one that is likely to do is tried at once.
                draws = max(FEWEST_DRAWS, draws // 2 ** math.ceil(math.log2(found.seconds / ALLOWED_S)))
                self._answer(scenario, draws)
            self._afforded[kind] = draws
            return found
        return self._answer(scenario, self._afforded[kind])

    def report(self, scenario: Scenario) -> str:
        """HTML report of a scenario, planned on every draw."""
        return report(self.fit, plan(self.fit, scenario, allow_failed=True))

    def _answer(self, scenario: Scenario, draws: int) -> Answer:
        begun = time.perf_counter()
        found = plan(self.fit, scenario, allow_failed=True, sketch=draws)
        decisions = decide(found, self.fit, advice=False)
        gate, seconds = gate_of_plan(self.gate, decisions), time.perf_counter() - begun
        return Answer(decisions[0], gate, found.sizes["sample"], seconds)
