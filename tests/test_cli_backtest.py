"""``bayesmoe backtest``: the whole of it on simulated runs, and one sentence for bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from seeds import seeded

from bayesmoe.architecture import Family
from bayesmoe.forecasting.forward_validation import splits
from bayesmoe.laws import law_named
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses


@pytest.fixture
def table(tmp_path):
    """Thirty dense runs of Chinchilla's law."""
    law = law_named("chinchilla")
    truth = law.coefficients("besiroglu")
    design = grid_of_runs(np.geomspace(5e7, 2e9, 6), np.geomspace(2e9, 1e11, 5), [1], family=Family())
    runs = simulate_losses(design, lambda run: law.loss(truth, run), noise_scale=0.004, seed=seeded(1))
    runs.to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "--hold-out or --forward: give one of them"),
        (["--hold-out", "n_dense >"], "--hold-out: is not a condition over the table's columns"),
        (["--hold-out", "n_dense"], "--hold-out: is not a condition on runs"),
        (["--hold-out", "n_dense > 1e12"], "--hold-out: leaves too little on one side, found '0 of 30 runs held out'"),
        (["--hold-out", "n_dense > 1"], "--hold-out: leaves too little on one side, found '30 of 30 runs held out'"),
        (["--hold-out", "n_dense > 1e9", "--law", "yunn"], "law: is not a known law, found 'yunn'"),
        (
            ["--hold-out", "n_dense > 1e9", "--law", "tian-leverage"],
            "law: predicts leverage, not loss, found 'tian-leverage'",
        ),
    ],
)
def test_bad_input_is_one_sentence(bayesmoe, table, flags, says) -> None:
    ended = bayesmoe("backtest", table, *flags)
    assert ended.code == 2
    assert ended.out == ""
    assert says in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_a_hold_out_is_forecast_scored_and_printed(bayesmoe, table, monkeypatch) -> None:
    # Every split is a fit of each law: the last two, of the largest budgets, tell the laws apart.
    monkeypatch.setattr("bayesmoe.forecasting.forward_validation.splits", lambda *arguments: splits(*arguments)[-2:])
    ended = bayesmoe("backtest", table, "--hold-out", "n_dense > 1e9", "--law", "chinchilla", "--law", "kaplan", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["schema"], found["schema_version"]) == ("bayesmoe.backtest", 2)
    (one,) = found["backtests"]
    assert len(one["runs"]) == len(one["observed_nats_per_token"]) == 5
    assert sum(one["weights"].values()) == pytest.approx(1.0)
    assert one["weights"]["chinchilla"] > 0.6, "the law that made the runs"
    assert one["extrapolation_factors"]["n_dense"] == pytest.approx((2e9 / 5e7) ** 0.2)
    assert set(one["forecasts"]) == {
        "chinchilla",
        "kaplan",
        "chinchilla with discrepancy",
        "kaplan with discrepancy",
        "average of laws",
        "average without discrepancy",
        "Huber + bootstrap",
    }
    average = one["forecasts"]["average of laws"]
    assert average["coverage"]["0.95"] >= 0.6, "binomial(5, 0.95) is below 3 with probability 0.1%"
    assert abs(average["bias_ln"]) < 0.02
