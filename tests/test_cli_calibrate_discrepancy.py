"""``bayesmoe calibrate-discrepancy``: past sweeps in, a prior out that a spec can name."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from bayesmoe.forecasting.discrepancy_prior import KINDS, read_discrepancy_prior, shipped_prior
from bayesmoe.forecasting.weights import prior_of
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.resources import resource_folder
from bayesmoe.specs import to_toml

RUNS = resource_folder("datasets") / "simulated-yun-grid.csv"
SPEC = f'name = "sweep"\n[data]\nfile = "{RUNS}"\n[average]\nlaws = ["yun", "chinchilla"]\n'


@pytest.mark.slow
def test_a_sweep_becomes_a_prior_that_names_it(bayesmoe, tmp_path) -> None:
    (tmp_path / "sweep.toml").write_text(SPEC)
    out = tmp_path / "prior.toml"
    ended = bayesmoe("calibrate-discrepancy", f"ours={tmp_path / 'sweep.toml'}", "--out", out)
    assert ended.code == 0, ended.err
    assert "from 1 tables of 1 labs" in ended.out
    prior = read_discrepancy_prior(out)
    assert set(prior.scale) == set(KINDS)
    (table,) = prior.learned_from
    assert (table.lab, table.table, len(table.sha256)) == ("ours", "sweep", 64)
    # The runs were made by the law that has the weight: it misses less than laws of real runs do.
    assert prior.scale["size"] < shipped_prior().scale["size"]


def test_a_spec_names_its_prior_from_its_own_folder(tmp_path) -> None:
    mine = dataclasses.replace(shipped_prior(), log_sd=0.123, learned_from=())
    (tmp_path / "mine.toml").write_text(to_toml(mine))
    (tmp_path / "sweep.toml").write_text(SPEC + 'discrepancy = "mine.toml"\n')
    assert prior_of(read_fit_spec(tmp_path / "sweep.toml")) == mine
    (tmp_path / "plain.toml").write_text(SPEC)
    assert prior_of(read_fit_spec(tmp_path / "plain.toml")) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lab=nope.toml"], "nope.toml: no such file"),
        ([str(RUNS), "--out", "prior.nc"], "--out: must end in .toml"),
    ],
)
def test_bad_input_is_one_sentence(bayesmoe, tmp_path, monkeypatch, arguments, says) -> None:
    monkeypatch.chdir(tmp_path)
    given = arguments if "--out" in arguments else [*arguments, "--out", "prior.toml"]
    ended = bayesmoe("calibrate-discrepancy", *given)
    assert ended.code == 2
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_table_without_far_runs_teaches_nothing(bayesmoe, tmp_path, monkeypatch) -> None:
    """Sixteen runs: twenty must lie below the largest compute over three."""
    monkeypatch.chdir(tmp_path)
    pd.read_csv(RUNS).head(16).to_csv("few.csv", index=False)
    ended = bayesmoe("calibrate-discrepancy", "few.csv", "--out", "prior.toml")
    assert ended.code == 2
    assert "too few runs below or above a third of its largest compute" in ended.err
    assert ended.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["few.csv"]
