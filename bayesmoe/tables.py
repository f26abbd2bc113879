"""CSV files as frames whose index is the line each row stands in (the header is line 1), and columns as numbers."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.files import require_file

_FORMATS = {
    b"PK\x03\x04": "it is an Excel workbook or a zip: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook: save the sheet as CSV",
    b"PAR1": "it is Parquet: name it .parquet",
    b"\x1f\x8b": "it is gzipped: name it .csv.gz",
    b"\x89HDF": "it is netCDF, such as a fit: give the table of runs",
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
}
"""What files of other formats begin with, and the hint: people rename what should be exported."""


def other_format(path: Path) -> str | None:
    """The hint where a file is of another format than its name says."""
    with path.open("rb") as file:
        start = file.read(4)
    name = path.name.lower()
    known = b"\x1f\x8b" if name.endswith(".gz") else b"PAR1" if name.endswith((".parquet", ".pq")) else None
    return next((hint for mark, hint in _FORMATS.items() if start.startswith(mark) and mark != known), None)


def unreadable(path: Path, error: Exception, hint: str) -> InputError:
    """The complaint about a file that cannot be read, with the hint of its true format where that is known."""
    said = str(error).partition("\n")[0].strip()
    return InputError(f"cannot be read ({said})", file=path, hint=other_format(path) or hint)


def read_csv(path: str | Path, *, row: str, hint: str) -> pd.DataFrame:
    """Read a CSV, also gzipped; blank lines are left out, and counted.

    Parameters
    ----------
    path : path
        The file.
    row : str
        What a row is, for the message: "trained model".
    hint : str
        What to do about a file that cannot be read.

    Raises
    ------
    InputError
        The file is missing, empty or no CSV, a column stands twice, or a line has more values than the header.
    """
    path = require_file(path)
    try:
        return _read_csv(path, row)
    except (OSError, ValueError, EOFError, OverflowError, csv.Error, zlib.error) as error:
        raise unreadable(path, error, hint) from error


def _read_csv(path: Path, row: str) -> pd.DataFrame:
    """Count and measure lines before pandas skips blank ones, shifts the columns of long ones and renames repeated columns."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        lines = [(reader.line_num, values) for values in reader if any(value.strip() for value in values)]
    if not lines:
        raise InputError("is empty", file=path, hint=f"add a header and one row a {row}")
    header = [name.strip() for name in lines[0][1]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise InputError(
            "must be separated by commas", file=path, row=lines[0][0], value=header[0][:60], hint="export it with commas"
        )
    require_unique(header, path)
    width = len(header)
    for number, values in lines[1:]:
        if any(value.strip() for value in values[width:]):
            hint = "quote values that hold a comma, or name the column in the header"
            raise InputError(
                f"must have {width} values like the header", file=path, row=number, value=len(values), hint=hint
            )
    cleaned = io.StringIO()
    csv.writer(cleaned).writerows([header, *(values[:width] for _, values in lines[1:])])
    cleaned.seek(0)
    return pd.read_csv(cleaned, skip_blank_lines=False).set_axis([number for number, _ in lines[1:]])


def require_unique(header: list[str], origin: str | Path) -> None:
    """Raise :class:`InputError` where a column name stands twice."""
    seen: set[str] = set()
    for name in filter(None, header):
        if name in seen:
            raise InputError("stands more than once in the header", file=origin, column=name, hint="rename one of the two")
        seen.add(name)


def read_measurements(path: str | Path, columns: tuple[str, ...], what: str) -> pd.DataFrame:
    """Rows of a CSV that has these columns; ``what`` it holds is for the message: "latencies".

    Raises
    ------
    InputError
        As :func:`read_csv`, or a column is missing.
    """
    hint = f"give a CSV of measured {what}"
    frame = read_csv(require_file(path, hint), row="measurement", hint=hint)
    for column in columns:
        if column not in frame:
            raise InputError(f"is missing from the {what}", file=path, column=column, hint=f"they need {', '.join(columns)}")
    return frame


def numbers_of(column: pd.Series) -> pd.Series:
    """A column as float64, NaN where it holds no number."""
    try:
        return pd.to_numeric(column, errors="coerce").astype(float)
    except (OverflowError, TypeError):
        # Whole numbers of Python may be larger than any float; as text they become infinite.
        return pd.to_numeric(column.astype(str), errors="coerce").astype(float)
