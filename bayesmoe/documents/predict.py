"""Predicted losses of models that were not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from bayesmoe.documents.base import Document, Quantiles, Section


class PredictedModel(Section):
    """One model."""

    run_id: str
    loss_nats_per_token: Quantiles = Field(description="posterior predictive, noise of a run included")


class PredictDocument(Document):
    """Predicted loss of each model."""

    kind: ClassVar[str] = "predict"
    version: ClassVar[int] = 1
    command: ClassVar[str] = "bayesmoe predict --json"

    law: str
    models: tuple[PredictedModel, ...]

    @classmethod
    def of(cls, law: str, bands: Mapping[str, Sequence[float]]) -> PredictDocument:
        """The document of 5%, 50% and 95% quantiles by run."""
        models = (PredictedModel(run_id=run, loss_nats_per_token=Quantiles.of(band)) for run, band in bands.items())
        return cls(law=law, models=tuple(models))
