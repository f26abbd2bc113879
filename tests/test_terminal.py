"""What commands print fits the terminal: tables with long names at 80 columns, prose that goes on below, documents as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bayesmoe.decisions.decide import decide
from bayesmoe.inference.store import save_fit
from bayesmoe.laws import all_laws
from bayesmoe.reporting import advice_text, plan_text
from bayesmoe.terminal import fitted, table, terminal_width

COLUMNS = 80
LONG = "a-name-that-somebody-gave-to-a-run-of-a-sweep-in-2025-with-everything-in-it-seed-3-again"


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def too_wide(text: str) -> list[str]:
    """Lines that a terminal would break, but for commands that are to be copied."""
    return [line for line in text.splitlines() if len(line) > COLUMNS and not line.strip().startswith("bayesmoe ")]


def test_a_table_folds_cells_that_are_too_long():
    made = table(("run", "loss"), [(LONG, "2.1"), ("short", "2.2")])
    assert not too_wide(made)
    assert made.splitlines()[0].split() == ["run", "loss"]
    assert "".join(line.split()[0] for line in made.splitlines()[1:-1]) == LONG


def test_a_table_that_nobody_watches_is_as_wide_as_it_needs(monkeypatch):
    monkeypatch.delenv("COLUMNS")
    assert terminal_width(500) == 500
    assert table(("run", "loss"), [(LONG * 3, "2.1")]).splitlines()[1].split() == [LONG * 3, "2.1"]


def test_what_a_terminal_would_act_on_is_written_out():
    assert "\x1b" not in table(("run",), [("red \x1b[31m",)])
    assert table(("run",), [("[red]x[/red]",)]).splitlines()[1] == "[red]x[/red]"


def test_prose_goes_on_below_and_commands_do_not():
    said = "  Loss: " + "two words " * 20
    assert not too_wide(fitted(said))
    assert fitted(said).splitlines()[1].startswith("    ")
    assert " ".join(fitted(said).split()) == " ".join(said.split())
    command = f"  bayesmoe report {LONG}.nc {LONG}.nc --out {LONG}.html"
    assert fitted(command) == command


@pytest.mark.parametrize(
    "arguments", [["laws", "list"], ["datasets", "list"], *(["laws", "show", law.name] for law in all_laws)], ids=" ".join
)
def test_what_is_known_fits(bayesmoe, arguments):
    ended = bayesmoe(*arguments)
    assert ended.code == 0
    assert not too_wide(ended.out)


def test_a_check_of_runs_with_long_names_fits(bayesmoe, tmp_path):
    path = tmp_path / "runs.csv"
    rows = [
        f"{LONG}-{place},{loss},1e8,2e9,{count}"
        for place, (loss, count) in enumerate([(2.4, 1), (2.4, 1), (24, 4), ("", 8)])
    ]
    path.write_text("\n".join(["run_id,loss,n_dense,tokens,num_experts", *rows]))
    found = [line for line in too_wide(bayesmoe("runs", "check", path).out) if LONG not in line and str(path) not in line]
    assert not found


def test_a_cost_fits(bayesmoe):
    ended = bayesmoe("cost", "mixtral-8x7b", "yun-2024", "--draws", 50)
    assert ended.code == 0
    assert not too_wide(ended.out)


@pytest.fixture(scope="module")
def fits(tmp_path_factory, small_fit):
    """Two files of the small fit."""
    folder = tmp_path_factory.mktemp("fits")
    for name in (LONG, "again"):
        save_fit(small_fit, folder / f"{name}.nc")
    return folder


def test_forecasts_and_comparisons_fit(bayesmoe, fits, monkeypatch):
    monkeypatch.chdir(fits)
    Path("models.csv").write_text(f"run_id,n_dense,tokens,num_experts\n{LONG},1e9,4e10,8\n")
    for arguments in (["predict", f"{LONG}.nc", "models.csv"], ["compare", f"{LONG}.nc", "again.nc"], ["check", "again.nc"]):
        ended = bayesmoe(*arguments)
        assert ended.code == 0, ended.err
        assert not too_wide(ended.out), arguments
    document = bayesmoe("predict", f"{LONG}.nc", "models.csv", "--json").out
    assert LONG in str(json.loads(document))
    assert f'"{LONG}"' in document


def test_scenarios_side_by_side_fit(small_plan):
    decided = decide(small_plan)
    assert not too_wide(plan_text.compared({LONG: decided, "b": decided}))


def test_a_tornado_fits():
    names = ["training.price_usd_per_gpu_hour", f"serving.{LONG}"]
    shape = (1, 2, 2)
    found = xr.Dataset(
        {
            "value": (("input", "side"), np.full(shape[1:], 1.234e12)),
            "recommended": (("problem", "input", "side"), np.full(shape, 512)),
            "cost": (("problem", "input", "side"), np.full(shape, 1.23e7)),
            "baseline_choice": ("problem", [512]),
            "baseline_cost": ("problem", [1.2e7]),
        },
        coords={"problem": ["lowest_loss"], "input": names, "side": ["low", "high"]},
        attrs={"unit": "USD"},
    )
    assert not too_wide(advice_text.tornado(found))
