"""The cheapest life of a model as good as a target: training and serving together, in USD or in FLOP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Problem, as_good_as_baseline
from bayesmoe.planning.scenario import DEMAND_HINT, Scenario


@dataclass(frozen=True)
class LifetimeCost(Problem):
    """``min USD_train(N, D, E) + cost(N, E) T`` with ``L(N, D, E) = target``, T output tokens served in all.

    The target is ``limits.loss_nats``, or the baseline's lowest loss on the budget; the budget itself need not be spent.

    References
    ----------
    Sardana et al. 2023, arXiv:2401.00448, Eq. 3, with a serving model in place of 2 N a token.
    """

    name: ClassVar[str] = "lifetime_cost"
    title: ClassVar[str] = "Lowest lifetime cost at a loss target"
    label: ClassVar[str] = "lowest lifetime cost at a loss target"
    marker: ClassVar[str] = "v"
    color: ClassVar[str] = "#009e73"
    source: ClassVar[str] = "Sardana et al. 2023, arXiv:2401.00448, Eq. 3"
    objective: ClassVar[str] = "lifetime_usd"
    threshold: ClassVar[str | None] = None
    spends_budget: ClassVar[bool] = False
    other_budgets: ClassVar[bool] = True
    has_local_minima: ClassVar[bool] = True

    def require(self, scenario: Scenario) -> None:
        self._need(scenario.serving.lifetime_tokens, "serving.lifetime_tokens", DEMAND_HINT)

    def goal(self, scenario: Scenario) -> str:
        return as_good_as_baseline(scenario)


@dataclass(frozen=True)
class LifetimeFlop(LifetimeCost):
    """``min C(N, E) D + 2 N_active T (p + n)/n`` with ``L(N, D, E) = target``; the prompt's p tokens count as the output's n do.

    References
    ----------
    Sardana et al. 2023, arXiv:2401.00448, Eq. 2.
    """

    name: ClassVar[str] = "lifetime_flop"
    title: ClassVar[str] = "Fewest lifetime FLOP at a loss target"
    label: ClassVar[str] = "fewest lifetime FLOP at a loss target"
    marker: ClassVar[str] = "P"
    color: ClassVar[str] = "#cc79a7"
    source: ClassVar[str] = "Sardana et al. 2023, arXiv:2401.00448, Eq. 2"
    objective: ClassVar[str] = "lifetime_flop"
    has_local_minima: ClassVar[bool] = False
