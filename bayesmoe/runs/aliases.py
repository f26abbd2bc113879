"""Common names of the columns of a run table, and which column of a file each of ours is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from bayesmoe.runs.loss_units import without_loss_unit
from bayesmoe.runs.schema import COLUMNS, MAPPABLE, SIZES, Column
from bayesmoe.runs.trackers import Export
from bayesmoe.runs.words import BITS_PER_BYTE, PERPLEXITY, RESULTS, SETTINGS, TRAINING, VALIDATION, plain
from bayesmoe.runs.written import COUNTED, without_unit, written_number
from bayesmoe.tables import numbers_of

EXTRA: dict[str, Column] = {
    "name": Column("text", "name of the run; checkpoints of one run share it"),
    "state": Column("text", "how the run ended"),
    "diverged": Column("yes or no", "whether the run diverged"),
    "learning_rate": Column("1", "peak learning rate"),
    "final_learning_rate": Column("1", "learning rate at the last step"),
    "steps": Column("count", "optimizer steps made"),
    "planned_steps": Column("count", "optimizer steps of the schedule"),
    "planned_tokens": Column("tokens", "tokens of the schedule"),
    "batch_tokens": Column("tokens", "tokens a step"),
    "batch_sequences": Column("count", "sequences a step"),
    "sequence_length": Column("tokens", "tokens a sequence"),
    "tokenizer": Column("text", "tokenizer of the loss"),
    "vocab": Column("count", "vocabulary"),
    "loss_kind": Column("text", "what the loss was measured on"),
}
"""Columns that a check reads and a law does not."""

_OTHER_UNITS = tuple(
    f"{part}{word}"
    for word in ("bits_per_token", "bpt", *PERPLEXITY, *BITS_PER_BYTE)
    for part in ("val_", "validation_", "valid_", "eval_", "test_", "")
)

_SET_STEPS = ("training_steps", "num_steps", "n_steps", "num_train_steps", "num_iterations")
"""Steps by names of settings: those made, where nothing says how many were reached."""

ALIASES: dict[str, tuple[str, ...]] = {
    "run_id": ("run_id", "id", "run", "run_name", "name"),
    "group": ("group", "recipe", "router", "router_type"),
    "loss": ("final_loss", "lm_loss", "nll", "cross_entropy", "ce_loss", "nats_per_token", *TRAINING, *_OTHER_UNITS),
    "tokens": (
        "train_tokens", "training_tokens", "tokens_seen", "num_tokens", "n_tokens", "total_tokens", "consumed_tokens", "tokens_trained",
        "num_tokens_seen", "num_input_tokens_seen", "num_train_tokens", "throughput_total_tokens", "time_token",
    ),
    "num_experts": (
        "n_experts", "num_local_experts", "n_routed_experts", "num_routed_experts", "num_moe_experts", "moe_num_experts", "experts",
        "expert_count",
    ),
    "top_k": (
        "topk", "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_top_k", "moe_topk", "moe_router_topk",
        "router_top_k", "router_topk", "num_selected_experts", "n_experts_per_tok",
    ),
    "n_dense": ("dense_params", "backbone_params", "n_backbone", "dense_backbone_params", "n_dense_params"),
    "n_active": (
        "n_active_nonembedding", "n_active_non_embedding", "active_params_non_embedding", "active_non_embedding_params", "active_params",
        "n_active_params", "n_params_active", "params_active", "num_active_params", "num_params_active", "activated_params", "n_activated_params", "num_activated_params", "active_parameters",
    ),
    "n_total": (
        "n_total_nonembedding", "n_total_non_embedding", "non_embedding_params", "n_params_non_embedding", "num_params_non_embedding",
        "non_embedding_parameters", "params_non_embedding", "total_params", "n_params", "num_params", "num_parameters", "n_parameters",
        "total_parameters", "n_total_params", "n_params_total", "num_params_total", "params_total", "param_count", "parameter_count", "params", "parameters",
    ),
    "d_model": ("hidden_size", "n_embd", "model_dim", "embed_dim", "hidden_dim"),
    "num_layers": ("n_layers", "n_layer", "num_hidden_layers"),
    "d_ff": ("intermediate_size", "ffn_hidden_size", "ffn_dim"),
    "d_expert": ("moe_intermediate_size", "moe_ffn_hidden_size", "expert_hidden_size", "expert_dim"),
    "num_moe_layers": ("n_moe_layers", "moe_layers"),
    "d_shared": ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"),
    "shared_experts": ("n_shared_experts", "num_shared_experts"),
    "train_flop": ("train_flops", "training_flops", "total_flops", "total_flos", "train_total_flos"),
    "seed": ("random_seed", "data_seed"),
    "name": (
        "run_name", "display_name", "tags_mlflow_run_name", "run", "id", "experiment_name", "exp_name", "experiment", "exp", "trial",
        "trial_id", "job_id", "run_uuid",
    ),
    "state": ("status", "run_state"),
    "diverged": ("is_diverged", "has_diverged"),
    "learning_rate": ("lr", "peak_lr", "max_lr", "peak_learning_rate", "max_learning_rate", "base_lr", "optimizer_lr"),
    "final_learning_rate": ("final_lr", "end_lr", "last_lr", "current_lr", "train_learning_rate", "train_lr"),
    "steps": (
        "train_steps", "global_step", "train_global_step", "trainer_global_step", "step", "iteration", "iterations", "iter", "iters", "time_batch", *_SET_STEPS,
    ),
    "planned_steps": (
        "max_steps", "total_steps", "num_training_steps", "train_iters", "max_iters", "total_iters", *_SET_STEPS,
    ),
    "planned_tokens": ("max_tokens", "token_budget", "target_tokens", "max_train_tokens"),
    "batch_tokens": (
        "tokens_per_step", "tokens_per_batch", "global_batch_tokens", "batch_size_tokens", "batch_size_in_tokens",
        "global_batch_size_tokens",
    ),
    "batch_sequences": ("global_batch_size", "global_train_batch_size", "total_batch_size"),
    "sequence_length": ("seq_len", "seq_length", "context_length", "block_size", "max_seq_len", "max_sequence_length"),
    "tokenizer": ("tokenizer_name", "tokenizer_path", "tokenizer_id"),
    "vocab": ("vocab_size", "n_vocab", "padded_vocab_size", "vocab_padded"),
    "loss_kind": ("loss_split", "eval_split", "eval_set"),
}  # fmt: skip
"""Other names of our columns, best first; ours itself comes before them."""

_RESULT_ONLY = ("loss", "final_learning_rate")
_SETTING_ONLY = ("learning_rate", "num_experts", "top_k", "planned_steps", "planned_tokens", "vocab", "tokenizer")
_NOT_THE_MODEL = ("embedding", "embeddings", "router", "draft", "teacher")
_NOT_TRAINING = ("val", "valid", "validation", "eval", "test")
_NO_EMBEDDINGS = re.compile(
    r"(?=.*param).*(?:\b|_)(?:(?:non|no|without|wo|excl|excluding)_?(?:emb|vocab)|transformer(?:_|$))"
)
_IS_LOSS = re.compile(r"(?:final_)?(?:(?:lm|ce|language)_)?(?:loss|nll|cross_entropy|ce|xent)(?:_nats)?")
_TEXT = ("run_id", "group", "name", "state", "diverged", "tokenizer", "loss_kind")


def recognized(export: Export, given: Mapping[str, str]) -> dict[str, str]:
    """Which column of the file each of ours is: what the user says, then the common names.

    Parameters
    ----------
    export : Export
        The file.
    given : mapping of str to str
        Ours to the file's own, as the user says it.
    """
    frame, found = export.frame, dict(given)
    columns = [str(name) for name in frame.columns]
    for ours in (*MAPPABLE, *EXTRA):
        if ours in found:
            continue
        free = [name for name in columns if name not in found.values() and _may_be(ours, name)]
        if ours == "top_k" and {plain(name) for name in columns} & {"top_p", "temperature"}:
            # Beside these it is a setting of sampling text.
            free = [name for name in free if plain(name) != "top_k"]
        hits = _without_embeddings(ours, free)
        hits += [name for wanted in _wanted(ours, export) for name in _hits(wanted, free, ours)]
        if ours == "loss":
            hits = _held_out_first(hits, free)
        hit = next((name for name in hits if _fits(ours, frame[name])), None)
        # A plain table's own words stand even where their values are broken: the check then says so.
        hit = hit or (ours if ours in free and ours in COLUMNS and ours not in ("run_id", "group") else None)
        if hit is not None:
            found[ours] = hit
    return found


def _held_out_first(hits: list[str], columns: list[str]) -> list[str]:
    """Losses by rank, with the only one on held-out text before those on training text; of several the user is asked."""
    others = [name for name in held_out(columns) if name not in hits]
    training = next(
        (place for place, name in enumerate(hits) if plain(name) in (*TRAINING, "loss") and name != "loss"), len(hits)
    )
    return [*hits[:training], *(others if len(others) == 1 else []), *hits[training:]]


def _without_embeddings(ours: str, columns: list[str]) -> list[str]:
    """Sizes that say they leave embeddings out, which come before those that say nothing; ours itself stands all the same."""
    if ours not in ("n_active", "n_total") or ours in columns:
        return []
    said = [name for name in columns if _NO_EMBEDDINGS.match(plain(name))]
    return [name for name in said if ("activ" in plain(name)) == (ours == "n_active")]


def units_of(names: Mapping[str, str]) -> dict[str, float]:
    """The unit that the file's name of one of our columns says: 1e9 of ``tokens_B``."""
    known = {ours: {ours, *ALIASES.get(ours, ())} for ours in COUNTED}
    found = {
        ours: without_unit(plain(own)) for ours, own in names.items() if ours in COUNTED and plain(own) not in known[ours]
    }
    return {ours: unit for ours, (_, unit) in found.items() if unit != 1.0}


