"""Files of runs as frames whose index is the line each run stands in; the header is line 1, and records are counted from 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import ArrowException, parquet

from bayesmoe.errors import InputError
from bayesmoe.files import require_file
from bayesmoe.runs.columns import with_columns
from bayesmoe.tables import other_format, read_csv, unreadable

_AGAIN = "export the runs again"


def read_frame(path: Path) -> pd.DataFrame:
    """Read a CSV (also gzipped), Parquet or JSON file.

    Raises
    ------
    InputError
        The file is missing, of another kind, damaged, or a line has more values than the header.
    """
    require_file(path)
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return read_csv(path, row="trained model", hint=_AGAIN)
    if name.endswith((".json", ".jsonl")):
        return numbered(_read_json(path))
    if not name.endswith((".parquet", ".pq")):
        hint = other_format(path) or "export the runs as .csv, .parquet or .json"
        raise InputError("is neither CSV, Parquet nor JSON", file=path, hint=hint)
    try:
        # pandas takes bytes that are no UTF-8 for text, and fails wherever they are used.
        parquet.read_table(path).validate(full=True)
        return numbered(pd.read_parquet(path))
    except (OSError, ValueError, ArrowException) as error:
        raise unreadable(path, error, _AGAIN) from error


def numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an index that has a name as columns, and its records counted from 2."""
    levels = {str(name): place for place, name in enumerate(frame.index.names) if name is not None and name not in frame}
    rows = pd.RangeIndex(2, len(frame) + 2)
    named = {name: pd.Series(list(frame.index.get_level_values(place)), index=rows) for name, place in levels.items()}
    return with_columns(frame.set_axis(rows), named)


def _read_json(path: Path) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error, _AGAIN) from error
    if not text.strip():
        raise InputError("is empty", file=path, hint=_AGAIN)
    try:
        return pd.DataFrame(_records(_parsed(text)))
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        said = str(error).partition("\n")[0]
        hint = "write a list with one object a run, as DataFrame.to_json(orient='records') does"
        raise InputError(f"is not JSON of runs ({said})", file=path, hint=hint) from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            raise
        return [json.loads(line) for line in lines]


def _records(found: Any) -> list[dict[str, Any]]:
    """One object a run, from the ways in which pandas, MLflow and Trackio arrange them."""
    if isinstance(found, list):
        if not all(isinstance(record, dict) for record in found):
            raise ValueError("not every record is an object")
        return [_mlflow_record(record) if {"info", "data"} <= set(record) else record for record in found]
    if not isinstance(found, dict):
        raise ValueError("neither a list nor an object")
    for key in ("runs", "logs", "metrics", "log_history"):
        if isinstance(found.get(key), list):
            return _records(found[key])
    if isinstance(found.get("data"), list) and isinstance(found.get("columns"), list):
        return [dict(zip(map(str, found["columns"]), row, strict=True)) for row in found["data"]]
    if isinstance(found.get("data"), list):
        return _records(found["data"])
    if found and all(str(key).isdigit() and isinstance(record, dict) for key, record in found.items()):
        return list(found.values())
    if found and all(isinstance(column, dict | list) for column in found.values()):
        return pd.DataFrame(found).to_dict("records")  # pyright: ignore[reportReturnType]
    raise ValueError("no list of runs in it")


def _mlflow_record(record: dict[str, Any]) -> dict[str, Any]:
    """A run as MLflow's ``runs/search`` gives it, under the names of its ``search_runs()``."""
    found = {name: value for name, value in record["info"].items() if not isinstance(value, dict | list)}
    for part in ("metrics", "params", "tags"):
        entries = record["data"].get(part, [])
        pairs = entries.items() if isinstance(entries, dict) else [(entry["key"], entry["value"]) for entry in entries]
        found |= {f"{part}.{key}": value for key, value in pairs}
    return found
