"""The design, the rule of the learning rate, and the comparison with committed rows."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from sweep.__main__ import TOLERANCE, compared
from sweep.design import BETWEEN, EXPERTS, LEAST_FLOP, MOST_FLOP, cost, design, small
from sweep.run import counts, rows_of
from sweep.train import CALL_TOKENS
from sweep.tune import TUNING, fitted, learning_rate, tuning_runs


def test_the_design_lies_within_its_bounds() -> None:
    runs = design()
    assert 200 <= len(runs) <= 300
    assert len({run.run_id for run in runs}) == len(runs)
    flop = np.array([cost(run) for run in runs])
    assert flop.min() >= LEAST_FLOP
    assert flop.max() <= MOST_FLOP
    assert flop.max() / flop.min() > 100.0
    assert {run.model.num_experts for run in runs} == {*EXPERTS, *BETWEEN}
    assert all(run.tokens % CALL_TOKENS == 0 for run in runs)
    assert all(counts(run.model, run.tokens)["train_flop"] == cost(run) for run in runs)


def test_cells_are_replicated() -> None:
    seeds = Counter((run.model, run.tokens) for run in design())
    assert Counter(seeds.values())[3] >= 20


def test_the_small_sweep_is_part_of_the_design() -> None:
    known = {run.run_id for run in design()}
    assert len(small()) == 6
    assert all(run.run_id in known for run in small())


def test_the_rule_is_that_of_the_tuning_runs() -> None:
    rows = rows_of(TUNING)
    assert {row["run_id"] for row in rows} == {run.run_id for run in tuning_runs()}
    rule = json.loads((TUNING.parent / "learning_rate.json").read_text())
    assert fitted(rows) == pytest.approx(rule, abs=1e-4)
    assert rule["curvature"] > 0.0


def test_a_planted_optimum_is_found() -> None:
    rows = [
        {"d_model": d, "num_experts": e, "tokens": n, "learning_rate": rate}
        for d in (24, 60)
        for n in (2**17, 2**19)
        for e in (1, 16)
        for rate in (0.01, 0.02, 0.04)
    ]
    for row in rows:
        best = -4.0 - 0.5 * np.log(row["d_model"] / 24) + 0.1 * np.log(row["tokens"] / 2**19)
        row["loss"] = np.exp(1.0 + 0.05 * (np.log(row["learning_rate"]) - best) ** 2)
    expected = {"log_rate": -4.0, "per_log_width": -0.5, "per_log_tokens": 0.1, "curvature": 0.05}
    assert fitted(rows) == pytest.approx(expected, abs=1e-9)


def test_wider_models_learn_more_slowly() -> None:
    assert learning_rate(96, 2**20) < learning_rate(24, 2**20)


def row(loss: float, name: str = "a") -> dict:
    """A row of a run."""
    return {"run_id": name, "loss": loss}


@pytest.mark.parametrize(
    ("again", "good"),
    [
        (row(2.0), True),
        (row(2.0 * (1 + 0.9 * TOLERANCE)), True),
        (row(2.0 * (1 + 1.1 * TOLERANCE)), False),
        (row(2.0 * (1 - 1.1 * TOLERANCE)), False),
        (row(2.0, "b"), False),
    ],
)
def test_rows_are_compared_with_the_committed_ones(again: dict, good: bool) -> None:
    assert compared([again], [row(2.0)]) is good
