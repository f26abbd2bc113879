"""The check of a table of runs: what was recognized, what was derived, what looks wrong, and the rows that can stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.files import written_whole
from bayesmoe.runs.aliases import EXTRA
from bayesmoe.runs.audit.best_learning_rate import Best, best_of_learning_rate
from bayesmoe.runs.audit.checks import OF_RUNS
from bayesmoe.runs.examine import Reading, examined
from bayesmoe.runs.finding import Finding, Sheet
from bayesmoe.runs.schema import MAPPABLE
from bayesmoe.runs.trackers import read_export

_NOT_KEPT = ("name", "state", "diverged")


@dataclass(frozen=True)
class Inspection(Reading):
    """A reading with what deserves a look, and what choosing the best learning rate did."""

    best: Best | None = None

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns of the file that were not recognized."""
        return tuple(name for name in self.present if name not in self.names.values())

    @property
    def wrong_rows(self) -> tuple[int, ...]:
        """Lines of the runs that cannot stand."""
        return tuple(sorted({row for finding in self.wrong for row in finding.rows}))


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
    read = examined(read_export(path), str(path), columns=columns)
    table, chosen, found = read.table, None, list[Finding](read.findings)
    if not table.empty:
        if best:
            chosen = best_of_learning_rate(table, origin=read.origin)
            table = table.loc[list(chosen.kept)]
        sheet = Sheet(table, read.names, read.present, tuple(columns or ()), read.tool != "plain table")
        for check in OF_RUNS:
            found += check(sheet)
    findings = tuple(sorted(found, key=lambda finding: finding.severity != "wrong"))
    return Inspection(**{**vars(read), "table": table, "findings": findings}, best=chosen)


def tidy(inspection: Inspection) -> pd.DataFrame:
    """Runs that can stand, in our columns as the file gives them: what a law derives is derived again when it is read."""
    given = {*inspection.names, "run_id", "tokens"}
    kept = [name for name in (*MAPPABLE, *EXTRA) if name in inspection.table and name in given and name not in _NOT_KEPT]
    table = inspection.table
    if "run_id" not in inspection.names and "name" in table and table["name"].notna().all() and table["name"].is_unique:
        table = table.assign(run_id=table["name"].astype(str))
    return table[kept].reset_index(drop=True)


def require_tidy(inspection: Inspection, path: str | Path) -> None:
    """Raise :class:`InputError` where there is nothing to write, or not as CSV."""
    if Path(path).suffix != ".csv":
        raise InputError("must end in .csv", column="--clean", value=str(path))
    if inspection.table.empty:
        worst = inspection.wrong[0]
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
