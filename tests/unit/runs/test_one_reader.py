"""``fit`` reads what ``runs check`` reads: the same runs from every kind of file, and the same sentence where rows cannot stand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs import as_run_table, read_models, read_runs
from bayesmoe.runs.audit.inspect import inspect_runs

RUNS = pd.DataFrame(
    {
        "run_id": list("abcd"),
        "val_loss": [2.5, 2.4, 2.3, 2.2],
        "train_tokens": [1e9, 2e9, 4e9, 8e9],
        "num_local_experts": [1, 4, 8, 16],
        "num_experts_per_tok": [1, 2, 2, 2],
        "dense_params": [1e8, 1e8, 2e8, 2e8],
        "lr": 1e-3,
        "router": ["none", "hash", "hash", "base"],
    }
)
SETTINGS = ["num_local_experts", "num_experts_per_tok", "dense_params", "lr", "router"]


def nested(rows: pd.DataFrame) -> pd.DataFrame:
    """The frame that the API of Weights & Biases gives."""
    return pd.DataFrame(
        {
            "name": rows["run_id"],
            "config": rows[SETTINGS].to_dict("records"),
            "summary": rows[["val_loss", "train_tokens"]].to_dict("records"),
        }
    )


def searched(rows: pd.DataFrame) -> pd.DataFrame:
    """The frame that ``mlflow.search_runs`` gives."""
    renamed = {name: f"params.{name}" if name in SETTINGS else f"metrics.{name}" for name in rows if name != "run_id"}
    return rows.rename(columns=renamed).assign(experiment_id=1, status="FINISHED", artifact_uri="x")


def logged(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that Trackio logs, two a run."""
    first = rows.assign(step=100, timestamp="t", val_loss=9.0)
    return pd.concat([first, rows.assign(step=200, timestamp="t")]).rename(columns={"run_id": "run_name"})


def written(folder: Path, kind: str, rows: pd.DataFrame = RUNS) -> Path:
    """Runs as a file of some kind."""
    name, _, suffix = kind.partition(" ")
    frame = {"plain": lambda f: f, "wandb": nested, "mlflow": searched, "trackio": logged}[name](rows)
    path = folder / f"runs.{suffix.removesuffix(' indexed')}"
    if suffix in ("csv", "csv.gz"):
        frame.to_csv(path, index=False)
    elif suffix.endswith("indexed"):
        frame.set_index("run_id").to_parquet(path)
    elif suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=suffix == "jsonl")
    return path


