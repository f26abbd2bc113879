"""CSV files as frames whose index is the line each row stands in (the header is line 1), and columns as numbers."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.files import require_file

_FORMATS = {
    b"PK\x03\x04": "it is an Excel workbook or a zip: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook: save the sheet as CSV",
    b"PAR1": "it is Parquet: name it .parquet",
    b"\x1f\x8b": "it is gzipped: name it .csv.gz",
    b"\x89HDF": "it is netCDF, such as a fit: give the table of runs",
}
"""What files of other formats begin with, and the hint: people rename what should be exported."""

_MARKS = ";\t|"
_DECIMAL_COMMA = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+(?:[eE][-+]?\d+)?")
_FORMS = (re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+"), _DECIMAL_COMMA)
NOTES = "notes"
"""Key of a frame's ``attrs`` under which :func:`read_csv` keeps sentences on how the file was read."""


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
    """Read a CSV, also gzipped; blank lines and comments are left out, and counted.

    What else was done to read it is said in ``attrs["notes"]`` of the frame: another encoding than UTF-8, another mark than a comma between
    values, numbers with a decimal comma. A name that stands twice in the header stands twice in the frame.

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
        The file is missing, empty or no CSV, or a line has more values than the header.
    """
    path = require_file(path)
    try:
        text, notes = _text(path)
        with _cells_of_any_length():
            frame, more = _parsed(text, path, row)
    except (OSError, ValueError, EOFError, OverflowError, csv.Error, zlib.error) as error:
        raise unreadable(path, error, hint) from error
    frame.attrs[NOTES] = [*notes, *more]
    return frame


def _text(path: Path) -> tuple[str, list[str]]:
    """The text of a file, and in which encoding if not UTF-8."""
    with (gzip.open if path.name.lower().endswith(".gz") else open)(path, "rb") as file:
        content = file.read()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16"), ["read as UTF-16"]
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        # Spreadsheets of Western Europe write this one; bytes of a program hold zeros.
        if b"\x00" in content or other_format(path) is not None:
            raise
        try:
            return content.decode("cp1252"), ["read as Windows-1252: it is not UTF-8"]
        except UnicodeDecodeError:
            raise error from None


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Trackers write histograms into single cells."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Record(NamedTuple):
    """A row of the file: the line it ends in, its first line, and how many values it has."""

    line: int
    first: int
    width: int


def _parsed(text: str, path: Path, row: str) -> tuple[pd.DataFrame, list[str]]:
    """Count and measure lines before pandas skips blank ones, shifts the columns of long ones and renames repeated columns."""
    lines = list(io.StringIO(text, newline=""))
    start, comments, header_line = _head(lines)
    if start == len(lines):
        raise InputError("is empty", file=path, hint=f"add a header and one row a {row}")
    mark = _mark(header_line, next((line for line in lines[start + 1 :] if line.strip()), ""))
    records = list(_records(lines, start, mark))
    header = next(csv.reader([header_line, *lines[start + 1 : records[0].line]], delimiter=mark))
    header = [name.strip() for name in header]
    kept, more = _measured(records[1:], header, mark, lines, path, records[0].line)
    notes = [f"left out {_counted(comments + more, 'comment line')}"] if comments + more else []
    notes += [f"values are separated by {'tabs' if mark == chr(9) else mark}"] if mark != "," else []
    body = _body(kept, lines, len(header), mark)
    european = mark != "," and _has_decimal_comma(body, mark)
    frame = _frame(body, len(header), mark, as_text=european)
    if european:
        frame = frame.apply(_with_points)
        notes.append("numbers have a decimal comma: 1.234,5 was read as 1234.5")
    frame.columns = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
    return frame.set_axis([record.line for record in kept]), notes


def _counted(lines: list[int], what: str) -> str:
    named = ", ".join(map(str, lines[:4])) + (", ..." if len(lines) > 4 else "")
    return f"{len(lines)} {what}{'s' if len(lines) > 1 else ''} ({'lines' if len(lines) > 1 else 'line'} {named})"


def _head(lines: list[str]) -> tuple[int, list[int], str]:
    """Place of the header, the comment lines above it, and its text; NumPy writes its header as a comment."""
    comments: list[int] = []
    for place, line in enumerate(lines):
        if not line.strip(" \t\r\n,;"):
            continue
        if line.lstrip().startswith("#") or (not comments and re.fullmatch(r'"?sep=.?"?\s*', line)):
            comments.append(place + 1)
            continue
        last = lines[comments[-1] - 1] if comments else ""
        named = last.lstrip(" \t#")
        mark = _mark(line)
        if comments and named.count(mark) == line.count(mark) > 0 and any(map(_is_number, line.split(mark))):
            return comments[-1] - 1, comments[:-1], named
        return place, comments, line
    return len(lines), comments, ""


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def _mark(header: str, below: str = "") -> str:
    """What stands between the values of a header: a comma, or else what it shares with the line below."""
    return "," if "," in header else next((mark for mark in _MARKS if mark in header and mark in (below or header)), ",")


