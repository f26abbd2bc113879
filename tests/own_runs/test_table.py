"""The table of this project's own runs: made of the rows, and a run table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bayesmoe.forecasting.weights import default_laws, size_of
from bayesmoe.inference.spec import load_table, read_fit_spec
from bayesmoe.planning.reading import read_scenario
from bayesmoe.resources import resource_folder
from bayesmoe.runs import load_source, registered
from sweep.design import design
from sweep.language import Language
from sweep.run import RUNS, rows_of

ROOT = Path(__file__).parents[2]
ROWS = rows_of(RUNS)


def test_rows_are_of_the_design_and_were_trained_once() -> None:
    known = {run.run_id for run in design()}
    assert len({row["run_id"] for row in ROWS}) == len(ROWS)
    assert {row["run_id"] for row in ROWS} <= known


def test_the_table_is_made_of_the_rows() -> None:
    frame = load_source("bayesmoe-sweep").frame
    by_id = {row["run_id"]: row for row in ROWS}
    assert len(frame) == len(ROWS) == len(design())
    assert all(abs(run.loss - by_id[run.run_id]["loss"]) < 1e-5 for run in frame.itertuples())
    title, sizes = registered()["bayesmoe-sweep"].title, frame["n_dense"] / 1e3
    assert f"{len(frame)} runs" in title
    assert f"{sizes.min():.0f}k to {sizes.max():.0f}k backbones" in title


def test_the_table_is_a_run_table() -> None:
    spec = read_fit_spec("bayesmoe-sweep")
    table = load_table(spec.data, spec.groups)
    assert len(table.frame) == len(load_source("bayesmoe-sweep").frame)
    assert len(default_laws(table.frame, size_of(spec, table.frame))) > 3


def test_losses_lie_above_the_entropy() -> None:
    assert load_source("bayesmoe-sweep").frame["loss"].min() > Language().entropy()


def test_the_scenario_lies_beyond_the_runs() -> None:
    scenario = read_scenario(resource_folder("models") / "scenarios" / "bayesmoe-sweep.toml")
    assert scenario.training.budget_flop > 10.0 * load_source("bayesmoe-sweep").frame["train_flop"].max()


@pytest.mark.slow
def test_the_small_sweep_reproduces_its_rows() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sweep", "--small"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("off by") == 6
