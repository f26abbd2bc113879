"""Exports of experiment trackers as one row a run: Weights & Biases, MLflow, Trackio, and plain tables."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.runs.read import read_frame
from bayesmoe.tables import numbers_of, require_unique

Tool = Literal["Weights & Biases", "MLflow", "Trackio", "plain table"]

SETTINGS = ("config", "params")
RESULTS = ("summary", "metrics")
"""First parts of column names under which trackers keep what was set and what was measured."""

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
    """

    tool: Tool
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


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
    require_unique(list(frame.columns), origin)
    columns = set(frame.columns)
    if columns >= _TRACKIO_LOG and columns & {"run_name", "run", "run_id"}:
        return _trackio(frame, origin)
    if any(_holds_mappings(frame[name]) for name in ("config", "summary") if name in frame):
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
    if any(_holds_mappings(frame[name]) for name in frame):
        return _nested(frame, "plain table")
    return Export("plain table", frame)


def _unlogged(frame: pd.DataFrame) -> pd.DataFrame:
    """Trackers write what was never logged, or was set to None, as text; it is blank."""
    text = frame.select_dtypes(exclude="number").columns
    return frame.assign(**{name: frame[name].mask(frame[name].isin(_NOT_LOGGED)) for name in text})


def _holds_mappings(column: pd.Series) -> bool:
    first = next((value for value in column if _is_there(value)), None)
    return isinstance(first, dict) or (isinstance(first, str) and first.lstrip().startswith("{") and bool(_mapping(first)))


def _is_there(value: Any) -> bool:
    return not (value is None or (isinstance(value, float) and value != value))


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping from what a tracker wrote: itself, JSON, or Python's own text (what pandas makes of a dict in a CSV)."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    as_literal = re.sub(r"(?<=[:\[,\s])nan(?=[,}\]\s])", "None", value)
    as_literal = re.sub(r"(?<=[:\[,\s])(-?)inf(?=[,}\]\s])", r"\g<1>1e999", as_literal)
    parsers: Sequence[tuple[Callable[[str], Any], str]] = ((json.loads, value), (ast.literal_eval, as_literal))
    for parse, text in parsers:
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _flat(mapping: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Nested keys joined with dots; W&B's ``{"value": ...}`` around a setting is taken off, private keys are left out."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if str(key).startswith("_wandb"):
            continue
        if isinstance(value, dict) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict):
            found |= _flat(value, name)
        else:
            found[name] = value
    return found


def _nested(frame: pd.DataFrame, tool: Tool) -> Export:
    expanded = [name for name in frame if _holds_mappings(frame[name])]
    rows = [
        {name: value for name, value in row.items() if name not in expanded}
        | {key: value for name in expanded for key, value in _flat(_mapping(row[name]), str(name)).items()}
        for row in frame.to_dict("records")
    ]
    flat = pd.DataFrame(rows, index=frame.index)
    return Export(tool, _unlogged(flat), (f"read the settings and results nested in {', '.join(map(str, expanded))}",))


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
    expanded = [name for name in last if _holds_mappings(last[name])]
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
