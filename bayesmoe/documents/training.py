"""Section of a plan's document: what training a design takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from bayesmoe.documents.base import Quantiles, Section

if TYPE_CHECKING:
    from bayesmoe.decisions.outcome import TrainingOutcome


class TrainingSection(Section):
    """Training of a design, over the draws in which some layout fits the cluster."""

    gpu_hours: Quantiles
    mfu: Quantiles = Field(description="model FLOP over the peak in bfloat16")
    days: Quantiles | None = Field(None, description="of the cluster, where the scenario states one")
    kwh: Quantiles | None = Field(None, description="energy, where the power of a GPU is known")
    co2_kg: Quantiles | None = Field(None, description="carbon dioxide, where the scenario gives that of a kWh")
    layout: str | None = Field(None, description="commonest layout; null where nothing fits")
    reason: str | None = Field(None, description="why nothing fits; null where something does")

    @classmethod
    def of(cls, run: TrainingOutcome) -> Self:
        """From its outcome."""
        more: dict[str, Any] = {
            name: Quantiles.of(one) for name in ("days", "kwh", "co2_kg") if (one := getattr(run, name)) is not None
        }
        if run.layout or run.reason:
            more |= {"layout": run.layout or None, "reason": run.reason or None}
        return cls(gpu_hours=Quantiles.of(run.gpu_hours), mfu=Quantiles.of(run.mfu), **more)
