"""Tables of measurements: lines are counted as they stand, and nothing but text is read."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from bayesmoe.costs.csv_table import numbers_of, read_measurements
from bayesmoe.errors import InputError

COLUMNS = ("a", "b")


def test_rows_stand_under_their_lines_and_blank_ones_are_left_out(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufeffa,b\n1,2\n\n,\n3,4\n".encode())
    found = read_measurements(tmp_path / "t.csv", COLUMNS, "times")
    assert found.index.tolist() == [2, 5]
    assert found["a"].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read (No columns to parse from file); give a CSV of measured times."),
        (b"a,c\n1,2\n", "b: is missing from the times; they need a, b."),
        (b"a,b\n1,2,3\n", "must have as many values in each row as in the header; give a CSV of measured times."),
        (
            gzip.compress(b"a,b\n1,2\n", mtime=0),
            "cannot be read ('utf-8' codec can't decode byte 0x8b in position 1: invalid start byte)",
        ),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, says):
    (tmp_path / "t.csv.gz").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_measurements(tmp_path / "t.csv.gz", COLUMNS, "times")
    assert says in str(caught.value)


def test_whole_numbers_beyond_any_float_are_infinite():
    assert numbers_of(pd.Series([10**400, "x", "2"], dtype=object)).tolist()[::2] == [float("inf"), 2.0]
