"""Exports of trackers become one row a run, each fixture in the format of the tool that its comment names."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.aliases import plain, recognized
from bayesmoe.runs.trackers import read_export

# W&B app (wandb.ai, 2025): runs table, "Export as CSV": every cell quoted, settings and results under bare keys, nested ones dotted.
WANDB_TABLE = '''"Name","State","Notes","User","Tags","Created","Runtime","Sweep","model.num_experts","model.top_k","optimizer.lr","train/loss","eval/loss","train_tokens"
"a","finished","-","me","","2025-05-01T10:00:00.000Z","3600","","8","2","0.001","2.51","2.55","4000000000"
"b","crashed","-","me","","2025-05-01T11:00:00.000Z","60","","16","2","0.001","","","1000000000"
'''  # fmt: skip

# MLflow 2 and 3: search_runs(output_format="pandas").to_csv(index=False), also `mlflow experiments csv`; parameters are text.
MLFLOW_SEARCH = """run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.val_loss,metrics.train_loss,params.num_experts,params.num_experts_per_tok,params.lr,params.router,tags.mlflow.runName,tags.mlflow.user
0f1e,1,FINISHED,mlflow-artifacts:/1/0f1e/artifacts,2025-05-01 10:00:00+00:00,2025-05-01 11:00:00+00:00,2.55,2.5,8,2,1e-3,None,calm-fox-1,me
2d3c,1,FAILED,mlflow-artifacts:/1/2d3c/artifacts,2025-05-01 10:00:00+00:00,,,2.9,16,2,1e-3,hash,calm-fox-2,me
"""

# MLflow's app, "Download CSV" of the experiment page.
MLFLOW_TABLE = """Start Time,Duration,Run ID,Name,Source Type,Source Name,User,Status,lr,num_experts,val_loss
2025-05-01 10:00:00,1.0h,0f1e,calm-fox-1,LOCAL,train.py,me,FINISHED,0.001,8,2.55
"""


def read(folder: Path, text: str, name: str = "runs.csv"):
    """An export made of text."""
    (folder / name).write_text(text, encoding="utf-8")
    return read_export(folder / name)


def names(export) -> dict[str, str]:
    """What is recognized of an export without a map."""
    return recognized(export, {})


def test_the_runs_table_of_weights_and_biases(tmp_path):
    export = read(tmp_path, WANDB_TABLE)
    assert (export.tool, list(export.frame.index)) == ("Weights & Biases", [2, 3])
    found = names(export)
    assert found["loss"] == "eval/loss"
    assert found["num_experts"] == "model.num_experts"
    assert found["learning_rate"] == "optimizer.lr"
    assert (found["run_id"], found["state"], found["tokens"]) == ("Name", "State", "train_tokens")


CONFIG = {
    "num_local_experts": {"value": 8, "desc": None},
    "model": {"value": {"hidden_size": 512}},
    "_wandb": {"value": {"m": 1}},
}
SUMMARY = {"eval/loss": 2.55, "loss": 2.4, "_step": 10, "bad": float("nan"), "worse": float("inf"), "_wandb": {"runtime": 3}}


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "records", "lines"])
def test_the_dump_of_the_api_of_weights_and_biases(tmp_path, kind):
    # W&B's documented export (wandb 0.16 to 0.22): DataFrame of summary, config and name, .to_csv("project.csv").
    frame = pd.DataFrame({"summary": [SUMMARY, SUMMARY], "config": [CONFIG, CONFIG], "name": ["a", "b"]})
    path = tmp_path / f"project.{'json' if kind in ('records', 'lines') else kind}"
    if kind == "csv":
        frame.to_csv(path)
        assert "nan" in path.read_text()
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        orient = {"json": {}, "records": {"orient": "records"}, "lines": {"orient": "records", "lines": True}}[kind]
        frame.to_json(path, **orient)
    export = read_export(path)
    assert (export.tool, len(export.frame)) == ("Weights & Biases", 2)
    assert export.frame["config.num_local_experts"].tolist() == [8, 8]
    found = names(export)
    assert found["loss"] == "summary.eval/loss"
    assert found["num_experts"] == "config.num_local_experts"
    assert found["d_model"] == "config.model.hidden_size"
    assert found["run_id"] == "name"
    assert not any("_wandb" in name for name in export.frame)


def test_a_setting_is_not_taken_for_a_result(tmp_path):
    rows = [{"config": {"loss": "cross_entropy", "lr": 1e-3}, "summary": {"loss": 2.5, "lr": 1e-5}, "name": "a"}]
    found = names(read(tmp_path, json.dumps(rows), "runs.json"))
    assert found["loss"] == "summary.loss"
    assert found["learning_rate"] == "config.lr"


def test_search_runs_of_mlflow(tmp_path):
    export = read(tmp_path, MLFLOW_SEARCH)
    assert export.tool == "MLflow"
    found = names(export)
    assert found["loss"] == "metrics.val_loss"
    assert (found["num_experts"], found["top_k"]) == ("params.num_experts", "params.num_experts_per_tok")
    assert (found["run_id"], found["state"], found["name"]) == ("run_id", "status", "tags.mlflow.runName")
    assert "group" not in found  # one run was set to None, which MLflow writes as text
    assert export.frame["params.router"].isna().tolist() == [True, False]


def test_the_downloaded_csv_of_mlflow(tmp_path):
    export = read(tmp_path, MLFLOW_TABLE)
    assert export.tool == "MLflow"
    assert {ours: names(export)[ours] for ours in ("run_id", "state", "loss")} == {
        "run_id": "Run ID",
        "state": "Status",
        "loss": "val_loss",
    }


def test_runs_search_of_mlflow_as_json(tmp_path):
    # MLflow's REST API 2.0, runs/search.
    run = {
        "info": {"run_id": "0f1e", "status": "FINISHED", "experiment_id": "1", "artifact_uri": "x", "start_time": 1},
        "data": {
            "metrics": [{"key": "val_loss", "value": 2.5, "timestamp": 1, "step": 9}],
            "params": [{"key": "num_experts", "value": "8"}],
            "tags": [{"key": "mlflow.runName", "value": "calm"}],
        },
    }
    export = read(tmp_path, json.dumps({"runs": [run, run], "next_page_token": "t"}), "runs.json")
    assert export.tool == "MLflow"
    assert export.frame["metrics.val_loss"].tolist() == [2.5, 2.5]
    assert names(export)["num_experts"] == "params.num_experts"


# Trackio 0.43: PROJECT.parquet has a row a log call, PROJECT_configs.parquet a row a run (SQLiteStorage.export_to_parquet).
LOGGED = [
    {"id": 1, "timestamp": "2025-05-01T10:00:00+00:00", "run_id": "r1", "run_name": "a", "step": 100, "log_id": "x", "space_id": None, "loss": 3.0},
    {"id": 2, "timestamp": "2025-05-01T10:01:00+00:00", "run_id": "r1", "run_name": "a", "step": 200, "log_id": "y", "space_id": None, "loss": 2.6, "eval/loss": 2.7},
    {"id": 3, "timestamp": "2025-05-01T10:02:00+00:00", "run_id": "r1", "run_name": "a", "step": 300, "log_id": "z", "space_id": None, "loss": 2.5},
    {"id": 4, "timestamp": "2025-05-01T10:00:00+00:00", "run_id": "r2", "run_name": "b", "step": 300, "log_id": "u", "space_id": None, "loss": 2.4, "eval/loss": 2.6},
]  # fmt: skip
CONFIGS = [
    {"id": 1, "run_id": "r1", "run_name": "a", "created_at": "2025", "num_experts": 8, "lr": 1e-3, "_Username": "me"},
    {"id": 2, "run_id": "r2", "run_name": "b", "created_at": "2025", "num_experts": 16, "lr": 1e-3, "_Username": "me"},
]


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
@pytest.mark.parametrize("configs", ["project_configs", "aux/configs"])
def test_the_log_of_trackio_becomes_the_last_value_of_each_metric(tmp_path, kind, configs):
    (tmp_path / "aux").mkdir()

    def write(rows: list[dict], path: Path) -> None:
        frame = pd.DataFrame(rows)
        {
            "parquet": frame.to_parquet,
            "csv": lambda p: frame.to_csv(p, index=False),
            "json": lambda p: frame.to_json(p, orient="records"),
        }[kind](path)

    write(LOGGED, tmp_path / f"project.{kind}")
    write(CONFIGS, tmp_path / f"{configs}.{kind}")
    export = read_export(tmp_path / f"project.{kind}")
    assert (export.tool, len(export.notes)) == ("Trackio", 2)
    frame = export.frame.set_index("run_id")
    assert frame["loss"].tolist() == [2.5, 2.4]
    assert frame["eval/loss"].tolist() == [2.7, 2.6]
    assert frame["step"].tolist() == [300, 300]
    assert frame["config.num_experts"].tolist() == [8, 16]
    assert list(export.frame.index) == [4, 5]
    found = names(export)
    assert (found["loss"], found["num_experts"], found["name"], found["steps"]) == (
        "eval/loss",
        "config.num_experts",
        "name",
        "step",
    )


def test_a_run_of_trackio_that_ends_in_nan_ends_in_nan(tmp_path):
    rows = [{"run_name": "a", "timestamp": "t", "step": s, "loss": loss} for s, loss in ((10, 3.0), (20, 2.5), (30, "NaN"))]
    assert read(tmp_path, json.dumps({"logs": rows}), "runs.json").frame["loss"].isna().tolist() == [True]


def test_a_counter_of_log_calls_is_not_a_step(tmp_path):
    rows = [{"run_name": run, "timestamp": "t", "step": step, "loss": 3.0 - step} for run in "ab" for step in range(3)]
    export = read(tmp_path, json.dumps(rows), "runs.json")
    assert "step" not in export.frame
    assert "counts the log calls" in export.notes[1]


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table", "lines"])
def test_every_json_of_pandas(tmp_path, orient):
    frame = pd.DataFrame({"loss": [2.5, 2.4], "num_experts": [1, 8]})
    path = tmp_path / "runs.json"
    frame.to_json(path, **({"orient": "records", "lines": True} if orient == "lines" else {"orient": orient}))
    export = read_export(path)
    assert export.tool == "plain table"
    assert export.frame["loss"].tolist() == [2.5, 2.4]
    assert export.frame["num_experts"].tolist() == [1, 8]


def test_a_plain_table_keeps_its_rows_and_its_words(tmp_path):
    export = read(tmp_path, "loss,val_loss,num_experts,Anzahl Tokens\n2.5,2.6,1,1e9\n\n2.4,2.5,8,1e9\n")
    assert (export.tool, list(export.frame.index)) == ("plain table", [2, 4])
    assert names(export)["loss"] == "loss"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("params.moeTopK", "moe_top_k"),
        ("config/n_layers", "n_layers"),
        ("eval/loss", "eval_loss"),
        ("Run ID", "run_id"),
        ("metrics.val-loss", "val_loss"),
        ("größe", "gr_e"),
    ],
)
def test_a_name_in_plain_words(name, word):
    assert plain(name) == word


def test_what_the_user_maps_comes_first(tmp_path):
    export = read(tmp_path, WANDB_TABLE)
    found = recognized(export, {"loss": "train/loss"})
    assert found["loss"] == "train/loss"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("runs.json", b"", "is empty"),
        ("runs.json", b"{", "is not JSON of runs"),
        ("runs.json", b"[1, 2]", "is not JSON of runs"),
        ("runs.json", b"3", "is not JSON of runs"),
        ("runs.json", b'{"a": 3}', "is not JSON of runs"),
        ("runs.json", b"[]", "has no runs"),
        ("runs.json", b"[" * 100_000, "is not JSON of runs"),
        ("runs.json", b"\xff\xfe\x00binary", "cannot be read"),
        ("runs.csv", b"", "is empty"),
        ("runs.csv", b"\x00\xff\x89PNG", "cannot be read"),
        ("runs.csv", b"loss,num_experts\n", "has no runs"),
        ("runs.parquet", b"PAR1", "cannot be read"),
        ("runs.xlsx", b"x", "is neither CSV, Parquet nor JSON"),
    ],
)
def test_an_unreadable_file_is_refused_in_a_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_export(tmp_path / name)
    assert "\n" not in str(caught.value)
