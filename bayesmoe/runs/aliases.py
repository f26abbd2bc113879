"""Common names of the columns of a run table, and which column of a file each of ours is."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from bayesmoe.runs.loss_units import without_loss_unit
from bayesmoe.runs.losses import of_text
from bayesmoe.runs.model_names import (
    is_expert_count,
    is_routing_top_k,
    is_sampling_top_k,
    is_shared_expert_count,
    sizes_of,
    speaks_of_parameters,
)
from bayesmoe.runs.schema import COLUMNS, MAPPABLE, SIZES, Column
from bayesmoe.runs.trackers import Export
from bayesmoe.runs.words import BITS_PER_BYTE, PERPLEXITY, RESULTS, SETTINGS, plain
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
    "loss": ("final_loss", "lm_loss", "nll", "cross_entropy", "ce_loss", "nats_per_token"),
    "tokens": (
        "train_tokens", "training_tokens", "tokens_seen", "num_tokens", "n_tokens", "total_tokens", "consumed_tokens", "tokens_trained",
        "num_tokens_seen", "num_input_tokens_seen", "num_train_tokens", "throughput_total_tokens", "time_token",
    ),
    "num_experts": ("n_routed_experts", "num_routed_experts", "num_local_experts", "num_moe_experts", "moe_num_experts", "n_experts", "experts"),
    "top_k": ("topk",),
    "n_dense": ("dense_params", "backbone_params", "n_backbone", "dense_backbone_params", "n_dense_params"),
    "n_active": ("n_active_nonembedding", "n_active_non_embedding"),
    "n_total": ("n_total_nonembedding", "n_total_non_embedding", "model_size"),
    "d_model": ("hidden_size", "n_embd", "model_dim", "embed_dim", "hidden_dim"),
    "num_layers": ("n_layers", "n_layer", "num_hidden_layers"),
    "d_ff": ("intermediate_size", "ffn_hidden_size", "ffn_dim"),
    "d_expert": ("moe_intermediate_size", "moe_ffn_hidden_size", "expert_hidden_size", "expert_dim"),
    "num_moe_layers": ("n_moe_layers", "moe_layers"),
    "d_shared": ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"),
    "shared_experts": ("n_shared_experts", "num_shared_experts"),
    "unique_tokens": ("distinct_tokens", "num_unique_tokens", "dataset_tokens", "unique_train_tokens"),
    "epochs": ("num_epochs", "n_epochs", "num_train_epochs"),
    "train_flop": ("train_flops", "training_flops", "total_flops", "total_flos", "train_total_flos"),
    "seed": ("random_seed", "data_seed"),
    "name": (
        "run_name", "display_name", "tags_mlflow_run_name", "run", "id", "experiment_name", "exp_name", "experiment", "exp", "trial",
        "trial_id", "job_id", "run_uuid",
    ),
    "state": (
        "status", "run_state", "run_status", "job_state", "job_status", "finished", "is_finished", "completed", "exit_code", "exitcode",
        "return_code", "returncode",
    ),
    "diverged": ("is_diverged", "has_diverged", "crashed", "is_crashed", "has_crashed", "failed", "oom"),
    "learning_rate": ("lr", "peak_lr", "max_lr", "peak_learning_rate", "max_learning_rate", "base_lr", "optimizer_lr"),
    "final_learning_rate": ("final_lr", "end_lr", "last_lr", "current_lr", "train_learning_rate", "train_lr"),
    "steps": (
        "train_steps", "global_step", "train_global_step", "trainer_global_step", "step", "iteration", "iterations", "iter", "iters", "time_batch", "completed_steps", "steps_completed", "steps_done", "steps_made", "trained_steps", "final_step",
        "last_step", "current_step", *_SET_STEPS,
    ),
    "planned_steps": (
        "max_steps", "total_steps", "num_training_steps", "train_iters", "max_iters", "total_iters", *_SET_STEPS,
    ),
    "planned_tokens": ("max_tokens", "token_budget", "target_tokens", "max_train_tokens"),
    "batch_tokens": (
        "tokens_per_step", "tokens_per_batch", "global_batch_tokens", "batch_size_tokens", "batch_size_in_tokens",
        "global_batch_size_tokens", "global_batch_size_in_tokens", "train_batch_size_tokens", "total_batch_size_tokens",
    ),
    "batch_sequences": ("global_batch_size", "global_train_batch_size", "total_batch_size", "batch_size_sequences", "batch_size_in_sequences", "global_batch_size_sequences"),
    "sequence_length": ("seq_len", "seq_length", "context_length", "block_size", "max_seq_len", "max_seq_length", "max_sequence_length", "train_seq_len", "encoder_seq_length", "max_target_length"),
    "tokenizer": ("tokenizer_name", "tokenizer_path", "tokenizer_id"),
    "vocab": ("vocab_size", "n_vocab", "padded_vocab_size", "vocab_padded"),
    "loss_kind": ("loss_split", "eval_split", "eval_set"),
}  # fmt: skip
"""Other names of our columns, best first; ours itself comes before them."""

_RESULT_ONLY = ("loss", "final_learning_rate")
_SETTING_ONLY = ("learning_rate", "num_experts", "top_k", "planned_steps", "planned_tokens", "vocab", "tokenizer")
_NOT_THE_MODEL = ("embedding", "embeddings", "router", "draft", "teacher")
_NOT_TRAINING = ("val", "valid", "validation", "eval", "test")
_SAMPLING_DEFAULT, _LEAST_COUNTED = 50, 1e5
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
        hits = _candidates(ours, free, export)
        hit = next((name for name in hits if _fits(ours, frame[name])), None)
        # A plain table's own words stand even where their values are broken: the check then says so.
        own = ours in free and ours in COLUMNS and ours not in ("run_id", "group", "top_k")
        hit = hit or (ours if own else None)
        if hit is not None:
            found[ours] = hit
    return found | _symbols(found, frame)


def _candidates(ours: str, free: list[str], export: Export) -> list[str]:
    """Columns that may be one of ours, best first."""
    if ours == "loss":
        return _losses(export, free)
    known = [name for word in (ours, *ALIASES.get(ours, ())) for name in _hits(word, free, ours)]
    if ours in SIZES:
        return _sizes(ours, free, export.frame, known)
    if ours == "num_experts":
        return [*known, *filter(is_expert_count, free)]
    if ours == "shared_experts":
        return [*known, *filter(is_shared_expert_count, free)]
    if ours == "top_k":
        return _top_k(free, export.frame, known)
    return known


def _sizes(ours: str, free: list[str], frame: pd.DataFrame, known: list[str]) -> list[str]:
    """Sizes by rank; ours itself stands all the same, and of two that say the same but hold other numbers neither is taken."""
    if ours in free:
        return [ours]
    found = list[str]()
    for rank in sizes_of(ours, free):
        if len({tuple(frame[name].astype(str)) for name in rank}) > 1:
            break
        found += rank
    return [*found, *(name for name in known if not speaks_of_parameters(name))]


def _top_k(free: list[str], frame: pd.DataFrame, known: list[str]) -> list[str]:
    """Experts a token: names that say so before a bare top k, which beside settings of sampling, or with their default, is none."""
    routing = [name for name in free if is_routing_top_k(name)]
    per_token = [name for name in routing if "per" in plain(name).split("_")]
    bare = [name for name in known if name not in routing and not is_sampling_top_k(name, map(str, frame.columns))]
    bare = [name for name in bare if not (numbers_of(frame[name]) == _SAMPLING_DEFAULT).all()]
    # The word of a plain table is what its user means.
    return [*(name for name in bare if name == "top_k"), *per_token, *bare, *routing]


def _symbols(found: Mapping[str, str], frame: pd.DataFrame) -> dict[str, str]:
    """N and D, where both stand in a table without other sizes and tokens and hold numbers as large as these are, and E, K and L beside them."""
    if "tokens" in found or set(SIZES) & set(found) or not {"N", "D"} <= set(frame.columns):
        return {}
    large = all(numbers_of(frame[name]).median() > _LEAST_COUNTED for name in ("N", "D"))
    if not large:
        return {}
    also = {"num_experts": "E", "top_k": "K", "loss": "L"}
    beside = {ours: own for ours, own in also.items() if ours not in found and own in frame and _fits(ours, frame[own])}
    return {"n_total": "N", "tokens": "D", **beside}


def _losses(export: Export, columns: list[str]) -> list[str]:
    """Columns that may be the loss, best first: held-out text before training text, the end of a run before its lowest and its mean.

    In a plain table a bare "loss" is what the user means. Of losses on several corpora the user is asked.
    """
    words = {plain(str(name)) for name in export.frame.columns}
    # In a tracker, and in the log of a Trainer, a bare "loss" is the training loss.
    tracked = export.tool != "plain table" or ("epoch" in words and bool(words & {"grad_norm", "eval_runtime"}))
    bare = _hits("loss", columns, "loss")
    corpora = of_text(columns, "held-out", "final", "", corpus=True)
    found = [
        *(() if tracked else bare),
        *of_text(columns, "held-out", "final", "", "mean"),
        *(corpora if len(corpora) == 1 else ()),
        *of_text(columns, "held-out", "best"),
        *bare,
        *(name for wanted in ALIASES["loss"] for name in _hits(wanted, columns, "loss")),
        *of_text(columns, "", "final", ""),
        *of_text(columns, "training", "final", "", "mean"),
        *of_text(columns, "", "best", "mean"),
        *of_text(columns, "training", "best"),
        *(name for wanted in _OTHER_UNITS for name in _hits(wanted, columns, "loss")),
    ]
    return list(dict.fromkeys(found))


def units_of(names: Mapping[str, str]) -> dict[str, float]:
    """The unit that the file's name of one of our columns says: 1e9 of ``tokens_B``."""
    known = {ours: {ours, *ALIASES.get(ours, ())} for ours in COUNTED}
    found = {
        ours: without_unit(plain(own)) for ours, own in names.items() if ours in COUNTED and plain(own) not in known[ours]
    }
    return {ours: unit for ours, (_, unit) in found.items() if unit != 1.0}


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
