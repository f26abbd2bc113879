"""Tables of measurements: lines are counted as they stand."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.tables import numbers_of, read_measurements

COLUMNS = ("a", "b")


def test_rows_stand_under_their_lines_and_blank_ones_are_left_out(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufeffa,b\n1,2\n\n,\n3,4\n".encode())
    found = read_measurements(tmp_path / "t.csv", COLUMNS, "times")
    assert found.index.tolist() == [2, 5]
    assert found["a"].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; add a header and one row a measurement."),
        (b"a,c\n1,2\n", "b: is missing from the times; they need a, b."),
        (b"a,b\n1,2,3\n", "row 2: must have 2 values like the header, found 3; "),
        (b"a,a\n1,2\n", "a: stands more than once in the header; rename one of the two."),
        (
            b"a,b\n\xff,\x00\n",
            "cannot be read ('utf-8' codec can't decode byte 0xff in position 4: invalid start byte); give a CSV",
        ),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "it is gzipped: name it .csv.gz."),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, says):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_measurements(tmp_path / "t.csv", COLUMNS, "times")
    assert says in str(caught.value)


def test_a_gzipped_table_is_read(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n", mtime=0))
    assert read_measurements(tmp_path / "t.csv.gz", COLUMNS, "times")["b"].tolist() == [2]


def test_whole_numbers_beyond_any_float_are_infinite():
    assert numbers_of(pd.Series([10**400, "x", "2"], dtype=object)).tolist()[::2] == [float("inf"), 2.0]
