"""Words of a scenario: what people call its keys and values."""

from __future__ import annotations

import re
from typing import Any

from bayesmoe.costs.hardware import USUAL, accelerator_named
from bayesmoe.units import BYTES_PER_GB

KV_SHARES = {"mha": 1.0, "gqa": 1.0 / 8.0, "mla": 576.0 / 32_768.0}
"""Cache of a token over that of multi-head attention: eight query heads for a key-value head, as in Llama 3 70B (arXiv:2407.21783); a latent of
512 + 64 numbers for 128 heads of 2 x 128, as in DeepSeek-V2 (arXiv:2405.04434)."""

_GROUPED = re.compile(r"gqa[-/ ]?(\d+)")


def kv_share_of(written: Any) -> Any:
    """The share that a kind of attention means: "mha", "gqa" (8 query heads for each of keys and values), "gqa-4", "mla"."""
    if not isinstance(written, str):
        return written
    word = written.lower().strip()
    grouped = _GROUPED.fullmatch(word)
    if grouped and int(grouped[1]):
        return 1.0 / int(grouped[1])
    return KV_SHARES.get(word, written)


_MAX_GPUS = "serving.max_gpus (GPUs of a replica) or serving.fleet_gpus (of all)"
_USERS, _REQUESTS = "traffic.users", "traffic.requests_per_user_per_day"
_RATE, _TPOT, _TTFT = "traffic.output_tokens_per_s", "serving.max_tpot_s, in seconds", "serving.max_ttft_s, in seconds"
_BUDGET = "training.budget_flop or training.budget_usd"
_QUANTIZATION = "serving.quantization_loss_nats"
_PRICE, _DATA = "price_usd_per_gpu_hour", "limits.unique_tokens"

MEANT = {
    **dict.fromkeys(("users", "dau", "daily_users", "daily_active_users", "num_users", "active_users"), _USERS),
    **dict.fromkeys(
        ("requests", "requests_per_day", "requests_per_user", "requests_per_user_per_day", "messages_per_day"), _REQUESTS
    ),
    **dict.fromkeys(
        ("qps", "rps", "requests_per_s", "requests_per_second"), f"{_RATE}: requests a second times output tokens"
    ),
    **dict.fromkeys(("tokens_per_s", "tokens_per_second", "tok_s", "throughput", "demand", "output_tokens_per_s"), _RATE),
    **dict.fromkeys(("tokens_per_day", "output_tokens_per_day"), "traffic.output_tokens_per_day"),
    **dict.fromkeys(("tokens_per_month", "output_tokens_per_month"), "traffic.output_tokens_per_month"),
    **dict.fromkeys(
        ("num_gpus", "n_gpus", "gpus", "gpu_count", "replica_gpus", "tensor_parallel", "tp", "world_size"), _MAX_GPUS
    ),
    **dict.fromkeys(("gpu", "gpu_type", "chip", "device", "hardware"), "accelerator"),
    **dict.fromkeys(("dtype", "weight_precision", "weights", "quant"), "serving.precision"),
    **dict.fromkeys(("quantization_loss", "quant_loss", "precision_loss", "loss_of_quantization"), _QUANTIZATION),
    **dict.fromkeys(
        ("kv_cache_dtype", "kv_precision", "kv_dtype", "kv_cache_precision"), "serving.bytes_per_kv_element, such as 'fp8'"
    ),
    **dict.fromkeys(("attention", "attention_type", "gqa", "num_kv_heads"), "architecture.kv_share, such as 'gqa'"),
    **dict.fromkeys(("budget", "compute", "flop", "flops", "train_flop", "compute_budget"), _BUDGET),
    **dict.fromkeys(
        ("price", "gpu_price", "price_per_gpu_hour", "usd_per_gpu_hour", "usd_per_hour", "gpu_hour_usd"), _PRICE
    ),
    **dict.fromkeys(("experts", "n_experts", "expert_counts", "experts_per_layer"), "choices.num_experts"),
    **dict.fromkeys(
        ("topk", "experts_per_token", "num_experts_per_tok", "active_experts"), "choices.top_k or architecture.top_k"
    ),
    **dict.fromkeys(("load", "occupancy", "busy"), "serving.utilization"),
    **dict.fromkeys(("tpot", "max_tpot", "tpot_ms", "max_tpot_ms", "itl", "itl_ms", "inter_token_latency"), _TPOT),
    **dict.fromkeys(("ttft", "max_ttft", "ttft_ms", "max_ttft_ms", "first_token_ms"), _TTFT),
    **dict.fromkeys(("latency", "max_latency", "latency_ms", "max_latency_s", "slo"), f"{_TPOT}, or {_TTFT}"),
    **dict.fromkeys(("input_tokens", "prompt_length", "input_length", "isl", "context_tokens"), "serving.prompt_tokens"),
    **dict.fromkeys(("completion_tokens", "output_length", "response_tokens", "osl"), "serving.output_tokens"),
    **dict.fromkeys(("tokens", "data_tokens", "dataset_tokens", "max_tokens", "train_tokens", "data"), _DATA),
    **dict.fromkeys(("epochs", "num_epochs"), "limits.max_epochs"),
    **dict.fromkeys(("memory", "memory_gb", "max_memory_gb", "vram_gb"), "limits.memory_bytes, in bytes"),
    **dict.fromkeys(("loss", "target_loss", "max_loss"), "limits.loss_nats"),
    **dict.fromkeys(("price_usd_per_million_tokens", "usd_per_million_tokens"), "limits.serving_usd_per_million_tokens"),
}
"""Keys that people write, and the key that means it."""

SAME = {
    f"choices.{name}": "baseline_num_experts"
    for name in ("base_num_experts", "base_experts", "baseline", "baseline_experts")
}
"""Keys that can mean nothing else: they are read as it, and said to be."""


def accelerator_note(section: str, written: Any, known: str) -> list[str]:
    """A sentence where a name that several accelerators share was read as the usual one."""
    if written is None or written == known or known not in USUAL:
        return []
    chip = accelerator_named(known)
    return [f"{section}.accelerator: {written!r} is read as {known} ({chip.memory_bytes / BYTES_PER_GB:g} GB)"]
