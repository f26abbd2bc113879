"""A table of runs, whatever wrote it: columns recognized, rows selected and checked, and what follows derived."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bayesmoe.errors import InputError, nearest
from bayesmoe.runs.aliases import EXTRA, recognized, units_of
from bayesmoe.runs.checks import OF_VALUES
from bayesmoe.runs.columns import with_columns
from bayesmoe.runs.derive import derive, tokens_made
from bayesmoe.runs.expressions import evaluated
from bayesmoe.runs.finding import Finding, Sheet
from bayesmoe.runs.loss_units import in_nats
from bayesmoe.runs.model_names import said_of_sizes
from bayesmoe.runs.rows import OF_ROWS
from bayesmoe.runs.schema import MAPPABLE, complaints
from bayesmoe.runs.trackers import Export, Tool
from bayesmoe.runs.written import dense_said, in_ones


@dataclass(frozen=True)
class Reading:
    """What was read of a table of runs, whatever wrote it.

    Parameters
    ----------
    origin : str
        The file.
    tool : str
        What wrote it.
    notes : tuple of str
        What was done to get one row a run.
    names : dict
        Our columns to the file's own.
    present : tuple of str
        All column names of the file.
    run_ids : dict
        Row to run, by its name where it has no key; one entry for each run read.
    derived, missing : tuple of str
        Sentences on what was derived, and what could not be.
    findings : tuple of Finding
        What looks wrong, the worst first.
    table : DataFrame
        Runs that can stand, under our names, indexed by line, with what was derived.
    """

    origin: str
    tool: Tool
    notes: tuple[str, ...]
    names: dict[str, str]
    present: tuple[str, ...]
    run_ids: dict[int, str]
    derived: tuple[str, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    table: pd.DataFrame

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """Findings of what cannot stand: rows, or the table."""
        return tuple(finding for finding in self.findings if finding.severity == "wrong")


def examined(
    export: Export,
    origin: str,
    *,
    columns: Mapping[str, str] | None = None,
    select: str | None = None,
    group: str | None = None,
    response: str | None = "loss",
) -> Reading:
    """Recognize columns, select, check and derive; what cannot stand is found, not raised.

    Parameters
    ----------
    export : Export
        The runs, indexed by the row numbers that messages name.
    origin : str
        File name for messages.
    columns, select, group
        As in :func:`bayesmoe.runs.read_runs`.
    response : str, optional
        As there; None for models that were not trained.

    Raises
    ------
    InputError
        A map, group or selection names what is not there.
    """
    names = recognized(export, columns or {})
    twice = next((own for own in names.values() if own in export.doubled), None)
    if twice is not None:
        raise InputError("stands more than once in the header", file=origin, column=twice, hint="rename one of the two")
    if group not in (None, "group") and "group" not in (columns or {}):
        names.pop("group", None)
    frame, said, doubts = _in_our_units(export, names, origin, response)
    if response is None:
        names.pop("loss", None)
        frame = frame.drop(columns="loss", errors="ignore")
    frame = _selected(_grouped(frame, names, group, origin), names, select, origin)
    _require_groups(frame, group, origin)
    label = frame["run_id"]
    if "run_id" not in names and "name" in frame:
        label = frame["name"].where(frame["name"].notna(), label)
    present = tuple(export.frame.columns)
    lost = _unread(export, frame)
    frame, found = _checked(Sheet(_without_wrong(frame, lost), names, present, tuple(columns or ())), origin, response)
    frame, derived, missing = derive(frame) if not frame.empty else (frame, [], [])
    return Reading(
        origin=origin,
        tool=export.tool,
        notes=export.notes,
        names=names,
        present=present,
        run_ids=dict(zip(map(int, label.index), map(str, label), strict=True)),
        derived=(*said, *derived),
        missing=tuple(missing),
        findings=(*lost, *found, *doubts),
        table=frame,
    )


def _in_our_units(
    export: Export, names: Mapping[str, str], origin: str, response: str | None
) -> tuple[pd.DataFrame, list[str], list[Finding]]:
    """The frame under our names and in our units, what was read so, and what to doubt of it."""
    # A top k of sampling text has our name, and is another thing.
    aside = [name for name in ("top_k",) if name in export.frame and name not in names and name not in names.values()]
    frame = renamed(export.frame.drop(columns=aside), names, origin)
    frame, read = in_ones(frame, names, units_of(names))
    read += said_of_sizes(names)
    dense: list[str] = []
    if response in ("loss", None):
        frame, dense = dense_said(frame, names, [str(name) for name in export.frame if name not in aside])
    frame, made = tokens_made(frame)
    frame, nats, doubts = in_nats(frame, names)
    return frame, [*read, *nats, *dense, *made], doubts


def _unread(export: Export, frame: pd.DataFrame) -> list[Finding]:
    """Rows whose settings or results cannot be read: one finding a column, with what stops the first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row, column, stop in export.unread:
        if row in frame.index:
            found.setdefault(column, []).append((row, stop))
    return [
        Finding(
            kind="unreadable",
            severity="wrong",
            rule="cannot be read",
            rows=tuple(row for row, _ in cells),
            column=column,
            value=cells[0][1],
            hint="export the run again as JSON, or write the values that a law needs into columns of their own",
        )
        for column, cells in found.items()
    ]


