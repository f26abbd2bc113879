"""The one sentence a user reads: its parts, its order, its cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayesmoe.errors import InputError, nearest, with_source


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "must be positive."),
        ({"file": Path("runs.csv")}, "runs.csv: must be positive."),
        ({"column": "--map"}, "--map: must be positive."),
        ({"file": "runs.csv", "row": 3, "column": "loss"}, "runs.csv, row 3, loss: must be positive."),
        ({"value": -2.4}, "must be positive, found -2.4."),
        ({"value": 0}, "must be positive, found 0."),
        ({"value": "two"}, "must be positive, found 'two'."),
        ({"hint": "remove the run"}, "must be positive; remove the run."),
        ({"hint": "did you mean 'loss'?"}, "must be positive; did you mean 'loss'?"),
        ({"hint": "remove the run."}, "must be positive; remove the run."),
        (
            {"file": "runs.csv", "row": 3, "column": "loss", "value": -2.4, "hint": "remove the run"},
            "runs.csv, row 3, loss: must be positive, found -2.4; remove the run.",
        ),
    ],
)
def test_parts_make_one_sentence(parts, sentence):
    assert str(InputError("must be positive", **parts)) == sentence


def test_the_parts_stay_readable():
    error = InputError("must be positive", file="runs.csv", row=3, column="loss", value=-2.4, hint="remove the run")
    found = (error.rule, error.file, error.row, error.column, error.value, error.hint)
    assert found == ("must be positive", "runs.csv", 3, "loss", -2.4, "remove the run")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chians", "did you mean 'chains'?"),
        ("drawss", "did you mean 'draws'?"),
        ("xyz", "known: chains, draws, warmup"),
    ],
)
def test_nearest_names_the_closest_word_or_all_of_them_in_order(name, hint):
    assert nearest(name, ("warmup", "draws", "chains")) == hint


def test_a_file_is_named_in_complaints_about_its_sections_only():
    def told(column: str | None, file: str | None = None) -> str:
        with pytest.raises(InputError) as caught, with_source("mine.toml", "limits"):
            raise InputError("is broken", column=column, file=file)
        return str(caught.value)

    assert told("limits.constraints") == "mine.toml, limits.constraints: is broken."
    assert told("limits.constraints", "other.toml") == "other.toml, limits.constraints: is broken."
    assert told("group") == "group: is broken."
    assert told(None) == "is broken."
