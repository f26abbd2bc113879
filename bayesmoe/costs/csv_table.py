"""Tables of measurements as CSV: read as text, whatever their name says."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.files import require_file


def read_measurements(path: str | Path, columns: tuple[str, ...], what: str) -> pd.DataFrame:
    """Rows of a CSV that has these columns, under the line that each stands in; blank lines are left out.

    Parameters
    ----------
    path : path
        The file.
    columns : tuple of str
        Columns that it must have.
    what : str
        What it holds, for the message: "latencies".

    Raises
    ------
    InputError
        The file is missing, is no text, no table, or lacks a column.
    """
    hint = f"give a CSV of measured {what}"
    content = require_file(path, hint).read_bytes()
    try:
        # From text in memory: given a name, pandas would unpack what it takes for an archive.
        frame = pd.read_csv(io.StringIO(content.decode("utf-8-sig")), skip_blank_lines=False)
    except (ValueError, OverflowError) as error:
        raise InputError(f"cannot be read ({str(error).partition(chr(10))[0].strip()})", file=path, hint=hint) from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError("must have as many values in each row as in the header", file=path, hint=hint)
    for column in columns:
        if column not in frame:
            raise InputError(f"is missing from the {what}", file=path, column=column, hint=f"they need {', '.join(columns)}")
    return frame.set_axis(range(2, len(frame) + 2)).dropna(how="all")


def numbers_of(column: pd.Series) -> pd.Series:
    """A column as float64, NaN where it holds no number."""
    try:
        return pd.to_numeric(column, errors="coerce").astype(float)
    except (OverflowError, TypeError):
        # Whole numbers may be larger than any float; as text they become infinite.
        return pd.to_numeric(column.astype(str), errors="coerce").astype(float)