def _checked(sheet: Sheet, origin: str, response: str | None) -> tuple[pd.DataFrame, list[Finding]]:
    """Rows that can stand, and what was found."""
    found: list[Finding] = []
    if sheet.frame.empty:
        return sheet.frame, found
    for check in OF_ROWS if response is not None else ():
        found += check(sheet)
    frame = _without_wrong(sheet.frame, found)
    if frame.empty:
        return frame, found
    left = dataclasses.replace(sheet, frame=frame)
    for check in OF_VALUES:
        found += check(left)
    explained = {(row, one.column) for one in found for row in one.rows if one.severity == "wrong"}
    frame, broken = complaints(frame, origin, response, sheet.present)
    found += _as_findings([one for one in broken if (one.row, sheet.own(str(one.column))) not in explained], sheet)
    # A rule that names no row is about the table.
    return frame.iloc[:0] if any(one.row is None for one in broken) else _without_wrong(frame, found), found


def renamed(frame: pd.DataFrame, columns: Mapping[str, str], origin: str) -> pd.DataFrame:
    """Frame under our column names, with a ``run_id`` made from the row number where there is none.

    Parameters
    ----------
    frame : DataFrame
        Indexed by the row numbers of the file.
    columns : mapping
        Ours to the file's own.
    origin : str
        File name for the message.

    Raises
    ------
    InputError
        The map names a column that is not ours or not there.
    """
    mappable = (*MAPPABLE, *EXTRA)
    for canonical, own in columns.items():
        if canonical not in mappable:
            raise InputError(
                "is not a column of ours to map to", file=origin, column=canonical, hint=nearest(canonical, mappable)
            )
        if own not in frame:
            rule = f"is mapped to {canonical!r} but is not in the table"
            raise InputError(rule, file=origin, column=own, hint=nearest(own, list(frame.columns)))
    replaced = [name for name in columns if name in frame and name not in columns.values()]
    frame = frame.drop(columns=replaced).rename(columns={own: canonical for canonical, own in columns.items()})
    if "run_id" not in frame:
        keys = pd.Series([f"row-{row}" for row in frame.index], index=frame.index, name="run_id")
        frame = pd.concat([frame, keys], axis=1)
    return frame


def under_own_names(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The frame with its columns under the file's own names too, for what a user writes over these."""
    return with_columns(frame, {own: frame[ours] for ours, own in names.items() if own not in frame and ours in frame})


def _grouped(frame: pd.DataFrame, names: Mapping[str, str], group: str | None, origin: str) -> pd.DataFrame:
    if group is None:
        return frame
    known = under_own_names(frame, names)
    if group not in known:
        hint = nearest(group, list(known.columns))
        raise InputError("is named as the group column but is not in the table", file=origin, column=group, hint=hint)
    return with_columns(frame, {"group": known[group].astype(str).where(known[group].notna())})


def _require_groups(frame: pd.DataFrame, group: str | None, origin: str) -> None:
    if group is not None and frame["group"].isna().any():
        row = int(frame.index[frame["group"].isna()][0])
        hint = "name its recipe, or leave the run out with --select"
        raise InputError("must not be blank", file=origin, row=row, column=group, hint=hint)


def _selected(frame: pd.DataFrame, names: Mapping[str, str], select: str | None, origin: str) -> pd.DataFrame:
    if select is None:
        return frame

    def refused(rule: str, hint: str) -> InputError:
        return InputError(rule, file=origin, column="select", value=select, hint=hint)

    try:
        holds = evaluated(under_own_names(frame, names), select)
    except (ValueError, SyntaxError) as error:
        hint = "write it over column names, such as \"n_dense > 1e8 and group == 'Hash'\""
        raise refused(f"cannot be evaluated ({str(error).partition(chr(10))[0]})", hint) from error
    if not (isinstance(holds, pd.Series) and pd.api.types.is_bool_dtype(holds)):
        raise refused("must say yes or no of each run", 'compare, such as "num_experts > 4"')
    kept = frame[holds]
    if kept.empty:
        raise refused("keeps no run", "loosen it")
    return kept


def _without_wrong(frame: pd.DataFrame, found: list[Finding]) -> pd.DataFrame:
    wrong = {row for finding in found if finding.severity == "wrong" for row in finding.rows}
    if not wrong:
        return frame
    return frame[~frame.index.isin(wrong)]


def _as_findings(broken: list[InputError], sheet: Sheet) -> list[Finding]:
    """One finding a rule and column, its rows together; what is said of a value is said of the first."""
    alike: dict[tuple[str, str | None], list[InputError]] = {}
    for error in broken:
        # The bound of a rule over two columns is another one in every row.
        alike.setdefault((error.rule.partition(" (")[0], error.column), []).append(error)
    return [
        Finding(
            kind="rule",
            severity="wrong",
            rule=errors[0].rule,
            rows=tuple(error.row for error in errors if error.row is not None),
            column=sheet.own(column) if column else None,
            value=errors[0].value,
            hint=errors[0].hint or "correct it",
        )
        for (_, column), errors in alike.items()
    ]
