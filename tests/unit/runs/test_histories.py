"""Rows that a run logged while it was trained are no runs; the last one that has the loss is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmoe.runs.audit.inspect import Inspection, inspect_runs, tidy

STEPS = np.arange(1, 13) * 1000
FALLING = 2.4 + 3.0 * np.exp(-STEPS / 3000)


def checked(folder: Path, frame: pd.DataFrame, kind: str = "csv") -> Inspection:
    """What a check finds in a frame, written in some format."""
    path = folder / f"runs.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records")
    return inspect_runs(path)


def wrong(found: Inspection) -> dict[str, int]:
    """Rows by kind of what cannot stand."""
    return {one.kind: len(one.rows) for one in found.findings if one.severity == "wrong"}


def looks(found: Inspection) -> dict[str, str]:
    """What is said by kind of what deserves a look."""
    return {one.kind: f"{one.column}: {one.rule}" for one in found.findings if one.severity == "look"}


# One run, no name

MODEL = {"num_experts": 8, "top_k": 2, "n_dense": 3e8}
LOGS = {
    "history of the API of W&B": {"_step": STEPS, "_runtime": STEPS * 0.7, "_timestamp": 1.7e9 + STEPS, "val/loss": FALLING, "tokens_seen": STEPS * 524288.0, **MODEL},
    "uneven steps under a clock": {"_step": np.round(STEPS**1.1), "_timestamp": 1.7e9 + STEPS, "val/loss": FALLING, **MODEL, "tokens_seen": STEPS * 1e6},
    "a loss curve": {"step": STEPS, "lr": 1e-3 * np.cos(STEPS / 9000), "loss": FALLING},
    "iterations": {"iteration": STEPS, "lm_loss": FALLING, "params": 3e8, "consumed_tokens": STEPS * 1e6},
    "epochs of the Trainer": {"loss": FALLING, "learning_rate": 1e-3 * (1 - STEPS / 13000), "epoch": STEPS / 5000, "step": STEPS},
    "counted rows": {"id": np.arange(12), "step": STEPS, "loss": FALLING, "tokens": STEPS * 1e6, **MODEL},
    "evaluations every so many tokens": {"tokens": STEPS * 1e6, "val_loss": FALLING, **MODEL},
    "one name throughout": {"name": "moe-8", "global_step": STEPS, "loss": FALLING, "train_tokens": STEPS * 1e6, **MODEL},
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
@pytest.mark.few(6)
def test_the_log_of_one_run_is_one_run(tmp_path, name, kind):
    found = checked(tmp_path, pd.DataFrame(LOGS[name]), kind)
    if name == "one name throughout":
        assert "checkpoint" in {**wrong(found), **looks(found)}
        return
    assert wrong(found)["history"] == 11
    said = next(one.rule for one in found.findings if one.kind == "history")
    assert "the history of one run, of which only the last row is a run" in said
    assert set(found.table.index) <= {13}


SWEEPS = {
    "tokens doubled": {"tokens": 1e9 * 2.0 ** np.arange(12), "steps": 1000 * 2 ** np.arange(12), "loss": FALLING, **MODEL},
    "a few multiples": {"tokens": [1e9, 2e9, 3e9, 4e9], "loss": FALLING[:4], **MODEL},
    "named runs": {"run_id": [f"r{place}" for place in range(12)], "step": STEPS, "loss": FALLING, "tokens": STEPS * 1e6, **MODEL},
    "sizes": {"n_dense": 1e7 * np.arange(1, 13), "step": STEPS, "loss": FALLING, "tokens": STEPS * 1e6, "num_experts": 8, "top_k": 2},
    "seeds": {"step": STEPS, "loss": FALLING, "seed": np.arange(12), "tokens": STEPS * 1e6, **MODEL},
}  # fmt: skip


@pytest.mark.parametrize("name", SWEEPS)
def test_runs_of_several_lengths_are_no_history(tmp_path, name):
    found = checked(tmp_path, pd.DataFrame(SWEEPS[name]))
    assert wrong(found) == {}
    assert len(found.table) == len(FALLING[: len(found.table)])


@pytest.mark.parametrize("word", [None, "exp", "sweep"])
def test_logs_of_several_runs_without_a_name_are_asked_about(tmp_path, word):
    frames = []
    for place, n_dense in enumerate((2e7, 6e7, 2e8)):
        rows = {"step": STEPS, "tokens": STEPS * 1e6, "loss": FALLING - place / 10, **MODEL, "n_dense": n_dense}
        frames.append(pd.DataFrame(rows | ({word: f"trial-{place}"} if word else {})))
    found = checked(tmp_path, pd.concat(frames))
    if word is None:
        assert wrong(found) == {}
        assert "histories of runs?" in looks(found)["history"]
    else:
        assert list(wrong(found)) == ["checkpoint"]
    assert len(next(one for one in found.findings if one.kind in ("history", "checkpoint")).rows) == 33


# Runs with a name


def logs(key: str, steps: tuple[int, ...] = (2500, 5000, 7500, 10000), **columns) -> pd.DataFrame:
    """Four runs, a row a step; a column may be a function of the step."""
    frames = []
    for place, (experts, n_dense) in enumerate(((1, 2e7), (1, 6e7), (4, 2e7), (4, 6e7))):
        rows = {key: f"run-{place}", "step": steps, "num_experts": experts, "top_k": min(experts, 2), "n_dense": n_dense}
        given = {name: [column(step) for step in steps] if callable(column) else column for name, column in columns.items()}
        frames.append(pd.DataFrame(rows | given))
    return pd.concat(frames)


def losses(step: int) -> float:
    """A loss that falls."""
    return 3.0 + 2000 / step


def seldom(step: int) -> float:
    """The same, logged at every other step."""
    return losses(step) if step in (5000, 7500) else np.nan


@pytest.mark.parametrize("key", ["run", "run_id", "run_name", "id", "Name"])
@pytest.mark.parametrize("order", ["forward", "backward", "mixed"])
@pytest.mark.few(5)
def test_the_last_row_of_each_run_is_kept_whatever_its_budget_says(tmp_path, key, order):
    frame = logs(key, tokens=8e8, loss=losses)
    frame = {"forward": frame, "backward": frame[::-1], "mixed": frame.sort_values("step")}[order]
    found = checked(tmp_path, frame)
    assert found.table["steps"].tolist() == [10000] * 4 or key == "Name"
    assert {"token budget"} <= set(looks(found))
    assert len(next(one for one in found.findings if one.kind == "checkpoint").rows) == 12
    if key != "Name":
        assert sorted(tidy(found)["run_id"]) == [f"run-{place}" for place in range(4)]


@pytest.mark.parametrize("along", ["epoch", "_timestamp", "_step", "iteration"])
def test_rows_are_ordered_by_what_grows_within_runs(tmp_path, along):
    found = checked(tmp_path, logs("run", tokens=8e8, loss=losses).rename(columns={"step": along}))
    assert wrong(found) == {"checkpoint": 12}
    np.testing.assert_allclose(found.table["loss"], losses(10000))


@pytest.mark.parametrize(
    "columns",
    [
        {"train/loss": losses, "val/loss": seldom},
        {"val/loss": lambda step: losses(step) if step == 5000 else np.nan},
        {"loss": losses, "eval_loss": seldom},
        {"train_loss": losses, "val_loss": lambda step: losses(step) if step < 10000 else np.nan},
        {"eval/ce_loss": seldom},
    ],
)
@pytest.mark.parametrize("key", ["run", "run_id"])
@pytest.mark.few(4)
def test_a_run_whose_last_row_has_no_loss_ends_where_it_has_one(tmp_path, columns, key):
    found = checked(tmp_path, logs(key, tokens=lambda step: step * 8e4, **columns))
    if "loss" in found.names and found.names["loss"] == "loss":
        return
    assert wrong(found)["no loss"] >= 4
    assert len(found.table) == 4
    last = int(found.table["steps"].iloc[0])
    assert f"at step {last} of 10000" in looks(found)["undecayed"]
    np.testing.assert_allclose(found.table["loss"], losses(last))


def test_a_run_that_ends_in_nan_has_no_last_loss(tmp_path):
    for columns in (("loss",), ("val/loss", "train/loss")):
        frame = logs("run", tokens=lambda step: step * 8e4, **dict.fromkeys(columns, losses))
        frame.loc[(frame["run"] == "run-1") & (frame["step"] == 10000), list(columns)] = np.nan
        found = checked(tmp_path, frame)
        assert "run-1" not in set(found.table["name"])
        assert len(found.table) == frame["run"].nunique() - 1
        assert "must be a finite number" in {one.rule for one in found.findings}


def test_a_loss_that_no_run_has_at_its_end_was_not_logged_there(tmp_path):
    frame = logs("run", tokens=lambda step: step * 8e4, loss=lambda step: losses(step) if step < 10000 else np.nan)
    found = checked(tmp_path, frame)
    assert found.table["steps"].tolist() == [7500] * frame["run"].nunique()
    assert "undecayed" in looks(found)


@pytest.mark.parametrize(("rise", "expected"), [(1.0, True), (0.2, True), (0.02, False)])
def test_a_run_that_ends_worse_than_it_was_is_named(tmp_path, rise, expected):
    frame = logs("run", tokens=lambda step: step * 8e4, loss=lambda step: losses(step) + (rise if step == 10000 else 0.0))
    frame["loss"] = frame["loss"].where(frame["run"] == "run-1", [losses(step) for step in frame["step"]])
    found = checked(tmp_path, frame)
    named = [one.rows for one in found.findings if one.kind == "ends worse"]
    assert named == ([(9,)] if expected else [])
