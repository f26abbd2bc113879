"""Exports of experiment trackers as one row a run: Weights & Biases, MLflow, Trackio, and plain tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.runs.cells import flat, holds_mappings, mapping, where_it_stops
from bayesmoe.runs.read import read_frame
from bayesmoe.tables import NOTES, numbers_of

Tool = Literal["Weights & Biases", "MLflow", "Trackio", "plain table"]

_WANDB_TABLE = {"Notes", "User", "Tags", "Created", "Runtime", "Sweep"}
_MLFLOW_TABLE = {"Start Time", "Duration", "Run ID", "Source Type", "Status"}
_MLFLOW_SEARCH = {"run_id", "experiment_id", "status", "artifact_uri"}
_TRACKIO_LOG = {"step", "timestamp"}
_TRACKIO_ROW = ("id", "timestamp", "log_id", "space_id")
_NOT_LOGGED = ("None", "null", "")


@dataclass(frozen=True)
class Export:
    """A file of runs as a tracker or pandas wrote it, one row a run.

    Parameters
    ----------
    tool : str
        What wrote it.
    frame : DataFrame
        One row a run under the file's own column names; nested ones joined with dots. The index is the line of the run (records of a
        JSON or Parquet file are counted from 2, as the lines of a CSV below its header are).
    notes : tuple of str
        Sentences that say what was done to get there.
    doubled : tuple of str
        Names that stand twice in the header, over different values.
    unread : tuple of (int, str, str)
        Row, column and beginning of each cell of settings or results that cannot be read.
    """

    tool: Tool
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    unread: tuple[tuple[int, str, str], ...] = ()


def read_export(path: str | Path) -> Export:
    """Read CSV (also gzipped), Parquet or JSON, and bring what trackers write to one row a run.

    Raises
    ------
    InputError
        The file is unreadable, or holds no table.
    """
    return as_export(read_frame(Path(path)), Path(path))


def as_export(frame: pd.DataFrame, origin: str | Path) -> Export:
    """Bring a frame, indexed by line, to one row a run; ``origin`` is for messages, and as a Path it is the file."""
    unnamed = [name for name in frame.columns if re.fullmatch(r"Unnamed: \d+|__index_level_\d+__", str(name))]
    frame = frame.drop(columns=unnamed)
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    if frame.empty:
        raise InputError("has no runs", file=origin, hint="add one row a trained model")
    read = tuple(frame.attrs.get(NOTES, ()))
    frame, doubled = _told_apart(frame)
    export = _one_row_a_run(frame, origin)
    return replace(export, notes=(*read, *export.notes), doubled=doubled)


def _told_apart(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The frame with every name once, and the names that stood over different values; a column that stands twice the same is one."""
    frame = frame.copy(deep=False)
    frame.attrs = {}
    if frame.columns.is_unique:
        return frame, ()
    kept, doubled, seen = list[int](), list[str](), dict[str, int]()
    for place, name in enumerate(frame.columns):
        if name not in seen:
            seen[name] = place
        elif frame.iloc[:, place].equals(frame.iloc[:, seen[name]]):
            continue
        else:
            doubled.append(name)
        kept.append(place)
    frame, names = frame.iloc[:, kept], list[str]()
    for name in frame.columns:
        names.append(
            name if name not in names else f"{name} ({1 + sum(each.startswith(f'{name} (') for each in names) + 1})"
        )
    return frame.set_axis(names, axis="columns"), tuple(doubled)


def _one_row_a_run(frame: pd.DataFrame, origin: str | Path) -> Export:
    columns = set(frame.columns)
    _require_no_chart(list(frame.columns), len(frame), origin)
    if columns >= _TRACKIO_LOG and columns & {"run_name", "run", "run_id"}:
        return _trackio(frame, origin)
    if any(holds_mappings(frame[name]) for name in ("config", "summary") if name in frame):
        return _nested(frame, "Weights & Biases")
    if (
        any(name.startswith(("params.", "metrics.")) for name in columns)
        or columns >= _MLFLOW_SEARCH
        or len(columns & _MLFLOW_TABLE) >= 4
    ):
        return Export("MLflow", _unlogged(frame))
    in_wandb = {"Name", "State"} <= columns and len(columns & _WANDB_TABLE) >= 2
    if in_wandb or any(re.match(r"(config|summary)[./]", name) for name in columns):
        return Export("Weights & Biases", _unlogged(frame))
    if any(holds_mappings(frame[name]) for name in frame):
        return _nested(frame, "plain table")
    return Export("plain table", frame)


def _unlogged(frame: pd.DataFrame) -> pd.DataFrame:
    """Trackers write what was never logged, or was set to None, as text; it is blank."""
    text = frame.select_dtypes(exclude="number").columns
    return frame.assign(**{name: frame[name].mask(frame[name].isin(_NOT_LOGGED)) for name in text})


_CHART = re.compile(r"(?P<run>.+)(?: - |: | \| )(?P<metric>.+)")
_SCALAR = {"Wall time", "Step", "Value"}
_CHART_AXES = {"Step", "_step", "Relative Time (Process)", "Relative Time (Wall)", "Wall Time", "_runtime", "_timestamp"}


