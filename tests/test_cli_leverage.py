"""Tables of efficiency leverage on the command line: fitted, checked and reported, but not planned on."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from bayesmoe.inference.store import FitInfo, load_fit
from bayesmoe.laws import law_named
from bayesmoe.resources import resource_folder

LEVERAGE = """
[data]
file = "leverages.csv"
[law]
name = "tian-leverage"
[sampler]
warmup = 300
draws = 1000
chains = 4
"""

SCENARIO = resource_folder("models") / "scenarios" / "yun-2024.toml"


@pytest.fixture
def leverages(tmp_path) -> Path:
    """A spec beside a table of 36 leverages from the published coefficients of Tian et al., which has no expert count."""
    law = law_named("tian-leverage")
    rng = np.random.default_rng(0)
    lines = ["leverage,train_flop,activation_ratio,granularity"]
    for flop, ratio, granularity in itertools.product((1e19, 1e20, 1e21), (1 / 4, 1 / 16, 1 / 64), (4.0, 12.0, 24.0, 48.0)):
        run = {"train_flop": flop, "activation_ratio": ratio, "granularity": granularity}
        leverage = float(law.loss(law.coefficients("table-2"), run)) * np.exp(0.03 * rng.standard_normal())
        lines.append(f"{leverage},{flop},{ratio},{granularity}")
    (tmp_path / "leverages.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "leverage.toml").write_text(LEVERAGE)
    return tmp_path / "leverage.toml"


@pytest.mark.slow
def test_a_table_of_leverages_is_fitted_checked_reported_and_not_planned_on(bayesmoe, refused, leverages, tmp_path):
    fit, page = tmp_path / "fit.nc", tmp_path / "report.html"
    ended = bayesmoe("fit", leverages, "--out", fit)
    assert ended.code == 0
    assert f"{fit}: law tian-leverage, 36 runs, gate " in ended.out
    found = load_fit(fit)
    assert FitInfo.read(found).response == "leverage"
    assert found["observed_data"]["leverage"].attrs["units"] == "1"
    # Drawn at 0.03 on the logarithm; the paper's best G in its own unit is 2^(0.117/(2 x 0.0167)) = 11.3.
    assert float(found["posterior"]["noise_scale"].median()) == pytest.approx(0.03, rel=0.5)
    assert float(found["posterior"]["best_granularity"].median()) == pytest.approx(11.3, rel=0.2)

    ended = bayesmoe("check", fit)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] in ("gate: PASS", "gate: REVIEW")

    ended = bayesmoe("report", fit, "--out", page)
    assert (ended.code, ended.out) == (0, f"{page}\n")
    assert "Law tian-leverage, fitted to 36 runs" in page.read_text(encoding="utf-8")

    said = refused("plan", fit, SCENARIO, "--despite-fail")
    assert said.startswith("law: the law 'tian-leverage' reads compute only, so it cannot split a budget")


def test_a_table_of_leverages_has_no_shared_dense_runs(refused, leverages):
    said = refused("fit", leverages, "--group-by", "granularity", "--dense-group", "4.0")
    assert "groups.dense: must be the group of the dense runs (num_experts 1), beside at least one other group" in said


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (
            "leverage",
            "leverage: is missing (training FLOP of the dense model of equal loss over those of this run, ratio); ",
        ),
        ("train_flop", "train_flop: is needed by the law 'tian-leverage'; add the training FLOP of each run"),
        ("activation_ratio", "activation_ratio: is needed by the law 'tian-leverage'; add (top_k + shared_experts)"),
        ("granularity", "granularity: is needed by the law 'tian-leverage'; add 4 d_model / d_expert"),
    ],
)
def test_a_table_of_leverages_without_a_column(refused, leverages, tmp_path, column, says):
    path = tmp_path / "leverages.csv"
    path.write_text(path.read_text().replace(column, "other", 1))
    assert refused("fit", leverages).startswith(f"{path}, {says}")
