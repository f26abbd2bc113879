"""The check of a table of runs: what was understood, what was derived, what looks wrong, and the rows that can stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.files import written_whole
from bayesmoe.runs.aliases import EXTRA, understood
from bayesmoe.runs.audit.best_learning_rate import Best, best_of_learning_rate
from bayesmoe.runs.audit.checks import OF_ROWS, OF_RUNS, OF_VALUES
from bayesmoe.runs.audit.finding import Finding, Sheet
from bayesmoe.runs.schema import COLUMNS, complaints, numbers_of
from bayesmoe.runs.table import MAPPABLE, derive, renamed
from bayesmoe.runs.trackers import Tool, read_export
from bayesmoe.units import finite_or_none

SCHEMA, SCHEMA_VERSION = "bayesmoe.runs_check", 1

_NOT_KEPT = ("name", "state", "diverged")


@dataclass(frozen=True)
class Inspection:
    """What a check found.

    Parameters
    ----------
    origin : str
        The file.
    tool : str
        What wrote it.
    direct : bool
        Whether a model spec can name the file itself; else it needs the cleaned copy.
    notes : tuple of str
        What was done to get one row a run.
    rows : int
        Runs read.
    names : dict
        Our columns to the file's own.
    unread : tuple of str
        Columns of the file that were not understood.
    derived, missing : tuple of str
        Sentences on what was derived, and what could not be.
    findings : tuple of Finding
        What looks wrong, the worst first.
    run_ids : dict
        Row to run, by its name where it has no key.
    table : DataFrame
        Runs that can stand, under our names, indexed by line, with what was derived.
    best : Best, optional
        What choosing the best learning rate did.
    """

    origin: str
    tool: Tool
    direct: bool
    notes: tuple[str, ...]
    rows: int
    names: dict[str, str]
    unread: tuple[str, ...]
    derived: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    run_ids: dict[int, str]
    table: pd.DataFrame
    best: Best | None = None

    @property
    def wrong_rows(self) -> tuple[int, ...]:
        """Lines of the runs that cannot stand."""
        return tuple(sorted({row for finding in self.findings if finding.severity == "wrong" for row in finding.rows}))

    @property
    def is_wrong(self) -> bool:
        """Whether anything cannot stand: rows, or the table."""
        return any(finding.severity == "wrong" for finding in self.findings)


def inspect_runs(path: str | Path, *, columns: Mapping[str, str] | None = None, best: bool = False) -> Inspection:
    """Check a file of runs, whatever wrote it.

    Parameters
    ----------
    path : path
        CSV, Parquet or JSON, of a tracker or of pandas.
    columns : mapping, optional
        Ours to the file's own, before the common names.
    best : bool
        Keep the run of lowest loss of every configuration.

    Raises
    ------
    InputError
        The file is unreadable, a map names a column that is not there, or the best learning rate cannot be chosen.
    """
    origin = str(path)
    export = read_export(path)
    present = tuple(str(name) for name in export.frame.columns)
    names = understood(export, columns or {})
    frame = renamed(export.frame, names, origin, (*MAPPABLE, *EXTRA))
    frame, made = _tokens_made(frame)
    rows = len(frame)
    label = frame["name"].fillna(frame["run_id"]) if "run_id" not in names and "name" in frame else frame["run_id"]
    run_ids = dict(zip(map(int, frame.index), map(str, label), strict=True))

    found: list[Finding] = []
    for check in OF_ROWS:
        found += check(Sheet(frame, names, present))
    frame = _without_wrong(frame, found)
    derived: list[str] = list(made)
    missing: list[str] = []
    chosen = None
    if not frame.empty:
        for check in OF_VALUES:
            found += check(Sheet(frame, names, present))
        told = {(row, finding.column) for finding in found for row in finding.rows if finding.severity == "wrong"}
        frame, broken = complaints(frame, origin)
        found += _as_findings([error for error in broken if (error.row, names.get(str(error.column))) not in told], names)
        frame = frame.iloc[:0] if any(error.row is None for error in broken) else _without_wrong(frame, found)
    if not frame.empty:
        frame, more, missing = derive(frame)
        derived += more
        if best:
            chosen = best_of_learning_rate(frame, origin=origin)
            frame = frame.loc[list(chosen.kept)]
        for check in OF_RUNS:
            found += check(Sheet(frame, names, present))
    return Inspection(
        origin=origin,
        tool=export.tool,
        direct=export.direct and not made and chosen is None,
        notes=export.notes,
        rows=rows,
        names=names,
        unread=tuple(name for name in present if name not in names.values()),
        derived=tuple(derived),
        missing=tuple(missing),
        findings=tuple(sorted(found, key=lambda finding: finding.severity != "wrong")),
        run_ids=run_ids,
        table=frame,
        best=chosen,
    )


def _tokens_made(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Tokens from steps and the batch, where a tracker counted steps only."""
    if "tokens" in frame or "steps" not in frame:
        return frame, ()
    if "batch_tokens" in frame:
        per_step, how = numbers_of(frame["batch_tokens"]), "steps * batch_tokens"
    elif {"batch_sequences", "sequence_length"} <= set(frame.columns):
        per_step = numbers_of(frame["batch_sequences"]) * numbers_of(frame["sequence_length"])
        how = "steps * batch_sequences * sequence_length"
    else:
        return frame, ()
    return frame.assign(tokens=numbers_of(frame["steps"]) * per_step), (f"tokens = {how}",)


