"""Section of a plan's document: a limit that keeps a design from being recommended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from bayesmoe.documents.base import Number, Probability, Section

if TYPE_CHECKING:
    from bayesmoe.decisions.limits import LimitOutcome


class LimitSection(Section):
    """How one limit does for the best design of an expert count, where no design keeps all of them with the required probability."""

    key: str = Field(description="key of the scenario that sets it, text of a constraint, or what it limits")
    label: str
    unit: str
    given: Number = Field(description="its value; null where no number says it")
    p_kept: Probability
    p_costs_alone: Probability = Field(description="share of draws in which the design breaks this limit and no other")
    needed: Number = Field(description="value at which the design would do; null where none of this limit alone would")

    @classmethod
    def of(cls, one: LimitOutcome) -> Self:
        """From its outcome."""
        limit = one.limit
        return cls(
            key=limit.key,
            label=limit.label,
            unit=limit.unit,
            given=limit.given,
            p_kept=one.p_kept,
            p_costs_alone=one.p_costs_alone,
            needed=one.needed,
        )
