"""Columns by the names that people give them, file by file: which one is read, and what is said of it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.audit.inspect import Inspection, inspect_runs
from bayesmoe.runs.table import read_runs

EXPERTS, TOP_K = [1, 1, 1, 4, 4, 4, 16, 16, 16], [1, 1, 1, 2, 2, 2, 2, 2, 2]
DENSE, TOKENS = [2e7, 2e7, 6e7] * 3, np.array([2e8, 8e8, 6e8] * 3)
LOSS = np.array([5.0098, 4.3658, 4.0714, 4.8511, 4.2213, 3.9473, 4.7517, 4.1183, 3.9058])
TOTAL = np.array([2e7, 2e7, 6e7, 6e7, 6e7, 1.8e8, 2.2e8, 2.2e8, 6.6e8])
ACTIVE = np.array([2e7, 2e7, 6e7, 33333333, 33333333, 99999999, 33333333, 33333333, 99999999])
NAMES = [f"run-{run}" for run in range(9)]
BASE = {"num_experts": EXPERTS, "top_k": TOP_K, "n_dense": DENSE, "tokens": TOKENS, "loss": LOSS}
WANDB = {"Name": NAMES, "State": "finished", "Created": "2025-05-01", "Runtime": 100}
STEPS = [3052, 12207, 9155] * 3


def found(folder: Path, *without: str, maps: dict[str, str] | None = None, **columns: Any) -> Inspection:
    """The check of nine runs less some columns, with others beside."""
    kept = {name: values for name, values in BASE.items() if name not in without}
    pd.DataFrame(kept | columns).to_csv(folder / "runs.csv", index=False)
    return inspect_runs(folder / "runs.csv", columns=maps)


def said(check: Inspection) -> str:
    """All that was found, as one text."""
    return "; ".join(f"{one.column}: {one.rule}; {one.hint}" for one in check.findings)


HELD_OUT = (
    "dev_loss", "heldout/nll", "Validation Loss", "valid_lm_loss", "test/cross_entropy", "loss/validation", "validation/main/lm_loss", "eval_nll_per_token",
    "val/log_perplexity", "eval/c4_loss", "val_ce_loss", "metrics.valid_loss", "holdout_loss", "eval/LanguageCrossEntropy",
)  # fmt: skip
BEST = (
    "best_val_loss", "val/best_loss", "eval/loss_min", "best/val_loss", "min_val_loss", "val_loss_best", "best_eval_loss", "lowest_val_loss", "metrics.best_val_loss",
    "summary.val/loss.min",
)  # fmt: skip
NO_LOSS = (
    "aux_loss", "router/z_loss", "val/loss_std", "initial_val_loss", "teacher/val_loss", "loss_scale", "val_loss_target", "load_balancing_loss", "loss_per_byte", "excess_loss",
)  # fmt: skip


@pytest.mark.parametrize("name", HELD_OUT)
@pytest.mark.few(4)
def test_a_loss_on_held_out_text_is_the_loss(tmp_path, name):
    check = found(tmp_path, "loss", **{"train/loss": LOSS - 0.2, name: LOSS})
    assert check.names["loss"] == name
    np.testing.assert_allclose(check.table["loss"], LOSS)


@pytest.mark.parametrize("name", BEST)
@pytest.mark.few(4)
def test_the_lowest_loss_gives_way_to_the_last_and_is_doubted_alone(tmp_path, name):
    assert found(tmp_path, "loss", **{name: LOSS - 0.1, "val_loss": LOSS}).names["loss"] == "val_loss"
    alone = found(tmp_path, "loss", **{name: LOSS})
    assert alone.names["loss"] == name
    assert "is the lowest loss that a run had, by its name, not its last" in said(alone)
    beside = found(tmp_path, "loss", **WANDB, **{"train/loss": LOSS - 0.2, name: LOSS})
    assert beside.names["loss"] == name
    assert "the table also has train/loss" in said(beside)


@pytest.mark.parametrize("name", NO_LOSS)
@pytest.mark.few(4)
def test_another_loss_is_none(tmp_path, name):
    assert "loss" not in found(tmp_path, "loss", **{name: LOSS}).names
    assert found(tmp_path, "loss", **{name: LOSS - 1.0, "val_loss": LOSS}).names["loss"] == "val_loss"


@pytest.mark.parametrize(
    "name", ["train/avg_loss", "train/running_loss", "train_loss", "train/loss_smooth", "train/loss_ema"]
)
def test_a_mean_of_training_gives_way_to_its_last(tmp_path, name):
    check = found(tmp_path, "loss", **WANDB, **{name: LOSS + 1.0, "train/loss": LOSS})
    assert check.names["loss"] == "train/loss"
    assert f"is a training loss: no held-out loss was recognized; {name} may be a mean over the run" in said(check)
    assert "mean" in said(found(tmp_path, "loss", **WANDB, **{name: LOSS + 1.0}))


def test_a_bare_loss_of_a_tracker_is_said_to_be_of_training(tmp_path):
    assert "is a training loss by all likelihood" in said(found(tmp_path, **WANDB))
    assert "training" not in said(found(tmp_path))
    assert "training" not in said(found(tmp_path, maps={"loss": "loss"}, **WANDB))


def test_of_losses_on_several_corpora_the_user_is_asked(tmp_path):
    for names in (("val/c4/loss", "val/pile/loss"), ("val_loss_c4", "val_loss_pile")):
        check = found(tmp_path, "loss", **dict.fromkeys(names, LOSS))
        assert f"did you mean {names[0]!r} or {names[1]!r}" in said(check)


WITHOUT = (
    "parameters_excluding_embedding", "n_params_no_embed", "params_excl_emb", "nonembed_params", "non_vocab_params", "params_minus_embeddings", "params_w_o_emb", "params/non_embedding",
    "transformer_params",
)  # fmt: skip
BARE = (
    "params",
    "n_params",
    "# params",
    "Parameters",
    "model parameters",
    "trainable_params",
    "params/total",
    "num_parameters",
    "summary.total_params",
    "model/num_params",
)
PARTS = (
    "lm_head/params", "embedding/num_params", "router_params", "draft/params", "teacher/params", "optimizer/num_params", "expert_params", "params_per_expert", "attn_params",
    "emb_params", "lora_params",
)  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT)
def test_a_size_without_embeddings_comes_first(tmp_path, name):
    check = found(tmp_path, "n_dense", params=TOTAL + 5e7, **{name: TOTAL})
    np.testing.assert_allclose(check.table["n_total"], TOTAL)
    assert not any("may count embeddings" in sentence for sentence in check.derived)


@pytest.mark.parametrize("name", BARE)
@pytest.mark.few(4)
def test_a_bare_size_may_count_embeddings_and_that_is_said(tmp_path, name):
    for part in PARTS[:3]:
        check = found(tmp_path, "n_dense", **{part: 25755648.0, name: TOTAL})
        assert check.names["n_total"] == name
        assert f"n_total = {name}: it may count embeddings" in " ".join(check.derived)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.few(4)
def test_the_parameters_of_a_part_are_no_size(tmp_path, name):
    check = found(tmp_path, "n_dense", **{name: TOTAL})
    assert "n_total" not in check.names
    assert "no law can be fitted" in said(check)
    forced = found(tmp_path, "n_dense", maps={"n_total": name}, **{name: TOTAL})
    assert "because it was mapped so" in said(forced)


def test_sizes_of_which_one_counts_embeddings_are_doubted(tmp_path):
    assert "active_params_no_emb does" in said(
        found(tmp_path, "n_dense", active_params_no_emb=ACTIVE, total_params=TOTAL + 5e7)
    )
    assert "embedding_params stands beside it" in said(found(tmp_path, "n_dense", params=TOTAL, embedding_params=5e6))
    assert "counts embeddings, by its name" in said(found(tmp_path, "n_dense", params_with_embeddings=TOTAL))


def test_of_two_sizes_that_say_the_same_neither_is_taken(tmp_path):
    check = found(tmp_path, "n_dense", **{"left/params": TOTAL, "right/params": 2 * TOTAL})
    assert "n_total" not in check.names


@pytest.mark.parametrize(
    "name", ["num_expert", "expert_num", "experts_total", "moe_n_experts", "nb_experts", "Number of experts", "moe/experts_routed", "config.model.num_local_experts"]
)  # fmt: skip
def test_an_expert_count_is_read_by_its_words(tmp_path, name):
    check = found(tmp_path, "num_experts", **{"expert_parallel_size": 8, "base_num_experts": 8, name: EXPERTS})
    assert check.names["num_experts"] == name


@pytest.mark.parametrize(
    "name", ["base_num_experts", "expert_parallel_size", "num_layers", "expert_hidden_size", "experts_per_group"]
)
def test_what_is_no_expert_count_is_not_proposed(tmp_path, name):
    assert "did you mean" not in said(found(tmp_path, "num_experts", **{name: EXPERTS}))


@pytest.mark.parametrize(
    "name", ["experts_per_tok", "active_experts", "n_activated_experts", "topk_experts", "moe_router_topk", "router/top_k", "num_selected_experts"]
)  # fmt: skip
@pytest.mark.parametrize(
    "sampling", [{"generation_config.top_k": 50}, {"top_k": 50, "do_sample": True}, {"eval.top_k": 40, "eval.temperature": 0.7}, {"top_k": 50, "repetition_penalty": 1.0}]
)  # fmt: skip
@pytest.mark.few(6)
def test_a_top_k_of_sampling_is_none_of_routing(tmp_path, name, sampling):
    check = found(tmp_path, "top_k", **sampling, **{name: TOP_K})
    assert check.names["top_k"] == name
    alone = found(tmp_path, "top_k", **sampling)
    assert "top_k" not in alone.names
    assert not alone.wrong


@pytest.mark.parametrize("word", ["dense", "-", "None", "N/A", "no", "0", ""])
def test_a_word_for_no_experts_is_a_dense_model(tmp_path, word):
    check = found(tmp_path, num_experts=[word] * 3 + EXPERTS[3:], top_k=[word] * 3 + TOP_K[3:])
    assert check.table["num_experts"].tolist() == EXPERTS
    assert not check.wrong


@pytest.mark.parametrize(
    "flag",
    [
        {"moe": False},
        {"is_moe": 0},
        {"num_shared_experts": 0},
        {"num_experts": 0, "top_k": 0},
        {"top_k": 50, "temperature": 1.0},
    ],
)
def test_a_table_that_says_no_to_experts_is_dense(tmp_path, flag):
    check = found(tmp_path, "num_experts", "top_k", **flag)
    assert check.table["num_experts"].tolist() == [1] * 9
    assert any(sentence.startswith("num_experts = 1") for sentence in check.derived)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ({"steps": STEPS, "global_batch_size": 65536, "sequence_length": 512}, 3052 * 65536.0),
        ({"steps": STEPS, "total_batch_size": 65536, "max_seq_len": 2048}, 3052 * 65536.0),
        ({"steps": STEPS, "global_batch_size": "64K", "sequence_length": 2048}, 3052 * 64e3),
        ({"steps": STEPS, "global_batch_size": 32, "max_seq_length": 2048}, 3052 * 65536.0),
        ({"steps": STEPS, "global_batch_size_in_tokens": 65536, "seq_len": 2048}, 3052 * 65536.0),
        ({"num_train_steps": [9155] * 9, "completed_steps": STEPS, "tokens_per_step": 65536}, 3052 * 65536.0),
        ({"val/tokens": 1e7, "tokens_per_second": 1e6, "train/total_tokens": TOKENS}, 2e8),
        ({"train/step_tokens": 65536, "Training tokens (billions)": TOKENS / 1e9}, 2e8),
    ],
)
def test_tokens_are_those_of_training(tmp_path, written, tokens):
    assert found(tmp_path, "tokens", **written).table["tokens"].iloc[0] == pytest.approx(tokens)


@pytest.mark.parametrize("columns", [{}, {"n_dense": None, "n_active": ACTIVE, "n_total": TOTAL}])
@pytest.mark.parametrize(
    ("factor", "rows"),
    [(1e3, 9), (np.where(np.array(EXPERTS) > 1, 1e3, 1.0), 6), (np.where(np.arange(9) == 4, 2e3, 1.0), 1)],
)
def test_a_thousandfold_is_caught_for_dense_and_mixture_rows_alike(tmp_path, columns, factor, rows):
    check = found(
        tmp_path,
        *columns,
        tokens=TOKENS * factor,
        **{name: values for name, values in columns.items() if values is not None},
    )
    assert [len(one.rows) for one in check.findings if one.kind == "units"] == [rows]
    assert "units" not in {one.kind for one in found(tmp_path).findings}


def test_planned_tokens_are_not_those_made_and_the_hint_names_them(tmp_path):
    assert "--map tokens=max_tokens where every run came to its end" in said(found(tmp_path, "tokens", max_tokens=TOKENS))
    hint = "--map steps=max_steps where every run came to its end"
    assert hint in said(found(tmp_path, "tokens", max_steps=STEPS, global_batch_size=32, seq_len=2048))


@pytest.mark.parametrize(
    "form",
    [
        "{:.0f}M",
        "~{:.0f}M",
        "{:.0f} Mio",
        "{:.0f}M tokens",
        "{:.0f},000,000",
        "{:.0f} 000 000",
        "{:.0f}'000'000",
        "{:.0f}e6",
        "{:.0f}_000_000",
    ],
)
def test_counts_in_words(tmp_path, form):
    check = found(tmp_path, "tokens", tokens=[form.format(tokens / 1e6) for tokens in TOKENS])
    np.testing.assert_allclose(check.table["tokens"], TOKENS)


def test_bits_are_known_by_the_perplexity_of_other_text(tmp_path):
    check = found(tmp_path, "loss", val_loss=LOSS / np.log(2), train_ppl=np.exp(LOSS - 0.1))
    np.testing.assert_allclose(check.table["loss"], LOSS)
    assert "is in bits per token" in said(check)
    assert "bits" not in said(found(tmp_path, "loss", val_loss=LOSS, train_ppl=np.exp(LOSS - 0.1)))


ENDS = {
    "state": [["finished"] * 8 + ["crashed"], ["ok"] * 8 + ["crashed"], ["COMPLETED"] * 8 + ["CANCELLED by 1001"], ["weird"] * 8 + ["OUT_OF_MEMORY"], ["done"] * 8 + ["preempted"]],
    "exit_code": [[0] * 8 + [1]], "finished": [[True] * 8 + [False]], "crashed": [[False] * 8 + [True]], "job_status": [["succeeded"] * 8 + ["NODE_FAIL"]],
}  # fmt: skip


@pytest.mark.parametrize(("name", "values"), [(name, values) for name, each in ENDS.items() for values in each])
@pytest.mark.few(4)
def test_a_run_that_did_not_end_cannot_stand(tmp_path, name, values):
    check = found(tmp_path, run_id=NAMES, **{name: values})
    assert check.wrong_rows == (10,)
    with pytest.raises(InputError, match=r"--clean OUT\.csv` leaves it out"):
        read_runs(tmp_path / "runs.csv")


def logged(key: str | None, order: str = "rising", step: str = "step", **columns: Any) -> pd.DataFrame:
    """Four runs of four rows each."""
    rows = [
        {key or "x": f"run-{run}", step: at, "tokens": 2e8, "num_experts": 1, "n_dense": 2e7 * (1 + run), "loss": 4.0 - run / 9 - at / 1e4}
        for run in range(4)
        for at in (2500, 5000, 7500, 10000)
    ]  # fmt: skip
    frame = pd.DataFrame(rows).assign(**columns)
    places = (
        np.random.default_rng(0).permutation(16)
        if order == "mixed"
        else range(15, -1, -1)
        if order == "falling"
        else range(16)
    )
    return frame.iloc[list(places)].drop(columns=[] if key else "x")


@pytest.mark.parametrize("order", ["rising", "falling", "mixed"])
@pytest.mark.parametrize("key", ["run", "run_id", "Name", "exp", "model_name", "config_id"])
@pytest.mark.parametrize("step", ["step", "iter", "ckpt_step"])
@pytest.mark.few(6)
def test_the_last_row_of_a_run_stands_whatever_names_it(tmp_path, key, order, step):
    logged(key, order, step).to_csv(tmp_path / "runs.csv", index=False)
    check = inspect_runs(tmp_path / "runs.csv")
    np.testing.assert_allclose(np.sort(check.table["loss"])[::-1], [3.0 - run / 9 for run in range(4)])
    assert "an undecayed checkpoint" in said(check)


@pytest.mark.parametrize("key", ["run", "run_id"])
def test_rows_of_a_run_that_nothing_orders_are_no_runs_without_a_word(tmp_path, key):
    logged(key).drop(columns="step").to_csv(tmp_path / "runs.csv", index=False)
    check = inspect_runs(tmp_path / "runs.csv")
    assert "no column says which is the last" in said(check) if key == "run" else check.table.empty


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Step,group: a - val/loss,group: a - val/loss__MIN,group: a - val/loss__MAX\n1,4,4,4\n", "is a chart of 1 run"),
        ("Step,r1 - eval/loss,r2 - eval/loss\n1,4,4\n2,3,3\n", "is a chart of 2 runs (r1, r2)"),
        ("Step,run-a: val/loss,run-b: val/loss\n1,4,4\n2,3,3\n", "is a chart of 2 runs (run-a, run-b)"),
        ("Relative Time (Process),r1 - loss,r1 - loss__MIN,r1 - loss__MAX\n1,4,4,4\n", "is a chart of 1 run (r1)"),
        ("Wall time,Step,Value\n1,1,4\n2,2,3.9\n", "is a scalar of TensorBoard"),
    ],
)
def test_what_is_drawn_is_no_table_of_runs(tmp_path, text, says):
    (tmp_path / "runs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        inspect_runs(tmp_path / "runs.csv")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("corpus", ["web", "code", "math"]),
        ("data_id", [0, 1, 2]),
        ("sequence_length", [512, 1024, 2048]),
        ("config.data.name", ["a", "b", "c"]),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_what_explains_the_losses_is_proposed_as_the_group(tmp_path, name, values, noise):
    loss = np.repeat([1.0, 0.55, 0.75], 6) * np.tile([4.29, 3.72, 3.74, 3.17, 3.44, 2.89], 3)
    table = pd.DataFrame(
        {
            "run_id": [str(run) for run in range(18)], name: np.repeat(values, 6), "num_experts": 1, "n_total": np.tile([2e7, 2e7, 1e8, 1e8, 4e8, 4e8], 3),
            "tokens": np.tile([1e9, 8e9], 9), "val_loss": loss * np.exp(noise * np.random.default_rng(1).normal(size=18)),
        }
    )  # fmt: skip
    table.to_csv(tmp_path / "runs.csv", index=False)
    assert f"--map group={name}" in said(inspect_runs(tmp_path / "runs.csv"))


@pytest.mark.parametrize(
    "odd", ["torch.float32", "<function gelu at 0x7f>", "PosixPath('/a')", "np.int64(3)", "datetime.date(2024, 1, 1)", "lambda x: x", "OrderedDict([('a', 1)])", "array([1., 2.])"]
)  # fmt: skip
def test_a_config_with_an_object_is_read_but_for_it(tmp_path, odd):
    rows = []
    for run, (experts, top_k, dense, tokens, loss) in enumerate(zip(*BASE.values(), strict=True)):
        config = str({"num_experts": experts, "top_k": top_k, "n_dense": dense, "tokens": float(tokens)})[:-1]
        rows.append({"name": f"run-{run}", "config": f"{config}, 'odd': {odd}}}", "summary": json.dumps({"val/loss": loss})})
    pd.DataFrame(rows).to_csv(tmp_path / "runs.csv", index=False)
    check = inspect_runs(tmp_path / "runs.csv")
    assert not check.wrong
    np.testing.assert_allclose(check.table["tokens"], TOKENS)


def test_the_symbols_of_papers_are_read_together(tmp_path):
    check = found(tmp_path, *BASE, N=TOTAL, D=TOKENS, E=EXPERTS, K=TOP_K, L=LOSS)
    assert check.names == {"n_total": "N", "tokens": "D", "num_experts": "E", "top_k": "K", "loss": "L"}
    assert "num_experts: is missing" in said(found(tmp_path, "num_experts", "top_k", E=EXPERTS))


def test_our_own_word_stands_beside_a_held_out_loss_and_that_is_said(tmp_path):
    check = found(tmp_path, val_loss=LOSS)
    assert check.names["loss"] == "loss"
    assert "was read as the loss; the table also has val_loss" in said(check)
    assert found(tmp_path, val_loss=LOSS, **WANDB).names["loss"] == "val_loss"


def test_a_mean_over_held_out_text_is_no_mean_over_the_run(tmp_path):
    assert "mean" not in said(found(tmp_path, "loss", **{"eval/avg_loss": LOSS}))
    assert "mean" in said(found(tmp_path, "loss", **{"eval/loss_ema": LOSS}))


SHAPE = {
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_moe_layers": 7,
    "intermediate_size": 2048,
    "moe_intermediate_size": 256,
    "n_routed_experts": 64,
    "num_experts_per_tok": 6,
}
LIKE_EIGHT = (
    33_554_432 - 7 * 3 * 512 * 2048 + 7 * 3 * 512 * 256 * 8,
    33_554_432 - 7 * 3 * 512 * 2048 + 7 * 3 * 512 * 256 * 66,
)
"""Active and total parameters of six routed and two shared experts in seven of eight layers."""


@pytest.mark.parametrize(
    "name",
    [
        "n_shared_experts",
        "num_shared_experts",
        "shared_experts",
        "moe_num_shared_experts",
        "num_shared_expert",
        "model.n_shared_experts",
    ],
)
def test_shared_experts_are_part_of_the_sizes(tmp_path, name):
    pd.DataFrame({**SHAPE, name: 2, "tokens": TOKENS, "val_loss": LOSS}).to_csv(tmp_path / "runs.csv", index=False)
    check = inspect_runs(tmp_path / "runs.csv")
    np.testing.assert_allclose(check.table[["n_active", "n_total"]].iloc[0], LIKE_EIGHT, rtol=1e-12)


@pytest.mark.parametrize(
    "cell",
    [
        json.dumps({"_type": "histogram", "values": list(range(40_000))}),
        json.dumps(list(range(40_000))),
        "generated text, with commas and 'quotes' " * 5_000,
        "line\n" * 40_000,
        "A" * 200_000,
    ],
    ids=["histogram", "list", "text", "lines", "base64"],
)
def test_a_cell_of_any_length_is_read_past(tmp_path, cell):
    check = found(tmp_path, **{"summary.samples": [cell, *[""] * 8]})
    np.testing.assert_allclose(check.table["loss"], LOSS)
    assert len(check.table) == 9


@pytest.mark.parametrize(
    "name", ["n_experts", "num_local_experts", "experts", "config.num_experts", "moe_num_experts", "n_routed_experts"]
)
def test_models_to_predict_are_read_by_the_same_names(tmp_path, name):
    from bayesmoe.runs.table import read_models

    path = tmp_path / "models.csv"
    pd.DataFrame({name: [1, 4], "topk": [1, 2], "n_dense": 2e8, "train_tokens": "2B"}).to_csv(path, index=False)
    frame = read_models(path)
    assert frame["num_experts"].tolist() == [1, 4]
    assert frame["tokens"].tolist() == [2e9, 2e9]


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet", "csv.gz"])
@pytest.mark.parametrize("cell", [1.5, "a word"], ids=["numbers", "words"])
@pytest.mark.few(2)
def test_a_wide_table_is_read_without_a_warning(tmp_path, ending, cell):
    frame = pd.DataFrame({**BASE, **{f"config.setting_{number}": [cell] * 9 for number in range(400)}})
    path = tmp_path / f"runs.{ending}"
    if ending in ("json", "jsonl"):
        frame.to_json(path, orient="records", lines=ending == "jsonl")
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check = inspect_runs(path)
    np.testing.assert_allclose(check.table["loss"], LOSS)


@pytest.mark.parametrize(("row", "loss"), [(2, 60.3), (4, 44.7), (5, 33.1), (7, 90.0), (8, 25.5)])
def test_a_cure_is_that_of_its_row(tmp_path, row, loss):
    check = found(tmp_path, **{"loss": np.where(np.arange(9) == row, loss, LOSS)})
    (finding,) = [one for one in check.findings if row + 2 in one.rows and one.severity == "wrong"]
    assert f"{np.log(loss):.4g}" in finding.hint