def _require_no_chart(columns: list[str], rows: int, origin: str | Path) -> None:
    """Raise :class:`InputError` for the data behind a chart: a column a run, and a row a step."""
    if set(columns) == _SCALAR:
        rule, hint = (
            f"is a scalar of TensorBoard, one row a step ({rows}): the history of one run",
            "write a table of one row a run",
        )
        raise InputError(rule, file=origin, hint=hint)
    lines = [name for name in columns if not name.endswith(("__MIN", "__MAX")) and _CHART.fullmatch(name)]
    bands = [name for name in lines if {f"{name}__MIN", f"{name}__MAX"} & set(columns)]
    others = [name for name in columns if name not in lines and not name.endswith(("__MIN", "__MAX"))]
    of_steps = columns[0] in _CHART_AXES
    same = {found["metric"] for name in lines if (found := _CHART.fullmatch(name))}
    if not (bands or (lines and of_steps and len(others) == 1 and len(same) == 1)):
        return
    runs = sorted({found["run"] for name in bands or lines if (found := _CHART.fullmatch(name))})
    named = ", ".join(runs[:3]) + (", ..." if len(runs) > 3 else "")
    rule = (
        f"is a chart of {len(runs)} run{'s' if len(runs) > 1 else ''} ({named}): one row a step ({rows}), not one row a run"
    )
    hint = (
        "export the runs table instead: in Weights & Biases, the table of runs, then Export as CSV; or wandb.Api().runs(...)"
    )
    raise InputError(rule, file=origin, hint=hint)


def _nested(frame: pd.DataFrame, tool: Tool) -> Export:
    expanded = [str(name) for name in frame if holds_mappings(frame[name])]
    parts, unread, odd = list[pd.DataFrame](), list[tuple[int, str, str]](), list[tuple[int, str, str]]()
    for name in expanded:
        cells = [mapping(value) for value in frame[name]]
        for row, cell, text in zip(frame.index, cells, frame[name], strict=True):
            unread += [(int(row), name, where_it_stops(str(text)))] if cell.broken else []
            odd += [(int(row), name, text) for text in cell.parts]
        parts.append(pd.DataFrame([flat(cell.values, name) for cell in cells], index=frame.index))
    others = frame.drop(columns=expanded)
    notes = [f"read the settings and results nested in {', '.join(expanded)}"]
    if odd:
        row, name, part = odd[0]
        more = f", and {len(odd) - 1} more like it" if len(odd) > 1 else ""
        notes.append(
            f"{name} of row {row} holds {part}, which cannot be read as a value: left blank, the rest was read{more}"
        )
    whole = pd.concat([others, *(part.loc[:, [each for each in part if each not in others]] for part in parts)], axis=1)
    return replace(Export(tool, _unlogged(whole), tuple(notes)), unread=tuple(unread))


def _trackio(frame: pd.DataFrame, origin: str | Path) -> Export:
    """The last value that each run logged of each metric, with the settings from the file that Trackio writes beside."""
    key = next(name for name in ("run_id", "run_name", "run") if name in frame and frame[name].notna().any())
    label = next((name for name in ("run_name", "run") if name in frame), key)
    step = numbers_of(frame["step"])
    ordered = frame.assign(step=step).sort_values("step", kind="stable", na_position="first")
    ordered["_row"] = ordered.index
    kept = [name for name in ordered if name not in _TRACKIO_ROW]
    runs = ordered[kept].groupby(key, sort=False, dropna=True)
    last = runs.last().reset_index().set_index("_row").sort_index()
    counts = runs.size()
    notes = [f"{len(frame)} logged rows of {len(last)} runs: took the last value that each run logged of each metric"]
    # Without a step of one's own Trackio counts log calls, which says nothing of training steps.
    counted = runs["step"].max().add(1).eq(counts) | runs["step"].max().eq(counts)
    if counted.all():
        last = last.drop(columns="step")
        notes.append("step counts the log calls, not training steps, and was not read")
    settings = _trackio_settings(origin) if isinstance(origin, Path) else None
    if settings is not None and key in settings:
        settings = settings.drop(columns=[name for name in settings if name in ("id", "created_at", label) and name != key])
        settings = settings.rename(columns={name: f"config.{name}" for name in settings if name != key})
        rows = last.index
        last = last.merge(settings.drop_duplicates(key, keep="last"), on=key, how="left").set_axis(rows)
        notes.append("took the settings of the runs from the configs file beside it")
    expanded = [name for name in last if holds_mappings(last[name])]
    if expanded:
        last = _nested(last, "Trackio").frame
    last = last.replace({"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")})
    last = last.rename(columns={label: "name"}) if label != key else last
    return Export("Trackio", _unlogged(last.rename_axis(None)), tuple(notes))


def _trackio_settings(path: Path) -> pd.DataFrame | None:
    name, dot, suffix = path.name.partition(".")
    for beside in (path.with_name(f"{name}_configs{dot}{suffix}"), path.parent / "aux" / f"configs{dot}{suffix}"):
        if beside.is_file() and beside != path:
            frame = read_frame(beside)
            return frame.drop(columns=[column for column in frame if str(column).startswith("_")])
    return None
