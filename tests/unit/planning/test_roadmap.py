"""A roadmap: one scenario for each budget, and nothing else about it differs."""

from __future__ import annotations

import dataclasses

import pytest

from bayesmoe.errors import InputError
from bayesmoe.planning.reading import by_budget, read_roadmap, read_scenario

TEXT = """name = "Ours"
[training]
roadmap = [1e21, 1e22, 2.5e23]
[serving]
[traffic]
output_tokens_per_s = 1e5
"""


@pytest.fixture
def path(tmp_path):
    """A scenario with a roadmap."""
    path = tmp_path / "ours.toml"
    path.write_text(TEXT)
    return path


def test_each_budget_is_a_scenario(path):
    notes = []
    found = read_roadmap(path, on_note=notes.append)
    assert [one.training.budget_flop for one in found] == [1e21, 1e22, 2.5e23]
    assert [one.name for one in found] == ["Ours, 1e+21 FLOP", "Ours, 1e+22 FLOP", "Ours, 2.5e+23 FLOP"]
    assert list(by_budget("ours", found)) == ["ours-1e21", "ours-1e22", "ours-2.5e23"]
    same = [dataclasses.replace(one, name="", training=found[0].training) for one in found]
    assert same[0] == same[1] == same[2]
    assert len(notes) == 1


def test_one_budget_is_one_scenario(path):
    path.write_text(TEXT.replace("roadmap = [1e21, 1e22, 2.5e23]", "budget_flop = 1e21"))
    found = read_roadmap(path)
    assert found == (read_scenario(path),)
    assert list(by_budget("ours", found)) == ["ours"]


def test_what_takes_one_budget_refuses_a_roadmap(path):
    with pytest.raises(
        InputError,
        match=r"ours\.toml, training\.roadmap: is for several plans; `bayesmoe plan` and `bayesmoe next-run` take it",
    ):
        read_scenario(path)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("[1e21]", "training.roadmap: tuple should have at least 2 items"),
        ("[1e22, 1e21]", "training.roadmap: must rise, found [1e+22, 1e+21]; sort the budgets, each once."),
        ("[1e21, 1e21]", "training.roadmap: must rise"),
        (
            "[1e3, 1e21]",
            "training.roadmap: is implausible (plausible: 1e12 to 2e29 FLOP), found 1000.0; give FLOP of each budget",
        ),
        ("1e21", "training.roadmap: should be a list in square brackets"),
        ("[1e21, -1]", "training.roadmap.1: should be greater than 0"),
        ("[1e21, 1e22]\nbudget_usd = 1e6", "training.budget_usd: bounds the same as roadmap; keep one of the two."),
    ],
)
def test_a_roadmap_that_is_none(path, written, says):
    path.write_text(TEXT.replace("[1e21, 1e22, 2.5e23]", written))
    with pytest.raises(InputError) as caught:
        read_roadmap(path)
    assert f"{path}, {says}" in str(caught.value)