def _records(lines: list[str], start: int, mark: str) -> Iterator[_Record]:
    """Rows that are not blank, the header first."""
    if not any('"' in line for line in lines):
        blank = mark + " \t\r\n"
        for place in range(start, len(lines)):
            if lines[place].strip(blank):
                yield _Record(place + 1, place + 1, lines[place].count(mark) + 1)
        return
    reader, before = csv.reader(lines[start:], delimiter=mark), 0
    for values in reader:
        if any(value.strip() for value in values):
            yield _Record(start + reader.line_num, start + before + 1, len(values))
        before = reader.line_num


def _measured(
    records: Iterable[_Record], header: list[str], mark: str, lines: list[str], path: Path, header_row: int
) -> tuple[list[_Record], list[int]]:
    """Rows without comments, and the lines of these; none has more values than the header."""
    kept, comments, doubtful, width = list[_Record](), list[int](), list[_Record](), len(header)
    for record in records:
        if lines[record.first - 1].lstrip(' \t"').startswith("#"):
            if record.width != width:
                comments.append(record.line)
                continue
            doubtful.append(record)
        if record.width > width and any(value.strip() for value in _values(record, lines, mark)[width:]):
            names = _values(record, lines, mark)
            if not kept and not any(map(_is_number, names)):
                hint = "take out what stands above the names of the columns"
                raise InputError(f"is no header: row {record.line} has more names", file=path, row=header_row, hint=hint)
            hint = "quote values that hold a comma, or name the column in the header"
            rule = f"must have {width} values like the header"
            raise InputError(rule, file=path, row=record.line, value=record.width, hint=hint)
        kept.append(record)
    # A row with a sign before it was taken out by hand, unless the first column holds names that may begin so.
    others = [record for record in kept if record not in doubtful] if doubtful else []
    if others and all(_is_number(_values(record, lines, mark)[0]) for record in others):
        return others, [*comments, *(record.line for record in doubtful)]
    return kept, comments


def _values(record: _Record, lines: list[str], mark: str) -> list[str]:
    return next(csv.reader(lines[record.first - 1 : record.line], delimiter=mark))


def _body(kept: list[_Record], lines: list[str], width: int, mark: str) -> str:
    """Text of the rows; cut where a row ends in more marks than the header has."""
    if all(record.width <= width for record in kept):
        return "".join(line for record in kept for line in lines[record.first - 1 : record.line])
    cut = io.StringIO()
    csv.writer(cut, delimiter=mark).writerows(_values(record, lines, mark)[:width] for record in kept)
    return cut.getvalue()


def _frame(body: str, width: int, mark: str, *, as_text: bool) -> pd.DataFrame:
    if not body:
        return pd.DataFrame(columns=range(width), dtype=object)
    return pd.read_csv(
        io.StringIO(body),
        sep=mark,
        header=None,
        names=list(range(width)),
        index_col=False,
        skip_blank_lines=False,
        dtype=str if as_text else None,
        low_memory=False,
    )


def _has_decimal_comma(body: str, mark: str) -> bool:
    return (
        re.search(rf'(?:^|[{re.escape(mark)}])\s*"?{_DECIMAL_COMMA.pattern}"?\s*(?:$|[{re.escape(mark)}])', body, re.M)
        is not None
    )


def _with_points(column: pd.Series) -> pd.Series:
    """Numbers of a table that writes a decimal comma; a column with points that part no thousands has decimal points."""
    given = column.dropna().str.strip()
    groups, commas = (given.map(lambda text, form=form: bool(form.fullmatch(text))).astype(bool) for form in _FORMS)
    plain = given.map(_is_number).astype(bool) & ~groups
    points = plain & given.str.contains(".", regex=False)
    if not (groups | commas | plain).all() or (points.any() and commas.any()):
        return column
    if not points.any():
        given = given.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    return pd.to_numeric(given, errors="coerce").reindex(column.index)


def require_unique(header: Iterable[str], origin: str | Path) -> None:
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
    require_unique((str(name) for name in frame if name in columns), path)
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
