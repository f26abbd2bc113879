"""Tables under names that people give their columns, over numbers that are known: what a reader should make of each is planted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

LOSSES = (
    "val/loss",
    "eval_loss",
    "validation_loss",
    "summary.val/loss",
    "val_nll",
    "eval/ce_loss",
    "test_loss",
    "metrics.val_loss",
    "lm loss validation",
    "dev_loss",
    "heldout/nll",
    "loss/validation",
    "eval_nll_per_token",
    "final_val_loss",
    "val/log_perplexity",
)
TOKENS = (
    "tokens",
    "train_tokens",
    "tokens_seen",
    "num_tokens_seen",
    "consumed_tokens",
    "tokens (B)",
    "tokens_B",
    "train/num_tokens",
    "throughput/total tokens",
    "training_tokens_B",
    "train_tokens (billions)",
)
EXPERTS = (
    "expert_num",
    "moe_n_experts",
    "Number of experts",
    "num_experts",
    "n_routed_experts",
    "num_local_experts",
    "moe_num_experts",
    "model.num_experts",
    "n_experts",
)
TOP_K = (
    "experts_per_tok",
    "num_active_experts",
    "router/top_k",
    "num_experts_per_tok",
    "moe_top_k",
    "router_topk",
    "experts_per_token",
    "moe_router_topk",
)
ACTIVE = (
    "params/active",
    "activated_parameters_non_embedding",
    "active_params",
    "n_active_params",
    "num_active_non_embedding_params",
    "params_active",
    "active_params (M)",
)
TOTAL = (
    "params/total",
    "params_excluding_embeddings",
    "non_vocab_parameters",
    "model parameters",
    "non_embedding_params",
    "total_params",
    "model/num_params",
    "params_wo_embed",
    "n_params",
    "total_params (M)",
)
DECOYS = {
    "train/loss": lambda truth, rng: truth["loss"] - 0.15,
    "train_loss": lambda truth, rng: truth["loss"] + 1.1,
    "best_val_loss": lambda truth, rng: truth["loss"] - 0.05,
    "val/best_loss": lambda truth, rng: truth["loss"] - 0.05,
    "eval/loss_min": lambda truth, rng: truth["loss"] - 0.05,
    "train/avg_loss": lambda truth, rng: truth["loss"] + 0.8,
    "router/z_loss": lambda truth, rng: 0.01 + 0.001 * rng.random(len(truth)),
    "initial_val_loss": lambda truth, rng: np.full(len(truth), 10.8),
    "lm_head/params": lambda truth, rng: np.full(len(truth), 25755648.0),
    "teacher/num_params": lambda truth, rng: np.full(len(truth), 7e9),
    "params_per_expert": lambda truth, rng: truth["n_active"] / 4,
    "num_shared_experts": lambda truth, rng: np.zeros(len(truth)),
    "expert_parallel_size": lambda truth, rng: np.full(len(truth), 8),
    "tokens_per_second": lambda truth, rng: 1e6 * (1 + rng.random(len(truth))),
    "train/step_tokens": lambda truth, rng: np.full(len(truth), 524288.0),
    "generation_config.top_k": lambda truth, rng: np.full(len(truth), 50),
    "val/ppl": lambda truth, rng: np.exp(truth["loss"]),
    "val/bpb": lambda truth, rng: truth["loss"] / 3.1,
    "aux_loss": lambda truth, rng: 0.01 + 0.001 * rng.random(len(truth)),
    "val/tokens": lambda truth, rng: np.full(len(truth), 1e7),
    "eval/num_tokens": lambda truth, rng: np.full(len(truth), 2e7),
    "embedding/num_params": lambda truth, rng: np.full(len(truth), 25755648.0),
    "router/num_params": lambda truth, rng: np.full(len(truth), 81920.0),
    "draft/params": lambda truth, rng: np.full(len(truth), 5e6),
    "temperature": lambda truth, rng: np.ones(len(truth)),
    "_step": lambda truth, rng: rng.integers(20, 90, len(truth)),
    "_runtime": lambda truth, rng: rng.random(len(truth)) * 1e4,
    "num_layers": lambda truth, rng: rng.choice([8, 12, 16], len(truth)),
    "num_nodes": lambda truth, rng: rng.choice([1, 2, 4], len(truth)),
    "best_acc": lambda truth, rng: rng.random(len(truth)),
}
COLUMNS = ("loss", "tokens", "num_experts", "top_k", "n_active", "n_total")


class Planted(NamedTuple):
    """A table as people write it, and what it says under our names."""

    table: pd.DataFrame
    truth: pd.DataFrame


def planted(seed: int) -> Planted:
    """A table of twelve runs under names drawn by a seed, among columns that could be taken for them, in any order."""
    rng = np.random.default_rng(seed)
    experts = rng.permutation(np.repeat([8, 16, 64], 4))
    active = rng.permutation(np.tile([2e7, 6e7, 1.8e8, 4e8], 3))
    tokens = active * rng.choice([10, 30, 100], 12) * (1 + rng.random(12) / 10)
    loss = 1.7 + 300 * active**-0.34 + 300 * tokens**-0.28 - 0.03 * np.log(experts)
    truth = pd.DataFrame(
        {
            "loss": loss,
            "tokens": tokens,
            "num_experts": experts,
            "top_k": 2,
            "n_active": active,
            "n_total": active * experts / 2.5,
        }
    )
    names = {
        ours: str(rng.choice(words))
        for ours, words in zip(COLUMNS, (LOSSES, TOKENS, EXPERTS, TOP_K, ACTIVE, TOTAL), strict=True)
    }
    written = {
        names[ours]: truth[ours]
        / (
            1e9
            if ours == "tokens" and names[ours].endswith(("(B)", "_B", "(billions)"))
            else 1e6
            if "(M)" in names[ours]
            else 1.0
        )
        for ours in COLUMNS
    }
    for name in rng.choice(list(DECOYS), int(rng.integers(0, 7)), replace=False):
        written[str(name)] = DECOYS[str(name)](truth, rng)
    if rng.random() < 0.3:
        written |= {"top_k": np.full(12, 50), "top_p": np.ones(12), "temperature": np.ones(12)}
    if rng.random() < 0.5:
        written["name"] = [f"run-{run}" for run in range(12)]
    return Planted(pd.DataFrame({name: written[name] for name in rng.permutation(list(written))}), truth)


def misread(found: pd.DataFrame, truth: pd.DataFrame, said: str) -> list[str]:
    """Columns of which a reading says something else than was planted; a column that is not read, and said to be missing, is no misreading."""
    wrong = []
    for column in COLUMNS:
        if column not in found:
            wrong += (
                [] if f"{column}: " in said or f"no column of {column}" in said or "was recognized" in said else [column]
            )
        elif not np.allclose(found[column].to_numpy(float), truth.loc[found.index - 2, column].to_numpy(float), rtol=1e-6):
            wrong.append(column)
    return wrong
