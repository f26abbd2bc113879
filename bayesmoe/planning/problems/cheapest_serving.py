"""Yun's Algorithm 1: the cheapest model to serve that is as good as the baseline expert count at its loss optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Problem, as_good_as_baseline
from bayesmoe.planning.scenario import Scenario


@dataclass(frozen=True)
class CheapestServing(Problem):
    """``min cost(N, E)`` with ``L(N, D, E) <= L_baseline``, on the training budget.

    ``L_baseline`` is the lowest loss of the baseline expert count on the budget, or the scenario's ``limits.loss_nats``. The smaller a model, the
    cheaper it serves, so the solution is over-trained.

    References
    ----------
    Yun et al. 2024, arXiv:2404.02852, Algorithm 1.
    """

    name: ClassVar[str] = "cheapest_serving"
    title: ClassVar[str] = "Cheapest serving at bounded loss"
    label: ClassVar[str] = "cheapest serving at bounded loss"
    marker: ClassVar[str] = "o"
    color: ClassVar[str] = "#0072b2"
    source: ClassVar[str] = "Yun et al. 2024, arXiv:2404.02852, Algorithm 1"
    objective: ClassVar[str] = "serving_usd_per_million_tokens"
    threshold: ClassVar[str | None] = "loss"

    def goal(self, scenario: Scenario) -> str:
        return as_good_as_baseline(scenario)