def _wanted(ours: str, export: Export) -> tuple[str, ...]:
    if ours != "loss":
        return (ours, *ALIASES.get(ours, ()))
    # In a tracker, and in the log of a Trainer, a bare "loss" is the training loss; in a table of runs it is what the user means.
    words = {plain(str(name)) for name in export.frame.columns}
    tracked = export.tool != "plain table" or ("epoch" in words and bool(words & {"grad_norm", "eval_runtime"}))
    return (*VALIDATION, "loss", *ALIASES["loss"]) if tracked else ("loss", *VALIDATION, *ALIASES["loss"])


def held_out(columns: Iterable[str]) -> list[str]:
    """Columns that by their path are losses on held-out text, under names of their own: ``eval/lm/c4-validation/CE loss``."""
    found = []
    for name in columns:
        path, words = re.split(r"[./]", name), plain(re.split(r"[./]", name)[-1])
        above = {word for part in path[:-1] for word in plain(part).split("_")}
        if above & {*_NOT_TRAINING} and _IS_LOSS.fullmatch(words):
            found.append(name)
    return found


def _may_be(ours: str, name: str) -> bool:
    first, *_ = parts = name.lower().replace("/", ".").split(".")
    if ours in (*SIZES, "tokens") and set(parts[:-1]) & {*_NOT_THE_MODEL, *(_NOT_TRAINING if ours == "tokens" else ())}:
        return False
    if ours == "steps" and parts[-1] == "_step":
        # Weights & Biases counts its own log calls there.
        return False
    return not ((ours in _RESULT_ONLY and first in SETTINGS) or (ours in _SETTING_ONLY and first in RESULTS))


