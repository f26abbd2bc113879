"""What a check of a table of runs found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bayesmoe.documents.base import Count, Document, Number, Section
from bayesmoe.units import finite_or_none

if TYPE_CHECKING:
    from bayesmoe.runs.audit.best_learning_rate import Best
    from bayesmoe.runs.audit.inspect import Inspection
    from bayesmoe.runs.finding import Finding


class RecognizedColumn(Section):
    """A column that was recognized."""

    column: str = Field(description="name in a run table")
    yours: str = Field(description="the file's own name")
    unit: str = Field(description="what it is read in")


class FindingSection(Section):
    """Something that looks wrong."""

    kind: str = Field(description="the suspicion; `rule` for a rule of the run table")
    severity: Literal["wrong", "look"] = Field(description="`wrong`: the rows cannot stand; `look`: they may be right")
    column: str | None = Field(description="the file's own name; null where the table is meant")
    rule: str
    value: str | bool | float | None = Field(description="what was found in the first of the rows")
    hint: str = Field(description="what to do about it")
    rows: tuple[int, ...] = Field(description="lines of the file; records of JSON and Parquet are counted from 2")
    run_ids: tuple[str, ...]

    @classmethod
    def of(cls, finding: Finding, run_ids: dict[int, str]) -> FindingSection:
        """The section of a finding."""
        named = tuple(run_ids[row] for row in finding.rows)
        return cls(**{**vars(finding), "value": _plain(finding.value)}, run_ids=named)


class LeftOut(Section):
    """A row that cannot stand."""

    row: int
    run_id: str


class BestLearningRate(Section):
    """What keeping the lowest loss of each configuration did."""

    runs_kept: Count
    median_runs_per_configuration: Count
    most_runs_per_configuration: Count
    seed_sd_nats_per_token: Number = Field(
        description="standard deviation between seeds, all else equal; null without replicates"
    )
    replicate_runs: Count = Field(description="runs that it was estimated from")
    bias_nats_per_token: Number = Field(
        description="expected minimum of a median number of equally good runs less their mean; negative; null without replicates"
    )
    most_bias_nats_per_token: Number = Field(description="the same of the most runs")
    also_differed: tuple[str, ...] = Field(description="other columns that differ within configurations")

    @classmethod
    def of(cls, best: Best) -> BestLearningRate:
        """The section of a choice."""
        return cls(
            runs_kept=len(best.kept),
            median_runs_per_configuration=best.median,
            most_runs_per_configuration=best.most,
            seed_sd_nats_per_token=best.seed_sd_nats,
            replicate_runs=best.replicates,
            bias_nats_per_token=None if best.bias_nats is None else -best.bias_nats,
            most_bias_nats_per_token=None if best.most_bias_nats is None else -best.most_bias_nats,
            also_differed=best.also_differed,
        )


class RunsCheckDocument(Document):
    """The check of a table of runs."""

    kind: ClassVar[str] = "runs_check"
    version: ClassVar[int] = 2
    command: ClassVar[str] = "bayesmoe runs check --json"

    file: str
    tool: Literal["Weights & Biases", "MLflow", "Trackio", "plain table"] = Field(description="what wrote the file")
    notes: tuple[str, ...] = Field(description="what was done to get one row a run")
    runs_read: Count
    runs_kept: Count = Field(description="runs that can stand, after the best learning rate was chosen")
    recognized_columns: tuple[RecognizedColumn, ...]
    ignored_columns: tuple[str, ...] = Field(description="the file's other columns")
    derived: tuple[str, ...] = Field(description="one sentence for each column derived")
    missing: tuple[str, ...] = Field(description="one sentence for each column that would need more")
    findings: tuple[FindingSection, ...] = Field(description="the wrong ones first")
    left_out: tuple[LeftOut, ...] = Field(description="every row that cannot stand")
    best_of_learning_rate: BestLearningRate | None = Field(description="null where it was not asked for")

    @classmethod
    def of(cls, inspection: Inspection) -> RunsCheckDocument:
        """The document of an inspection."""
        from bayesmoe.runs.aliases import EXTRA
        from bayesmoe.runs.schema import COLUMNS

        columns, run_ids = {**COLUMNS, **EXTRA}, inspection.run_ids
        recognized = (
            RecognizedColumn(column=ours, yours=yours, unit=columns[ours].unit if ours in columns else "count")
            for ours, yours in inspection.names.items()
        )
        best = inspection.best
        return cls(
            file=inspection.origin,
            tool=inspection.tool,
            notes=inspection.notes,
            runs_read=len(run_ids),
            runs_kept=len(inspection.table),
            recognized_columns=tuple(recognized),
            ignored_columns=inspection.unread,
            derived=inspection.derived,
            missing=inspection.missing,
            findings=tuple(FindingSection.of(finding, run_ids) for finding in inspection.findings),
            left_out=tuple(LeftOut(row=row, run_id=run_ids[row]) for row in inspection.wrong_rows),
            best_of_learning_rate=None if best is None else BestLearningRate.of(best),
        )


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    try:
        return finite_or_none(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
