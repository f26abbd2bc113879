"""What a planning problem is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from bayesmoe.errors import InputError
from bayesmoe.planning.landscape import Landscape
from bayesmoe.planning.scenario import Scenario


class Bars(NamedTuple):
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
    """A planning problem: minimise one quantity over architectures and sizes, with tokens that follow from the size.

    A subclass names itself and its ``objective``, and overrides what it does otherwise than "spend the budget, bounded by nothing".

    Attributes
    ----------
    name, source : str
        Name in a plan's ``problem`` coordinate; paper and equation.
    objective : str
        Quantity that is minimised, of :data:`bayesmoe.planning.landscape.QUANTITIES`.
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
    bar: ClassVar[str | None] = None
    spends_budget: ClassVar[bool] = True
    other_budgets: ClassVar[bool] = False
    valleys: ClassVar[bool] = False

    def require(self, scenario: Scenario) -> None:
        """Raise an InputError where the scenario lacks what the problem reads."""

    def sizes(self, here: Landscape) -> Any:
        """ln sizes, shape (S, K), where the problem fixes them; None where they are free."""
        return None

    def tokens(self, here: Landscape, ln_size: Any, bars: Bars) -> Any:
        """Training tokens at a size."""
        return here.tokens(ln_size) if self.spends_budget else here.tokens_of_loss(ln_size, bars.loss)

    def met(self, here: Landscape, quantities: Mapping[str, Any], bars: Bars) -> Any:
        """Whether constraints hold, elementwise."""
        return True if self.bar is None else quantities[self.bar] <= getattr(bars, self.bar)

    def _need(self, value: Any, column: str, cure: str) -> None:
        if value is None:
            raise InputError(f"is needed by the problem {self.name!r}", column=column, cure=cure)