KINDS = [
    *(f"plain {suffix}" for suffix in ("csv", "csv.gz", "parquet", "parquet indexed", "json", "jsonl")),
    *(f"{tool} {suffix}" for tool in ("wandb", "mlflow", "trackio") for suffix in ("csv", "parquet", "json")),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.few(5)
def test_a_fit_reads_the_runs_that_a_check_sees(tmp_path, kind):
    path = written(tmp_path, kind)
    seen, table = inspect_runs(path), read_runs(path)
    assert seen.wrong == ()
    pd.testing.assert_frame_equal(table.frame[list(seen.table)], seen.table.reset_index(drop=True), check_exact=True)
    assert (table.derived, table.missing) == (seen.derived, seen.missing)
    assert table.frame["run_id"].tolist() == list("abcd")
    for ours, own in {"loss": "val_loss", "num_experts": "num_local_experts", "n_dense": "dense_params"}.items():
        assert table.frame[ours].tolist() == RUNS[own].tolist()
        assert table.frame[seen.names[ours]].tolist() == RUNS[own].tolist()


def test_a_frame_in_memory_is_read_as_its_file_is(tmp_path):
    for frame in (RUNS, RUNS.set_index("run_id"), nested(RUNS), searched(RUNS)):
        table = as_run_table(frame).frame
        assert table["run_id"].tolist() == list("abcd")
        assert table["loss"].tolist() == RUNS["val_loss"].tolist()


WRONG = {
    "a broken rule": lambda rows: rows.assign(val_loss=[2.5, -2.4, 2.3, 2.2]),
    "no number": lambda rows: rows.assign(val_loss=["2.5", "2,4", "2.3", "2.2"]),
    "no loss": lambda rows: rows.drop(columns="val_loss"),
    "perplexities": lambda rows: rows.assign(val_loss=np.exp(rows["val_loss"])).rename(columns={"val_loss": "eval_ppl"}),
    "billions of tokens": lambda rows: rows.assign(train_tokens=rows["train_tokens"] / 1e9),
    "a crashed run": lambda rows: rows.assign(state=["finished", "crashed", "finished", "finished"]),
    "a diverged run": lambda rows: rows.assign(diverged=[0, 0, 1, 0]),
    "a run twice": lambda rows: rows.assign(run_id=list("abca")),
    "a copy": lambda rows: pd.concat([rows, rows.iloc[1:2]]),
    "a checkpoint": lambda rows: pd.concat([rows, rows.iloc[1:2].assign(train_tokens=1e9, val_loss=2.6)]),
    "no runs": lambda rows: rows.iloc[:0],
}


@pytest.mark.parametrize("kind", ["plain csv", "plain parquet", "plain json"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.few(8)
def test_what_a_check_refuses_a_fit_refuses_in_the_same_sentence(tmp_path, kind, wrong):
    path = written(tmp_path, kind, WRONG[wrong](RUNS))
    with pytest.raises(InputError) as caught:
        read_runs(path)
    try:
        first = inspect_runs(path).findings[0]
        expected = str(first.as_error(str(path)))
        assert first.severity == "wrong"
    except InputError as error:
        expected = str(error)
    said, _, command = str(caught.value).partition("; `bayesmoe runs check ")
    assert said.rstrip(".") == expected.rstrip(".")
    assert bool(command) <= ("leaves it out" in command or "that cannot stand out" in command)


@pytest.mark.parametrize("content", ["", "{", "[1]", "[]", '{"a": 1}'])
def test_what_cannot_be_read_is_refused_in_the_same_sentence(tmp_path, content):
    said = []
    (tmp_path / "runs.json").write_text(content)
    for read in (read_runs, inspect_runs, read_models):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "runs.json")
        said.append(str(caught.value))
    assert len(set(said)) == 1


def test_rows_may_be_selected_by_the_files_own_names(tmp_path):
    path, rows = tmp_path / "runs.csv", RUNS.assign(val_loss=[2.5, np.nan, 2.3, 2.2])
    searched(rows).assign(status=["FINISHED", "FAILED", "FINISHED", "FINISHED"]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"row 3, status: must have finished, found 'FAILED'"):
        read_runs(path)
    assert read_runs(path, select="status == 'FINISHED'").frame["run_id"].tolist() == ["a", "c", "d"]
    assert read_runs(path, select="state == 'FINISHED' and `params.lr` < 1").frame["loss"].tolist() == [2.5, 2.3, 2.2]


def test_a_recognized_column_groups_the_runs_under_either_name(tmp_path):
    path = written(tmp_path, "plain csv")
    assert read_runs(path, group="router").frame["group"].tolist() == RUNS["router"].tolist()
    assert read_runs(path, group="group").frame["group"].tolist() == RUNS["router"].tolist()
    assert read_runs(path, group="num_local_experts").frame["group"].tolist() == ["1", "4", "8", "16"]
    assert read_runs(path, group="num_local_experts").frame["num_experts"].tolist() == [1, 4, 8, 16]


def test_models_are_read_under_common_names_and_need_no_loss(tmp_path):
    rows = RUNS.drop(columns="val_loss").assign(state="planned")
    (tmp_path / "models.json").write_text(json.dumps(rows.to_dict("records")))
    found = read_models(tmp_path / "models.json")
    assert found["num_experts"].tolist() == [1, 4, 8, 16]
    assert "loss" not in found
    assert len(read_models(written(tmp_path, "plain csv", RUNS.assign(val_loss=np.nan)))) == 4
