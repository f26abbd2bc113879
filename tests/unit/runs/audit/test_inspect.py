"""The check of a table: everything that is wrong is told at once, and what is left can be fitted."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmoe.documents.runs_check import RunsCheckDocument
from bayesmoe.errors import InputError
from bayesmoe.resources import resource_folder
from bayesmoe.runs import load_source, read_runs
from bayesmoe.runs.audit.best_learning_rate import best_of_learning_rate, lowest_of
from bayesmoe.runs.audit.inspect import inspect_runs, tidy, write_tidy
from bayesmoe.runs.audit.text import inspection_text, left_out_text
from bayesmoe.terminal import line_width

GOOD = """run_id,val_loss,train_tokens,num_local_experts,num_experts_per_tok,n_params,lr,seed
a,2.5,1e9,1,1,1e8,0.001,1
b,2.4,1e9,4,2,2e8,0.001,1
c,2.3,1e9,8,2,3e8,0.001,1
"""


@pytest.fixture
def check(tmp_path):
    """Check a table given as text."""

    def run(text: str = GOOD, **options):
        (tmp_path / "runs.csv").write_text(text, encoding="utf-8")
        return inspect_runs(tmp_path / "runs.csv", **options)

    return run


def kinds(inspection) -> dict[str, tuple[int, ...]]:
    """Rows by column of what is wrong."""
    return {finding.column: finding.rows for finding in inspection.findings if finding.severity == "wrong"}


def test_common_names_are_recognized_and_what_follows_is_derived(check):
    found = check()
    assert found.names["loss"] == "val_loss"
    assert (found.names["tokens"], found.names["num_experts"]) == ("train_tokens", "num_local_experts")
    assert (found.names["top_k"], found.names["n_total"]) == ("num_experts_per_tok", "n_params")
    assert any(sentence.startswith("activation_ratio") for sentence in found.derived)
    assert any(sentence.startswith("n_dense: give it") for sentence in found.missing)
    assert (
        found.findings,
        found.wrong_rows,
    ) == ((), ())
    assert found.table["loss"].tolist() == [2.5, 2.4, 2.3]


def test_every_broken_rule_is_told_not_the_first_alone(check):
    found = check(
        "run_id,loss,tokens,num_experts,top_k,n_dense\n"
        "a,24.5,1e9,1,1,1e8\nb,NaN,1e9,4,2,1e8\nc,2.3,5,8,2,1e8\nd,2.2,7,0,1,1e8\ne,two,1e9,8,9,300\nf,2.1,1e9,8,2,1e8\nf,2.0,1e9,8,2,1e8\n"
    )
    rules = {(finding.column, finding.rows) for finding in found.findings if finding.severity == "wrong"}
    assert rules == {
        ("loss", (2,)),
        ("loss", (3,)),
        ("loss", (6,)),
        ("tokens", (4, 5)),
        ("n_dense", (6,)),
        ("top_k", (6,)),
        ("run_id", (7, 8)),
    }
    assert found.wrong_rows == (2, 3, 4, 5, 6, 7, 8)
    assert found.table.empty


def test_columns_carry_the_users_own_names(check):
    assert kinds(check(GOOD.replace("2.4", "-2.4"))) == {"val_loss": (3,)}
    assert kinds(check(GOOD.replace("b,2.4,1e9,4", "b,2.4,1e9,-4"))) == {"num_local_experts": (3,)}


def test_the_last_checkpoint_of_a_run_stands(check):
    found = check(GOOD + "c,2.6,5e8,8,2,3e8,0.001,1\nc,2.8,2e8,8,2,3e8,0.001,1\n")
    assert kinds(found) == {"train_tokens": (5, 6)}
    assert found.table["run_id"].tolist() == ["a", "b", "c"]


def test_a_table_without_losses_is_told_and_no_row_is_blamed(check):
    found = check("run_id,tokens,num_experts\na,1e9,1\n")
    assert found.wrong
    assert found.wrong_rows == ()
    assert found.table.empty
    assert "is missing" in found.findings[0].rule


def test_a_lone_perplexity_column_is_named_and_its_cure_given(check):
    found = check("eval/perplexity,tokens,num_experts\n12,1e9,1\n11,2e9,1\n")
    assert found.names["loss"] == "eval/perplexity"
    assert kinds(found) == {"eval/perplexity": (2, 3)}


def test_tokens_are_made_of_steps_and_batch(check):
    found = check("loss,num_experts,global_step,tokens_per_step\n2.5,1,4000,1e6\n2.4,8,4000,1e6\n")
    assert found.derived[0] == "tokens = steps * batch_tokens"
    assert found.table["tokens"].tolist() == [4e9, 4e9]
    assert tidy(found)["tokens"].tolist() == [4e9, 4e9]


def test_a_bad_map_is_refused(check):
    with pytest.raises(InputError, match="is not a column of ours to map to"):
        check(columns={"los": "val_loss"})
    with pytest.raises(InputError, match="did you mean 'val_loss'"):
        check(columns={"loss": "vall_loss"})


def test_a_map_reaches_what_only_a_check_reads(check):
    found = check(
        "loss,num_experts,n_dense,tokens,words,ended\n2.5,1,1e8,1e9,one,done\n2.4,8,1e8,1e9,two,failed\n2.4,8,1e8,2e9,two,done\n",
        columns={"state": "ended", "tokenizer": "words"},
    )
    assert kinds(found) == {"ended": (3,)}
    assert [finding.kind for finding in found.findings if finding.severity == "look"] == ["mixed tokenizers"]


# The cleaned copy


def test_the_cleaned_copy_is_read_as_the_table_was(check, tmp_path):
    found = check(GOOD + "d,nan,1e9,8,2,3e8,0.001,1\n")
    write_tidy(found, tmp_path / "clean.csv")
    again = read_runs(tmp_path / "clean.csv").frame
    assert list(pd.read_csv(tmp_path / "clean.csv")) == [
        "run_id",
        "loss",
        "tokens",
        "num_experts",
        "top_k",
        "n_total",
        "seed",
        "learning_rate",
    ]
    shared = [name for name in found.table if name in again]
    pd.testing.assert_frame_equal(again[shared], found.table[shared].reset_index(drop=True))
    assert left_out_text(found) == ["left out: row 5, d (val_loss: must be a finite number)"]
    assert inspect_runs(tmp_path / "clean.csv").findings == ()


def test_no_run_left_is_no_file(check, tmp_path):
    found = check("loss,num_experts\n24,1\n")
    with pytest.raises(InputError, match="no run is left to write"):
        write_tidy(found, tmp_path / "clean.csv")
    assert not (tmp_path / "clean.csv").exists()


# The best learning rate


def swept(seeds: int = 1) -> pd.DataFrame:
    """Two configurations, three learning rates each."""
    cells = list(itertools.product([1e8, 2e8], [1e-3, 2e-3, 4e-3], range(seeds)))
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(cells, columns=["n_dense", "learning_rate", "seed"])
    frame = frame.assign(loss=2.5 + 0.01 * rng.standard_normal(len(frame)), num_experts=1.0, tokens=1e9, batch="x")
    return frame.set_axis(range(2, len(frame) + 2))


def test_the_lowest_loss_of_each_configuration_is_kept():
    frame = swept()
    best = best_of_learning_rate(frame, origin="runs.csv")
    assert frame.loc[list(best.kept), "loss"].tolist() == frame.groupby("n_dense")["loss"].min().tolist()
    assert (best.most, best.median, best.seed_sd_nats, best.bias_nats) == (3, 3, None, None)


@pytest.mark.parametrize(("count", "expected"), [(1, 0.0), (2, 0.56419), (3, 0.84628), (10, 1.53875)])
def test_the_lowest_of_k_normals(count, expected):
    # Harter 1961, expected values of normal order statistics.
    assert lowest_of(count) == pytest.approx(expected, abs=1e-5)


def test_the_bias_is_that_of_the_lowest_of_noisy_runs():
    # Estimates of an sd of 0.01 from 1,200 degrees of freedom are within 2%, 0.0001 to 0.0002, nineteen times in twenty.
    frame = swept(seeds=201)
    best = best_of_learning_rate(frame, origin="runs.csv")
    assert best.seed_sd_nats == pytest.approx(0.01, abs=6e-4)
    assert best.replicates == len(frame)
    assert best.bias_nats == pytest.approx(best.seed_sd_nats * lowest_of(603))


def test_what_else_differed_is_said():
    frame = swept().assign(batch=list("xyxyxy"))
    assert best_of_learning_rate(frame, origin="runs.csv").also_differed == ("batch",)


def test_the_best_of_no_learning_rate_or_no_configuration_is_refused():
    with pytest.raises(InputError, match="is needed to choose the best of"):
        best_of_learning_rate(swept().drop(columns="learning_rate"), origin="runs.csv")
    with pytest.raises(InputError, match="nothing that tells configurations apart"):
        best_of_learning_rate(swept()[["loss", "learning_rate", "num_experts"]], origin="runs.csv")


def test_the_text_states_the_bias(check):
    found = check(GOOD + "d,2.35,1e9,8,2,3e8,0.002,1\ne,2.45,1e9,8,2,3e8,0.002,2\n", best=True)
    said = " ".join(inspection_text(found).split())
    assert (
        "kept the lowest loss of 3 configurations, of up to 3 runs each. The lowest of several noisy runs is biased low: by up to"
        in said
    )
    assert "seed sd of 0.0707 nats (2 replicates" in said
    assert found.table["run_id"].tolist() == ["a", "b", "c"]
    assert RunsCheckDocument.of(found).as_dict()["best_of_learning_rate"]["bias_nats_per_token"] <= 0


# Documents


def test_the_document_is_json_and_names_every_row(check):
    found = check(GOOD.replace("2.4", "inf"))
    text = json.dumps(RunsCheckDocument.of(found).as_dict(), allow_nan=False)
    back = json.loads(text)
    assert (back["schema"], back["schema_version"]) == ("bayesmoe.runs_check", 2)
    assert back["findings"][0]["run_ids"] == ["b"]
    assert back["findings"][0]["value"] is None
    assert back["left_out"] == [{"row": 3, "run_id": "b"}]
    assert {"column": "tokens", "yours": "train_tokens", "unit": "tokens"} in back["recognized_columns"]


def test_lines_are_not_wide(check):
    for line in inspection_text(check(GOOD.replace("2.4", "-2"))).splitlines():
        assert len(line) <= line_width() or " " not in line.strip()


# Real tables


def test_nothing_is_wrong_with_the_embedded_runs():
    found = inspect_runs(resource_folder("datasets") / "simulated-yun-grid.csv")
    assert found.findings == ()


@pytest.mark.parametrize("name", ["clark2022", "olmoe3-tuned", "olmoe3-full"])
def test_nothing_is_wrong_with_the_registered_runs(mirror, tmp_path, name):
    load_source(name).frame.to_csv(tmp_path / "runs.csv", index=False)
    found = inspect_runs(tmp_path / "runs.csv")
    assert not found.wrong, inspection_text(found)
    assert len(found.table) == len(found.run_ids)
    assert len(found.findings) <= 4


@pytest.mark.slow
def test_nothing_is_wrong_with_the_shared_tables(shared_data):
    for path in sorted((shared_data / "runs").glob("*.csv")):
        table = pd.read_csv(path)
        # A dense table names no expert count, which is required so far; runs that a table marks as diverged are rightly refused.
        if "num_experts" not in table or table.get("diverged", pd.Series(0)).any():
            continue
        found = inspect_runs(path)
        assert not found.wrong, inspection_text(found)


def test_the_outliers_of_epoch_are_those_that_epoch_left_out(shared_data):
    # Besiroglu et al. 2024, arXiv:2404.10102, leave out five points; the table marks them.
    path = shared_data / "runs" / "dense_chinchilla_epoch.csv"
    if not path.is_file():
        pytest.skip("the table is not here")
    found = inspect_runs(path)
    marked = pd.read_csv(path)
    assert {row for finding in found.findings for row in finding.rows} == set(marked.index[marked["outlier"] == 1] + 2)


def test_runs_whose_names_are_all_blank_are_called_by_their_number(check):
    unnamed = "\n".join(line.partition(",")[2] + "," for line in GOOD.splitlines()).replace("seed,", "seed,name")
    text = inspection_text(check(unnamed.replace("2.4,", ",")))
    assert "row 3" in text


# Hostile input

CELL = st.one_of(
    st.sampled_from(["", "nan", "inf", "-inf", "0", "-1", "1e9", "1e400", "9" * 500, "True", "None", "{}", "[]", "{'a': 1}", '{"a": {"value": 1}}']),
    st.floats().map(str),
    st.integers().map(str),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8),
)  # fmt: skip
HEADS = st.lists(
    st.one_of(
        st.sampled_from(["loss", "val_loss", "tokens", "num_experts", "top_k", "run_id", "name", "n_dense", "state", "step", "config", "summary", "lr", "seed", "group"]),
        st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_no_table_gives_a_traceback(tmp_path_factory, data):
    heads = list(dict.fromkeys([*data.draw(st.sampled_from([(), ("loss", "num_experts")])), *data.draw(HEADS)]))
    rows = data.draw(st.lists(st.lists(CELL, min_size=len(heads), max_size=len(heads)), min_size=0, max_size=6))
    kind = data.draw(st.sampled_from(["csv", "json", "parquet"]))
    frame = pd.DataFrame(rows, columns=heads, dtype=object)
    path = tmp_path_factory.mktemp("hostile") / f"runs.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "json":
        path.write_text(json.dumps(frame.to_dict("records")), encoding="utf-8")
    else:
        frame.to_parquet(path, index=False)
    try:
        found = inspect_runs(path, best=data.draw(st.booleans()))
    except InputError as error:
        said = str(error)
        assert "\n" not in said
        return
    assert inspection_text(found)
    json.dumps(RunsCheckDocument.of(found).as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), True, None, [1, 2], {"a": 1}, {"value": 3}, "", "2,5", "１２", "2.5\n", float("nan")]
)
@pytest.mark.parametrize("column", ["loss", "tokens", "num_experts", "run_id", "state", "lr"])
@pytest.mark.few(24)
def test_odd_values_of_json_never_give_a_traceback(tmp_path, column, value):
    run = {"run_id": "ä", "loss": 2.5, "tokens": 1e9, "num_experts": 8, "state": "finished", "lr": 1e-3, "größe": "groß"}
    (tmp_path / "runs.json").write_text(json.dumps([run | {"run_id": "b"}, run | {column: value}]), encoding="utf-8")
    found = inspect_runs(tmp_path / "runs.json")
    assert inspection_text(found)
    json.dumps(RunsCheckDocument.of(found).as_dict(), allow_nan=False)