def _without_wrong(frame: pd.DataFrame, found: list[Finding]) -> pd.DataFrame:
    wrong = {row for finding in found if finding.severity == "wrong" for row in finding.rows}
    return frame[~frame.index.isin(wrong)]


def _as_findings(broken: list[InputError], names: Mapping[str, str]) -> list[Finding]:
    """One finding a rule and column, its rows together; what is said of a value is said of the first."""
    together: dict[tuple[str, str | None], list[InputError]] = {}
    for error in broken:
        # The bound of a rule over two columns is another one in every row.
        together.setdefault((error.rule.partition(" (")[0], error.column), []).append(error)
    return [
        Finding(
            kind="rule",
            severity="wrong",
            rule=errors[0].rule,
            rows=tuple(error.row for error in errors if error.row is not None),
            column=names.get(column, column) if column else None,
            value=errors[0].value,
            hint=errors[0].hint or "correct it",
        )
        for (_, column), errors in together.items()
    ]


def tidy(inspection: Inspection) -> pd.DataFrame:
    """Runs that can stand, in our columns as the file gives them: what a law derives is derived again when it is read."""
    given = {
        *inspection.names,
        *(sentence.partition(" = ")[0] for sentence in inspection.derived if sentence.startswith("tokens =")),
    }
    order = (*MAPPABLE, *EXTRA)
    kept = [
        name for name in order if name in inspection.table and (name in given or name == "run_id") and name not in _NOT_KEPT
    ]
    return inspection.table[kept].reset_index(drop=True)


def require_tidy(inspection: Inspection, path: str | Path) -> None:
    """Raise :class:`InputError` where there is nothing to write, or not as CSV."""
    if Path(path).suffix != ".csv":
        raise InputError("must end in .csv", column="--clean", value=str(path))
    if inspection.table.empty:
        worst = next(finding for finding in inspection.findings if finding.severity == "wrong")
        raise InputError(
            f"{worst.rule}, and no run is left to write",
            file=inspection.origin,
            column=worst.column,
            value=worst.value,
            hint=worst.hint,
        )


def write_tidy(inspection: Inspection, path: str | Path) -> None:
    """Write the runs that can stand as CSV, whole or not at all; errors as of :func:`require_tidy`."""
    require_tidy(inspection, path)
    with written_whole(path) as temporary:
        tidy(inspection).to_csv(temporary, index=False)


def document(inspection: Inspection) -> dict[str, Any]:
    """The versioned JSON document; ``docs/json.md`` has its keys."""
    columns = {**COLUMNS, **EXTRA}
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "file": inspection.origin,
        "tool": inspection.tool,
        "notes": list(inspection.notes),
        "runs_read": inspection.rows,
        "runs_kept": len(inspection.table),
        "understood": [
            {"column": ours, "yours": yours, "unit": columns[ours].unit if ours in columns else "count"}
            for ours, yours in inspection.names.items()
        ],
        "not_understood": list(inspection.unread),
        "derived": list(inspection.derived),
        "missing": list(inspection.missing),
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "column": finding.column,
                "rule": finding.rule,
                "value": _plain(finding.value),
                "cure": finding.hint,
                "rows": list(finding.rows),
                "run_ids": [inspection.run_ids[row] for row in finding.rows],
            }
            for finding in inspection.findings
        ],
        "left_out": [{"row": row, "run_id": inspection.run_ids[row]} for row in inspection.wrong_rows],
        "best_of_learning_rate": None if inspection.best is None else _best(inspection.best),
    }


def _best(best: Best) -> dict[str, Any]:
    return {
        "runs_kept": len(best.kept),
        "median_runs_per_configuration": best.median,
        "most_runs_per_configuration": best.most,
        "seed_sd_nats_per_token": best.seed_sd_nats,
        "replicate_runs": best.replicates,
        "bias_nats_per_token": None if best.bias_nats is None else -best.bias_nats,
        "most_bias_nats_per_token": None if best.most_bias_nats is None else -best.most_bias_nats,
        "also_differed": list(best.also_differed),
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    try:
        return finite_or_none(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
