"""Ten layouts of trackers and trainers, made up small: read right at once, or asked the one question that decides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmoe.runs.audit.inspect import Inspection, inspect_runs

LOSS = [5.0098, 4.3658, 4.0714, 4.8511, 4.2213, 3.9473]
ACTIVE = [2e7, 4e7, 8e7] * 2
EXPERTS = [8, 8, 8, 64, 64, 64]
TOTAL = [active * experts / 2 for active, experts in zip(ACTIVE, EXPERTS, strict=True)]
TOKENS = 4800 * 512 * 2048.0
TRUTH = {
    "loss": LOSS,
    "n_active": ACTIVE,
    "n_total": TOTAL,
    "num_experts": EXPERTS,
    "top_k": [2] * 6,
    "tokens": [TOKENS] * 6,
}


def written(folder: Path, content: pd.DataFrame | list | dict, name: str) -> Inspection:
    """What a check finds in a layout."""
    if isinstance(content, pd.DataFrame):
        content.to_parquet(folder / name) if name.endswith("parquet") else content.to_csv(folder / name, index=False)
    else:
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return inspect_runs(folder / name)


def right(found: Inspection, *, but: tuple[str, ...] = ()) -> None:
    """Six runs as they are meant, and nothing that cannot stand."""
    assert not found.wrong
    for column, values in TRUTH.items():
        if column not in but:
            np.testing.assert_allclose(found.table[column], values, err_msg=column)


def said(found: Inspection) -> str:
    """All findings as one text."""
    return "; ".join(f"{one.column}: {one.rule}; {one.hint}" for one in found.findings)


def test_the_table_of_the_app_of_weights_and_biases(tmp_path):
    table = pd.DataFrame(
        {
            "Name": [f"run-{run}" for run in range(6)], "State": "finished", "Notes": "-", "User": "me", "Tags": "", "Created": "2025-05-01", "Runtime": 3600,
            "Sweep": "", "model.num_experts": EXPERTS, "model.num_experts_per_tok": 2, "model.active_params": ACTIVE, "model.total_params": TOTAL, "optimizer.lr": 1e-3,
            "temperature": 1.0, "top_k": 50, "top_p": 1.0, "train/loss": np.array(LOSS) - 0.1, "eval/loss": LOSS, "eval/num_tokens": 1e7, "num_tokens_seen": TOKENS, "_step": 47,
        }
    )  # fmt: skip
    right(written(tmp_path, table, "wandb.csv"))


def test_the_runs_of_the_api_of_weights_and_biases(tmp_path):
    runs = [
        {
            "name": f"run-{run}", "state": "finished",
            "config": {"model": {"num_local_experts": EXPERTS[run], "num_experts_per_tok": 2}, "n_params_active": ACTIVE[run], "n_params": TOTAL[run], "dtype": "torch.bfloat16"},
            "summary": {"_step": 48, "_runtime": 9.0, "val/loss": LOSS[run], "loss": LOSS[run] - 0.1, "tokens_seen": TOKENS, "grads": {"_type": "histogram", "values": [1, 2]}},
        }
        for run in range(6)
    ]  # fmt: skip
    right(written(tmp_path, runs, "api.json"))
    text = pd.DataFrame(runs)
    right(written(tmp_path, text.assign(config=text["config"].map(str), summary=text["summary"].map(json.dumps)), "api.csv"))


def test_the_history_of_a_run_is_one_run(tmp_path):
    steps = np.arange(1, 11) * 480.0
    table = pd.DataFrame(
        {"_step": steps, "_runtime": steps, "_timestamp": steps, "val/loss": 4 + 1 / steps, "tokens_seen": steps * 1e6}
    )
    found = written(tmp_path, table.assign(num_experts=8, top_k=2, n_dense=2e7), "history.parquet")
    assert "the history of one run" in said(found)
    assert found.table["tokens"].tolist() == [4.8e9]


def test_the_search_of_mlflow(tmp_path):
    table = pd.DataFrame(
        {
            "run_id": [f"0f1e{run}" for run in range(6)], "experiment_id": 1, "status": "FINISHED", "artifact_uri": "x", "metrics.val_loss": LOSS, "metrics.train_loss": np.array(LOSS) - 0.1,
            "metrics.tokens_seen": TOKENS, "params.num_experts": [str(count) for count in EXPERTS], "params.top_k": "2", "params.active_params": ACTIVE, "params.total_params": TOTAL,
        }
    )  # fmt: skip
    right(written(tmp_path, table, "mlflow.csv"))


def test_the_log_of_trackio(tmp_path):
    rows = [
        {
            "timestamp": "t",
            "run_name": f"run-{run}",
            "step": step,
            "eval/loss": LOSS[run] + (4800 - step) / 1e4,
            "tokens_seen": step * 512 * 2048.0,
        }
        for run in range(6)
        for step in (2400, 4800)
    ]
    configs = [
        {
            "run_name": f"run-{run}",
            "num_experts": EXPERTS[run],
            "top_k": 2,
            "active_params": ACTIVE[run],
            "total_params": TOTAL[run],
        }
        for run in range(6)
    ]
    pd.DataFrame(configs).to_csv(tmp_path / "trackio_configs.csv", index=False)
    right(written(tmp_path, pd.DataFrame(rows), "trackio.csv"))


def test_the_state_of_the_trainer_of_transformers_is_one_run_without_a_size(tmp_path):
    log = []
    for step in range(500, 3001, 500):
        log.append(
            {
                "epoch": step / 3000,
                "grad_norm": 1.0,
                "learning_rate": 1e-3 * (1 - step / 3000),
                "loss": 5 - step / 1500,
                "step": step,
            }
        )
        log.append({"epoch": step / 3000, "eval_loss": 5.1 - step / 1500, "eval_runtime": 3.0, "step": step})
    log.append({"epoch": 1.0, "step": 3000, "total_flos": 1e18, "train_loss": 3.9, "train_runtime": 100.0})
    found = written(tmp_path, {"best_metric": None, "global_step": 3000, "log_history": log}, "trainer_state.json")
    assert (found.names["loss"], found.names["steps"]) == ("eval_loss", "step")
    assert "the history of one run" in said(found)
    assert "no column of size" in said(found)


def olmo(*corpora: str) -> list[dict]:
    """Runs of OLMo-core as W&B keeps them: the batch in tokens, a loss for each validation set."""
    return [
        {
            "name": f"olmoe-{run}", "state": "finished",
            "config": {
                "model": {"d_model": 512, "n_layers": 8, "vocab_size": 100278, "block": {"feed_forward_moe": {"num_experts": EXPERTS[run], "top_k": 2, "hidden_size": 1024}}},
                "data_loader": {"global_batch_size": 512 * 2048}, "dataset": {"sequence_length": 2048}, "num_params": TOTAL[run] + 1e8,
                "num_active_non_embedding_params": ACTIVE[run], "num_non_embedding_params": TOTAL[run],
            },
            "summary": {
                "_step": 10000, "train/CE loss": LOSS[run] - 0.1, "train/Z loss": 0.001, "throughput/total tokens": TOKENS,
                **{f"eval/lm/{corpus}-validation/CE loss": LOSS[run] + place for place, corpus in enumerate(corpora)},
            },
        }
        for run in range(6)
    ]  # fmt: skip


def test_the_runs_of_olmo_core(tmp_path):
    right(written(tmp_path, olmo("c4_en"), "olmo.json"))


def test_of_several_validation_sets_the_user_is_asked(tmp_path):
    found = written(tmp_path, olmo("c4_en", "pile"), "olmo.json")
    assert found.names["loss"] == "summary.train/CE loss"
    assert (
        "no held-out loss was recognized for sure (summary.eval/lm/c4_en-validation/CE loss, summary.eval/lm/pile"
        in said(found)
    )
    assert "--map loss=YOUR_COLUMN" in said(found)


def test_the_table_of_nanochat(tmp_path):
    table = pd.DataFrame(
        {
            "Name": ["d4", "d8", "d12"], "State": "finished", "Notes": "", "User": "me", "Tags": "", "Created": "2025", "Runtime": 3, "depth": [4, 8, 12],
            "device_batch_size": 32, "total_batch_size": 524288, "max_seq_len": 2048, "num_iterations": -1, "step": [2000, 3000, 9000], "total_training_flops": [1e17, 1e18, 1e19],
            "train/loss": [3.5, 3.1, 2.8], "val/bpb": [1.1, 0.98, 0.87], "params_total": [3.7e7, 1.2e8, 2.9e8], "params_transformer": [2e7, 9e7, 2.3e8],
        }
    )  # fmt: skip
    found = written(tmp_path, table, "nanochat.csv")
    assert not found.wrong
    assert found.table["n_total"].tolist() == [2e7, 9e7, 2.3e8]
    assert found.table["tokens"].tolist() == [2000 * 524288.0, 3000 * 524288.0, 9000 * 524288.0]
    assert "is a training loss" in said(found)
    assert "val/bpb is in bits per byte" in said(found)


def test_the_log_of_megatron(tmp_path):
    rows = [
        {
            "run": f"run-{run}", "iteration": step, "consumed samples": step * 512, "learning rate": 3e-4 * (1 - step / 5000), "global batch size": 512,
            "lm loss": LOSS[run] - 0.1 + (4800 - step) / 1e4, "load_balancing_loss": 1.01, "lm loss validation": LOSS[run] + (4800 - step) / 1e4,
            "num-experts": EXPERTS[run], "moe-router-topk": 2, "seq-length": 2048, "train-iters": 4800, "active-params": ACTIVE[run], "total-params": TOTAL[run],
        }
        for run in range(6)
        for step in (2400, 4800)
    ]  # fmt: skip
    found = written(tmp_path, pd.DataFrame(rows), "megatron.csv")
    assert [one.kind for one in found.wrong] == ["checkpoint"]
    for column, values in TRUTH.items():
        np.testing.assert_allclose(found.table[column], values, err_msg=column)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_the_runs_of_llm_foundry(tmp_path, kind):
    runs = [
        {
            "name": f"mpt-{run}",
            "config": {
                "model": {"d_model": 512, "n_layers": 8, "ffn_config": {"moe_num_experts": EXPERTS[run], "moe_top_k": 2}}, "max_seq_len": 2048,
                "global_train_batch_size": 512, "max_duration": "4800ba", "n_params": TOTAL[run], "n_active_params": ACTIVE[run],
            },
            "summary": {
                "loss/train/total": LOSS[run] - 0.1, "loss/train/lbl": 0.01, "metrics/eval/LanguageCrossEntropy": LOSS[run], "metrics/train/LanguageCrossEntropy": LOSS[run] - 0.1,
                "metrics/eval/LanguagePerplexity": float(np.exp(LOSS[run])), "time/batch": 4800, "time/token": TOKENS, "time/sample": 4800 * 512,
            },
        }
        for run in range(6)
    ]  # fmt: skip
    right(written(tmp_path, runs if kind == "json" else pd.DataFrame(runs), f"foundry.{kind}"))
