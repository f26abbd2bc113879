"""Yun's Algorithm 2: the lowest loss that costs no more to serve than the baseline expert count at its loss optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Problem, baseline
from bayesmoe.planning.scenario import Scenario


@dataclass(frozen=True)
class LowestLoss(Problem):
    """``min L(N, D, E)`` with ``cost(N, E) <= cost_baseline``, on the training budget.

    ``cost_baseline`` is that of the baseline expert count at its lowest loss, or the scenario's ``limits.serving_usd_per_million_tokens``.

    References
    ----------
    Yun et al. 2024, arXiv:2404.02852, Algorithm 2.
    """

    name: ClassVar[str] = "lowest_loss"
    title: ClassVar[str] = "Lowest loss at bounded serving cost"
    label: ClassVar[str] = "lowest loss at bounded serving cost"
    marker: ClassVar[str] = "s"
    color: ClassVar[str] = "#d55e00"
    source: ClassVar[str] = "Yun et al. 2024, arXiv:2404.02852, Algorithm 2"
    threshold: ClassVar[str | None] = "serving_usd_per_million_tokens"

    def goal(self, scenario: Scenario) -> str:
        most = scenario.limits.serving_usd_per_million_tokens
        if most is None:
            return f"no more expensive to serve than {baseline(scenario)}"
        return f"served for at most USD {most:g} per million output tokens"
