"""What a planning problem is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from bayesmoe.errors import InputError
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface


class Thresholds(NamedTuple):
    """What a draw must keep to, each beside its candidates and sizes.

    Attributes
    ----------
    loss : array
        Highest loss, nats per token: the scenario's, or the base's lowest on the budget.
    serving_usd_per_million_tokens : array
        Highest cost of serving: the scenario's, or that of the base at its lowest loss.
    """

    loss: Any
    serving_usd_per_million_tokens: Any


@dataclass(frozen=True)
class Problem:
    """A planning problem: minimize one quantity over architectures and sizes, with tokens that follow from the size.

    A subclass names itself and its ``objective``, and overrides what it does otherwise than "spend the budget, bounded by nothing".

    Attributes
    ----------
    name, source : str
        Name in a plan's ``problem`` coordinate; paper and equation.
    objective : str
        Quantity that is minimized, of :data:`bayesmoe.planning.surface.QUANTITIES`.
    bar : str or None
        Quantity that is bounded in each draw, of :class:`Bars`.
    spends_budget : bool
        Whether the training budget is spent; otherwise as many tokens as reach the bar of loss.
    other_budgets : bool
        Whether other training budgets are looked at.
    valleys : bool
        Whether a serving cost is weighed against another cost: it jumps wherever a request less fits, and each jump makes a valley.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    objective: ClassVar[str] = "loss"
    threshold: ClassVar[str | None] = None
    spends_budget: ClassVar[bool] = True
    other_budgets: ClassVar[bool] = False
    has_local_minima: ClassVar[bool] = False

    def require(self, scenario: Scenario) -> None:
        """Raise an InputError where the scenario lacks what the problem reads."""

    def sizes(self, here: DesignSurface) -> Any:
        """ln sizes, shape (S, K), where the problem fixes them; None where they are free."""
        return None

    def tokens(self, here: DesignSurface, ln_size: Any, thresholds: Thresholds) -> Any:
        """Training tokens at a size."""
        return here.tokens(ln_size) if self.spends_budget else here.tokens_of_loss(ln_size, thresholds.loss)

    def met(self, here: DesignSurface, quantities: Mapping[str, Any], thresholds: Thresholds) -> Any:
        """Whether constraints hold, elementwise."""
        return True if self.threshold is None else quantities[self.threshold] <= getattr(thresholds, self.threshold)

    def _need(self, value: Any, column: str, hint: str) -> None:
        if value is None:
            raise InputError(f"is needed by the problem {self.name!r}", column=column, hint=hint)
