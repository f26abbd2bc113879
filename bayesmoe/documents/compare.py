"""Fits of the same runs side by side."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd
from pydantic import Field

from bayesmoe.documents.base import Count, Document, Probability, Section


class ComparedFit(Section):
    """One fit by PSIS-LOO."""

    fit: str = Field(description="its file; of one averaged fit also the law")
    law: str
    elpd_nats: float = Field(description="expected log predictive density")
    elpd_se_nats: float
    elpd_below_best_nats: float
    elpd_below_best_se_nats: float
    stacking_weight: Probability
    runs_with_high_k: Count = Field(description="runs whose Pareto k is above 0.7")


class CompareDocument(Document):
    """Fits by PSIS-LOO, best first."""

    kind: ClassVar[str] = "compare"
    version: ClassVar[int] = 1
    command: ClassVar[str] = "bayesmoe compare --json"

    fits: tuple[ComparedFit, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> CompareDocument:
        """The document of a :func:`bayesmoe.criticism.compare.compare`."""
        return cls(
            fits=tuple(
                ComparedFit(
                    fit=str(fit),
                    law=row["law"],
                    elpd_nats=row["elpd"],
                    elpd_se_nats=row["se"],
                    elpd_below_best_nats=row["elpd_diff"],
                    elpd_below_best_se_nats=row["dse"],
                    stacking_weight=row["weight"],
                    runs_with_high_k=row["doubtful"],
                )
                for fit, row in zip(table.index, table.to_dict("records"), strict=True)
            )
        )
