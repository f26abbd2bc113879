"""Files of runs as frames whose index is the line each run stands in; the header is line 1."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.files import require_file

PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", ".csv.gz", *PARQUET)


def read_frame(path: Path) -> pd.DataFrame:
    """Read a CSV (also gzipped) or Parquet file.

    Raises
    ------
    InputError
        The file is missing, of another kind, damaged, or a line has more values than the header.
    """
    require_file(path)
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        hint = _other_format(path) or "export the runs as .csv or .parquet"
        raise InputError("is neither CSV nor Parquet", file=path, hint=hint)
    try:
        return _read_parquet(path) if name.endswith(PARQUET) else _read_csv(path)
    except (OSError, ValueError, EOFError, csv.Error, zlib.error) as error:
        said = str(error).partition("\n")[0]
        raise InputError(
            f"cannot be read ({said})", file=path, hint=_other_format(path) or "export the runs again"
        ) from error


_FORMATS = {
    b"PK\x03\x04": "it is an Excel workbook or a zip: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook: save the sheet as CSV",
    b"PAR1": "it is Parquet: name it .parquet",
    b"\x1f\x8b": "it is gzipped: name it .csv.gz",
    b"\x89HDF": "it is netCDF, such as a fit: give the table of runs",
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
}
"""What files of other formats begin with, and the cure."""


def _other_format(path: Path) -> str | None:
    """The cure where a file is of another format than its name says; people rename what should be exported."""
    with path.open("rb") as file:
        start = file.read(4)
    known = b"\x1f\x8b" if path.name.lower().endswith(".gz") else b"PAR1" if path.suffix.lower() in PARQUET else None
    return next((hint for mark, hint in _FORMATS.items() if start.startswith(mark) and mark != known), None)


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    return frame.set_axis(range(2, len(frame) + 2))


def _read_csv(path: Path) -> pd.DataFrame:
    """Lines are counted and measured before pandas reads them: it would skip blank ones, shift the columns of long ones and
    rename a column that stands twice."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        lines = [(reader.line_num, values) for values in reader if any(value.strip() for value in values)]
    if not lines:
        raise InputError("is empty", file=path, hint="add a header and one row a trained model")
    header = [name.strip() for name in lines[0][1]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise InputError(
            "must be separated by commas", file=path, row=lines[0][0], value=header[0][:60], hint="export it with commas"
        )
    doubled = next((name for name in header if name and header.count(name) > 1), None)
    if doubled is not None:
        raise InputError("stands more than once in the header", file=path, column=doubled, hint="rename one of the two")
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
