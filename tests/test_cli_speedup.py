"""``bayesmoe speedup``: exit codes a CI job can read, text of eighty columns, the document, the figure, and one sentence for bad input."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from made_up import grouped_fit
from seeds import seeded
from test_schemas import require

from bayesmoe.decisions.speedup_runs import usd_of
from bayesmoe.inference.store import save_fit

A = {"E": 1.8, "A": 482.0, "B": 2085.0, "alpha": 0.35, "beta": 0.37}


def runs():
    rows = [
        {"group": group, "n_active": n, "n_dense": n, "n_total": n, "tokens": n * ratio, "num_experts": 1.0}
        for group in ("base", "mix")
        for n in (2e7, 2e8, 1e9)
        for ratio in (5.0, 20.0, 80.0)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fit_file(tmp_path_factory):
    """B is better by a factor of 1.3, known within a tenth at large compute."""
    rng = np.random.default_rng(seeded(2))
    spread = np.exp(0.03 * rng.standard_normal(1000))
    better = {**A, "A": A["A"] * 1.3 ** -A["alpha"], "B": A["B"] * spread}
    fit = grouped_fit("chinchilla", {"base": A, "mix": better}, runs())
    # A file of a fit has it.
    fit["sample_stats"] = fit["posterior"].to_dataset()[["noise_scale"]]
    path = tmp_path_factory.mktemp("speedup") / "fit.nc"
    save_fit(fit, path)
    return path


@pytest.fixture
def speedup(bayesmoe, fit_file):
    return lambda *arguments: bayesmoe("speedup", fit_file, *arguments)


@pytest.mark.parametrize(
    ("arguments", "verdict", "code"),
    [
        (["--of", "mix", "--over", "base"], "PROMOTE", 0),
        (["--of", "mix", "--over", "base", "--threshold", "1.3"], "UNDECIDED", 1),
        (["--of", "base", "--over", "mix"], "REJECT", 1),
    ],
)
def test_a_verdict_ends_with_its_code(speedup, arguments, verdict, code) -> None:
    ended = speedup(*arguments)
    assert ended.code == code
    assert verdict in ended.out.splitlines()[1]
    document = json.loads(speedup(*arguments, "--json").out)
    assert (document["verdict"], document["exit_code"]) == (verdict, code)


def test_the_document_has_what_the_text_says(speedup) -> None:
    arguments = [
        "--of",
        "mix",
        "--over",
        "base",
        "--at",
        "1e21",
        "--at",
        "1e22",
        "--threshold",
        "1.3",
        "--usd-per-gpu-hour",
        "2",
    ]
    document = json.loads(speedup(*arguments, "--json").out)
    require(document)
    assert [round(one["train_flop"], -18) for one in document["budgets"][:2]] == [1e21, 1e22]
    assert document["budgets"][0]["speedup"]["q50"] == pytest.approx(1.3, rel=0.05)
    assert not document["has_discrepancy"]
    pair = document["runs"][2]
    assert pair["recipe"] == "both"
    assert pair["train_flop"] == pytest.approx(2e20)
    assert pair["train_usd"] == pytest.approx(usd_of(2e20, 2.0, "H100-SXM"))
    assert pair["evsi_percent_of_compute"] == pytest.approx(100.0 * np.expm1(pair["evsi_ln_speedup"]))
    text = speedup(*arguments).out
    assert "leave out the law's own error" in text
    assert "USD" in text
    assert "train_usd" not in json.loads(speedup("--of", "mix", "--over", "base", "--json").out)["runs"][0]


def test_text_of_eighty_columns(speedup, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = speedup("--of", "mix", "--over", "base", "--threshold", "1.3", "--at", "1e22", "--usd-per-gpu-hour", "2.2")
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.few(1)
def test_the_figure_is_drawn(speedup, tmp_path, suffix) -> None:
    assert speedup("--of", "mix", "--over", "base", "--figure", tmp_path / f"out.{suffix}").code == 0
    assert (tmp_path / f"out.{suffix}").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--of", "mix", "--over", "mix"], "is the group that it is compared with"),
        (["--of", "max", "--over", "base"], "did you mean 'mix'?"),
        (["--of", "mix", "--over", "base", "--at", "0"], "must be a positive number of FLOP"),
        (["--of", "mix", "--over", "base", "--usd-per-gpu-hour", "-2"], "must be positive"),
        (["--of", "mix", "--over", "base", "--usd-per-gpu-hour", "2", "--accelerator", "abacus"], "abacus"),
        (["--of", "mix", "--over", "base", "--figure", "out.jpg"], "must end in .png or .svg"),
        (["--of", "mix"], "--over"),
    ],
)
def test_bad_input_is_one_sentence(speedup, arguments, says) -> None:
    ended = speedup(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("\n") == 1
