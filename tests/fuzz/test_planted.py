"""No table is misread without a word, whatever its columns are called; an oracle that knows the numbers decides.

The default suite tries 100 tables; ``pytest tests/fuzz -m sweep`` tries 2,000.
"""

from __future__ import annotations

import pytest
from fuzz.planted import COLUMNS, Planted, misread, planted

from bayesmoe.runs import examine
from bayesmoe.runs.examine import examined
from bayesmoe.runs.read import numbered
from bayesmoe.runs.trackers import as_export


def wrong_of(made: Planted) -> list[str]:
    """Columns that are misread of a planted table, without a finding that asks."""
    found = examined(as_export(numbered(made.table), "runs.csv"), "runs.csv")
    said = "; ".join([*found.missing, *(f"{one.column}: {one.rule}" for one in found.findings)])
    return [] if found.table.empty and found.wrong else misread(found.table, made.truth, said)


def tried(seeds: range) -> dict[int, list[str]]:
    """Misread columns by seed."""
    found = {seed: wrong_of(planted(seed)) for seed in seeds}
    return {seed: wrong for seed, wrong in found.items() if wrong}


def test_no_table_is_misread():
    assert tried(range(40)) == {}


@pytest.mark.slow
def test_no_table_of_two_hundred_is_misread():
    assert tried(range(40, 240)) == {}


@pytest.mark.slow
@pytest.mark.sweep
def test_no_table_of_two_thousand_is_misread():
    assert tried(range(2000)) == {}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.few(3)
def test_the_oracle_catches_a_reader_that_takes_another_column(monkeypatch, column):
    recognized = examine.recognized

    def first_number(export, given):
        names = recognized(export, given)
        others = [name for name in export.frame if name not in names.values() and name not in ("name", "_step")]
        return names | ({column: others[0]} if others and column in names else {})

    seeds = [seed for seed in range(40) if len(planted(seed).table.columns) > 10][:5]
    monkeypatch.setattr(examine, "recognized", first_number)
    caught = [seed for seed in seeds if column in wrong_of(planted(seed))]
    monkeypatch.undo()
    assert caught
    assert all(wrong_of(planted(seed)) == [] for seed in seeds)
