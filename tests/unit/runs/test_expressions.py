"""Conditions over the columns of a table: what holds, and what is no condition."""

from __future__ import annotations

import pandas as pd
import pytest

from bayesmoe.runs.expressions import evaluated

FRAME = pd.DataFrame({"loss": [2.0, 3.0, None], "group": ["a", "b", None], "two words": [1, 2, 3], "seed": [0, 1, 1]})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("loss > 2", "010"),
        ("loss > 2 & group == 'b'", "010"),
        ("loss > 2 | loss < 2.5", "110"),
        ("(loss > 2) | (seed == 0)", "110"),
        ("not loss > 2", "101"),
        ("~(loss > 2)", "101"),
        ("1 < loss < 2.5", "100"),
        ("loss.notna() and loss.isna() or seed != 0", "011"),
        ("group in ['a', 'c']", "100"),
        ("group not in ('a',)", "011"),
        ("group.isin(['b'])", "010"),
        ("`two words` >= 2", "011"),
        ("log(loss) > 1", "010"),
        ("-loss + 2 * seed ** 2 >= -1", "010"),
        ("seed == True", "011"),
        ("group == 'a & b'", "000"),
        (" loss > 2 # a comment", "010"),
    ],
)
def test_a_condition_holds_where_it_says(text, holds):
    assert "".join("01"[value] for value in evaluated(FRAME, text)) == holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be an empty string"),
        ("los > 1", "name 'los' is not defined: did you mean 'loss'?"),
        ("loss = 1", "a comparison is written ==, not ="),
        ("loss and seed", "and, or and not join comparisons"),
        ("loss in 2", "in asks whether a column holds one of a list"),
        ("loss == ['a']", "not \"['a']\""),
        ("log(loss, seed) > 1", "not 'log(loss, seed)'"),
        ("loss is None", "not 'loss is None'"),
        ("group > 1", "Invalid comparison"),
        ("9 ** 9 ** 9 ** 9", "out of range"),
        ("isna(loss)", "not 'isna(loss)'"),
        ("'a'.isin(['a'])", "isin is asked of a column"),
        ("not " * 500 + "loss > 1", "nests too deep"),
        ("loss.max() > 1", "not 'loss.max()'"),
    ],
)
def test_what_is_no_condition_is_said(text, why):
    with pytest.raises(ValueError, match=r".") as caught:
        evaluated(FRAME, text)
    assert why in str(caught.value)
