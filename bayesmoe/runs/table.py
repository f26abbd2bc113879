"""Run tables: one row is one trained model. From files and DataFrames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.runs.examine import Reading, examined, under_own_names
from bayesmoe.runs.read import numbered
from bayesmoe.runs.trackers import as_export, read_export

_NO_RUNS = ("unfinished", "diverged", "checkpoint", "history", "no loss", "copy")
"""Kinds of findings of rows that are no runs of their own, which nobody mends in the file."""


@dataclass(frozen=True)
class RunTable:
    """A validated run table.

    Parameters
    ----------
    frame : DataFrame
        One row a run, canonical column names (:data:`bayesmoe.runs.schema.COLUMNS`), other columns kept; a column that was
        recognized under another name also stands under that one.
    origin : str
        File or data set the runs came from.
    sha256 : str
        Checksum of the file read, or of the table's CSV text when it came from memory.
    derived : tuple of str
        Sentences that say which columns were derived, and how.
    missing : tuple of str
        Sentences that say which columns could not be derived, and what they would need.
    simulated : bool
        Whether the losses come from a law, not from training; every output says so.
    """

    frame: pd.DataFrame
    origin: str
    sha256: str
    derived: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    simulated: bool = False


def read_runs(
    path: str | Path,
    *,
    columns: dict[str, str] | None = None,
    select: str | None = None,
    group: str | None = None,
    response: str = "loss",
) -> RunTable:
    """Read a file of runs: CSV (also gzipped), Parquet or JSON, of pandas, Weights & Biases, MLflow or Trackio.

    Common names of columns are recognized; ``bayesmoe runs check`` shows which.

    Parameters
    ----------
    path : path
        The file.
    columns : dict, optional
        Canonical name to the file's own name: ``{"loss": "val_loss"}``.
    select : str, optional
        Expression over the columns that keeps the rows where it holds, such as ``"n_dense > 1e8 and seed == 1"``.
    group : str, optional
        Column whose values group the runs (router, corpus, recipe, lab).
    response : str
        Column that every run must have: ``loss``, or ``leverage`` for a table of efficiency leverages.

    Raises
    ------
    InputError
        The file is unreadable or a row breaks a rule; the message names file, row, column, rule, value and hint.

    Examples
    --------
    >>> len(bm.read_runs("runs.csv", columns={"loss": "val_loss"}).frame)  # doctest: +SKIP
    80
    """
    path = Path(path)
    export = read_export(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    found = examined(export, str(path), columns=columns or {}, select=select, group=group, response=response)
    return _run_table(found, sha256, simulated=False)


def read_models(path: str | Path, *, columns: dict[str, str] | None = None) -> pd.DataFrame:
    """Read models that were not trained: a run table without losses, checked and derived as one; ``columns`` as in :func:`read_runs`.

    Raises
    ------
    InputError
        As :func:`read_runs`.
    """
    return _run_table(examined(read_export(path), str(path), columns=columns, response=None), None, simulated=False).frame


def as_run_table(
    frame: pd.DataFrame,
    *,
    origin: str = "a DataFrame",
    sha256: str | None = None,
    columns: dict[str, str] | None = None,
    select: str | None = None,
    group: str | None = None,
    response: str = "loss",
    simulated: bool = False,
) -> RunTable:
    """Validate a DataFrame of runs; parameters and errors as in :func:`read_runs`."""
    export = as_export(numbered(frame), origin)
    found = examined(export, origin, columns=columns or {}, select=select, group=group, response=response)
    return _run_table(found, sha256, simulated=simulated)


def _run_table(found: Reading, sha256: str | None, *, simulated: bool) -> RunTable:
    if found.wrong:
        raise _refused(found)
    frame = under_own_names(found.table, found.names).reset_index(drop=True)
    sha256 = sha256 or hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    return RunTable(frame, found.origin, sha256, found.derived, found.missing, simulated)


def _refused(found: Reading) -> InputError:
    """The first complaint; where rows are no runs of their own, with the command that leaves them out."""
    error = found.wrong[0].as_error(found.origin)
    rows = {row for finding in found.wrong for row in finding.rows}
    if found.wrong[0].kind not in _NO_RUNS or found.table.empty or not Path(found.origin).is_file():
        return error
    many = f"the {len(rows)} rows that cannot stand" if len(rows) > 1 else "it"
    hint = f"{error.hint}; `bayesmoe runs check {found.origin} --clean OUT.csv` leaves {many} out"
    return InputError(error.rule, file=error.file, row=error.row, column=error.column, value=error.value, hint=hint)


def column_map(pairs: Iterable[str]) -> dict[str, str]:
    """Ours to the file's own, from flags ``ours=yours``, or :class:`InputError`."""
    found = {}
    for pair in pairs:
        ours, separator, yours = pair.partition("=")
        if not (separator and ours and yours):
            raise InputError("must be ours=yours, such as loss=val_loss", column="--map", value=pair)
        found[ours] = yours
    return found