def _hits(wanted: str, columns: list[str], ours: str) -> list[str]:
    exact = [name for name in columns if plain(name) == wanted]
    if ours == "loss":
        # Of train/loss and train_loss the second is the mean over the whole run.
        exact.sort(key=lambda name: "/" not in name)
        exact += [name for name in columns if name not in exact and without_loss_unit(plain(name)) == wanted]
    if ours in COUNTED:
        exact += [name for name in columns if name not in exact and without_unit(plain(name))[0] == wanted]
    if ours in ("loss", "run_id", "name", "group", "final_learning_rate", "steps"):
        return exact
    inner = [name for name in columns if plain(re.split(r"[./]", name)[-1]) == wanted]
    return [*exact, *(name for name in inner if name not in exact)]


def _fits(ours: str, column: pd.Series) -> bool:
    """Whether the values can be what the name says: numbers where numbers are due, one key a run in run_id, no gap in a group."""
    if ours == "run_id":
        return bool(column.notna().all()) and (str(column.name) == "run_id" or not column.astype(str).duplicated().any())
    if ours == "group":
        # Trackers keep one for a whole sweep.
        return bool(column.notna().all()) and (len(column) == 1 or column.astype(str).nunique() > 1)
    if ours in _TEXT:
        return bool(column.notna().any())
    if numbers_of(column).notna().any():
        return True
    return ours in COUNTED and bool(column.dropna().astype(str).map(written_number).notna().any())
