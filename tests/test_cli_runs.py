"""``bayesmoe runs check``: findings at exit 0 or 1, one sentence at exit 2, and files whole or not at all."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pandas as pd
import pytest

from bayesmoe.inference.spec import load_table, read_fit_spec

RUNS = """run_id,val_loss,train_tokens,num_experts,top_k,n_dense,lr
a,2.5,1e9,1,1,1e8,0.001
b,2.4,2e9,4,2,1e8,0.001
c,2.3,4e9,8,2,1e8,0.001
d,2.35,4e9,8,2,1e8,0.002
"""


@pytest.fixture
def runs(tmp_path):
    """Write a run table and return its path."""

    def write(text: str = RUNS, name: str = "runs.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_good_table_ends_with_zero(bayesmoe, runs):
    ended = bayesmoe("runs", "check", runs())
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0].endswith("runs.csv: 4 runs (plain table)")
    assert "loss = val_loss" in ended.out
    assert ended.out.endswith("nothing looks wrong\n")


def test_a_wrong_row_ends_with_one_and_is_named_with_its_cure(bayesmoe, runs):
    ended = bayesmoe("runs", "check", runs(RUNS.replace("2.4,2e9", "24,2e9")))
    assert (ended.code, ended.err) == (1, "")
    assert "1 cannot stand" in ended.out
    assert "in row 3 (b): val_loss: must be at most 20 nats per token, found 24" in " ".join(ended.out.split())


def test_the_document(bayesmoe, runs):
    ended = bayesmoe("runs", "check", runs(RUNS.replace("2.4,2e9", "24,2e9")), "--json")
    assert ended.code == 1
    found = json.loads(ended.out)
    assert (found["schema"], found["schema_version"]) == ("bayesmoe.runs_check", 2)
    assert (found["runs_read"], found["runs_kept"]) == (4, 3)


def test_what_is_left_out_is_named_and_the_copy_and_its_spec_can_be_read(bayesmoe, runs, tmp_path):
    path = runs(RUNS.replace("2.4,2e9", "24,2e9"))
    clean, spec = tmp_path / "out" / "clean.csv", tmp_path / "specs" / "mine.toml"
    ended = bayesmoe("runs", "check", path, "--clean", clean, "--spec", spec)
    assert ended.code == 0
    assert "left out: row 3, b (val_loss: must be at most 20 nats per token)" in ended.out
    assert f"3 runs in {clean}" in ended.out
    assert pd.read_csv(clean)["run_id"].tolist() == ["a", "c", "d"]
    assert 'file = "../out/clean.csv"' in spec.read_text()
    found = read_fit_spec(spec)
    assert found.law.name == "yun"
    assert load_table(found.data, found.groups).frame["loss"].tolist() == [2.5, 2.3, 2.35]


def test_a_spec_maps_a_table_that_can_stand_as_it_is(bayesmoe, runs, tmp_path):
    assert bayesmoe("runs", "check", runs(), "--spec", tmp_path / "mine.toml").code == 0
    found = read_fit_spec(tmp_path / "mine.toml")
    assert found.data.columns == {"loss": "val_loss", "tokens": "train_tokens"}
    assert len(load_table(found.data, found.groups).frame) == 4


def test_a_spec_may_name_what_a_tracker_wrote(bayesmoe, tmp_path):
    configs = [{"num_experts": count, "dense_params": size, "max_lr": 1e-3} for count in (1, 4) for size in (1e8, 2e8)]
    results = [{"eval/loss": 2.5 - 0.1 * number, "step": 4000, "tokens_per_step": 1e6} for number in range(4)]
    rows = [
        {"name": name, "config": config, "summary": result}
        for name, config, result in zip("abcd", configs, results, strict=True)
    ]
    (tmp_path / "runs.json").write_text(json.dumps(rows))
    assert bayesmoe("runs", "check", tmp_path / "runs.json", "--spec", tmp_path / "mine.toml").code == 0
    table = load_table(read_fit_spec(tmp_path / "mine.toml").data, None).frame
    assert table["tokens"].tolist() == [4e9] * 4
    assert table["loss"].tolist() == [2.5, 2.4, 2.3, 2.2]


@pytest.mark.parametrize(
    ("columns", "law", "size"),
    [
        ({"n_dense": 1, "tokens": 1, "num_experts": 1}, "yun", None),
        ({"n_dense": 1, "num_experts": 1}, "clark", None),
        ({"n_active": 1, "tokens": 1, "num_experts": 1}, "yun", "n_active"),
        ({"n_total": 1, "tokens": 1}, "chinchilla", "n_dense"),
        ({"n_total": 1}, "kaplan", "n_dense"),
    ],
)
def test_the_law_of_a_starter_follows_from_what_varies(bayesmoe, tmp_path, columns, law, size):
    values = {
        "n_dense": [1e8, 2e8, 4e8],
        "n_active": [1e8, 2e8, 4e8],
        "n_total": [1e8, 2e8, 4e8],
        "tokens": [1e9, 2e9, 4e9],
        "num_experts": [1, 8, 64],
    }
    frame = pd.DataFrame(
        {"loss": [2.5, 2.4, 2.3], "num_experts": 1, "tokens": 1e9} | {name: values[name] for name in columns}
    )
    frame.to_csv(tmp_path / "runs.csv", index=False)
    ended = bayesmoe("runs", "check", tmp_path / "runs.csv", "--spec", tmp_path / "mine.toml")
    assert ended.code == 0, ended
    found = read_fit_spec(tmp_path / "mine.toml")
    assert (found.law.name, found.law.size) == (law, size)


def test_groups_and_the_dense_runs_they_share(bayesmoe, tmp_path):
    frame = pd.DataFrame(
        {
            "loss": np.linspace(3, 2, 9), "num_experts": [1, 1, 1, 8, 16, 32, 8, 16, 32], "tokens": 1e9, "n_dense": [1e8, 2e8, 4e8] * 3,
            "router": ["none"] * 3 + ["hash"] * 3 + ['"S"-Base'] * 3,
        }
    )  # fmt: skip
    frame.to_csv(tmp_path / "runs.csv", index=False)
    assert bayesmoe("runs", "check", tmp_path / "runs.csv", "--spec", tmp_path / "mine.toml").code == 0
    found = read_fit_spec(tmp_path / "mine.toml")
    assert found.groups is not None
    assert (found.groups.column, found.groups.dense) == ("group", "none")
    assert set(load_table(found.data, found.groups).frame["group"]) == {"none", "hash", '"S"-Base'}


@pytest.mark.slow
def test_a_starter_can_be_fitted(bayesmoe, tmp_path):
    from bayesmoe.resources import resource_folder

    source = resource_folder("datasets") / "simulated-yun-grid.csv"
    clean, spec = tmp_path / "clean.csv", tmp_path / "mine.toml"
    assert bayesmoe("runs", "check", source, "--clean", clean, "--spec", spec).code == 0
    ended = bayesmoe("fit", spec, "--method", "laplace", "--draws", 50, "--out", tmp_path / "fit.nc")
    assert ended.code == 0
    assert "law yun, 80 runs" in ended.out


def test_the_best_learning_rate(bayesmoe, runs, tmp_path):
    ended = bayesmoe("runs", "check", runs(), "--best-of-learning-rate", "--clean", tmp_path / "best.csv")
    assert ended.code == 0
    assert "is biased low" in " ".join(ended.out.split())
    assert pd.read_csv(tmp_path / "best.csv")["run_id"].tolist() == ["a", "b", "c"]


def test_unicode_names_and_values(bayesmoe, runs, tmp_path):
    path = runs("lauf,Verlust,num_experts,größe,tokens\nä☃,2.5,1,1e8,1e9\n模型,2.4,8,1e8,2e9\n", "läufe.csv")
    ended = bayesmoe(
        "runs",
        "check",
        path,
        "--map",
        "loss=Verlust",
        "--map",
        "n_dense=größe",
        "--map",
        "run_id=lauf",
        "--spec",
        tmp_path / "ö.toml",
    )
    assert (ended.code, ended.err) == (0, "")
    assert load_table(read_fit_spec(tmp_path / "ö.toml").data, None).frame["run_id"].tolist() == ["ä☃", "模型"]


@pytest.mark.parametrize(
    ("name", "content", "flags", "says"),
    [
        ("none.csv", None, [], "{path}: no such file; check the path."),
        ("runs.csv", b"", [], "{path}: is empty; add a header and one row a trained model."),
        ("runs.csv", b"loss,loss\n2,3\n", [], "{path}, loss: stands more than once in the header; rename one of the two."),
        ("runs.json", b"{", [], "{path}: is not JSON of runs"),
        ("runs.csv", b"\x89PNG\x00\xff", [], "{path}: cannot be read"),
        ("runs.txt", b"x", [], "{path}: is neither CSV, Parquet nor JSON"),
        ("runs.csv", RUNS.encode(), ["--map", "loss"], "--map: must be ours=yours, such as loss=val_loss, found 'loss'."),
        ("runs.csv", RUNS.encode(), ["--map", "loss=los"], "{path}, los: is mapped to 'loss' but is not in the table; known:"),
        ("runs.csv", RUNS.encode().replace(b",lr", b",x"), ["--best-of-learning-rate"], "{path}, learning_rate: is needed to choose the best of"),
        ("runs.csv", b"loss,num_experts\n24,1\n", ["--clean", "{folder}/c.csv"], "{path}, loss: must be at most 20 nats per token, and no run is left to write"),
        ("runs.csv", RUNS.encode(), ["--clean", "{folder}/c.txt"], "--clean: must end in .csv"),
        ("runs.csv", RUNS.encode(), ["--clean", "{path}"], "{path}, --clean: is the file that is read; name another file."),
        ("runs.csv", RUNS.encode().replace(b"2.4", b"24"), ["--spec", "{folder}/s.toml"], "{path}, --spec: holds what cannot stand, so that a spec cannot name it; add --clean OUT.csv."),
        ("runs.csv", RUNS.encode(), ["--spec", "{folder}/s.toml", "--best-of-learning-rate"], "{path}, --spec: holds more runs than the best of each learning rate, so that a spec cannot name it"),
        ("runs.csv", b"loss,num_experts,tokens\n2.5,1,1e9\n2.4,8,2e9\n", ["--clean", "{folder}/c.csv", "--spec", "{folder}/s.toml"], "{path}: no column of size (n_dense, n_active or n_total) was recognized: no law can be fitted; add it"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_no_file(bayesmoe, tmp_path, name, content, flags, says):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    before = set(tmp_path.iterdir())
    ended = bayesmoe("runs", "check", path, *(flag.format(folder=tmp_path, path=path) for flag in flags))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("bayesmoe: ")
    assert says.format(path=path) in ended.err
    assert ended.err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_a_full_disk_leaves_an_older_copy(bayesmoe, runs, tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path, clean = runs(), tmp_path / "clean.csv"
    clean.write_text("older")
    monkeypatch.setattr(os, "fsync", full)
    assert bayesmoe("runs", "check", path, "--clean", clean).code == 2
    assert clean.read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clean.csv", "runs.csv"]
