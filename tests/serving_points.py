"""Serving points simulated from known coefficients; the terms of a step are counted here anew, shape by shape."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from seeds import seeded
from shape_costs import cache_elements, decode_flop

from bayesmoe.architecture import Shape, public_shape
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT

ARCHITECTURES = ("llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "qwen3-235b-a22b", "gpt-oss-120b", "deepseek-v3")

SLOPES = {
    "layer": 60e-6,
    "moe_layer": 30e-6,
    "hop": 8e-6,
    "request": 12e-6,
    "memory": 1.5,
    "activations": 2.0,
    "compute": 1.7,
    "prefill": 1.2,
    "experts": 3.0,
    "communication": 1.6,
}
FIRST_PREFILL, FIRST_STEP = 1.5, 3.0
OF_ENGINE = {"SGLang": -0.15, "TensorRT-LLM": 0.0, "vLLM": 0.15}
OF_HARDWARE = {"B200-SXM": 0.1, "H100-SXM": -0.1, "H200-SXM": 0.0}
BETWEEN, WITHIN, NU = 0.05, 0.05, 5.0


def counted(shape: Shape, point: dict) -> dict[str, float]:
    """Terms of a decode step, and those of the prompt alone under ``prompt`` and ``prompt_experts``."""
    chip, weight = accelerator_named(point["hardware"]), BYTES_PER_WEIGHT[point["weight_precision"]]
    batch, gpus = point["concurrency_requests"], point["n_gpus"]
    prompt, output = (point["length_share"] * point[name] for name in ("isl_tokens", "osl_tokens"))
    untouched, of_experts, moved, narrow = 0.0, 0.0, 0.0, 1.0
    if shape.experts is not None:
        untouched = shape.n_routed * (1.0 - shape.experts.top_k / shape.experts.num_experts) ** batch
        of_experts = shape.experts.top_k * shape.n_per_expert
        narrow = math.sqrt(2048 / shape.experts.d_expert)
        # In and out of the experts and of their inner width, in two bytes.
        moved = shape.num_moe_layers * shape.experts.top_k * (shape.d_model + shape.experts.d_expert) * 4 * 2.0
    ranks = point["attention_data_parallel"]
    shards = max(shape.attention.cache_shards, ranks)
    cache = cache_elements(shape, prompt + output / 2) * (2.0 if weight > 1.0 else 1.0) * gpus / min(gpus, shards)
    weights = shape.n_total - untouched + (ranks - 1) * shape.n_attention
    read = weight * weights + 2.0 * shape.n_head + batch * cache
    attention = shape.full_layers * shape.attention.flop_per_token_of_context
    # A window fills over its own length, and is full from there on.
    window = min(prompt, shape.window_tokens)
    in_window = shape.window_layers * shape.attention.flop_per_token_of_context * window * (prompt - window / 2)
    flop = 2.0 * prompt * (shape.n_active - of_experts) + attention * prompt**2 / 2 + in_window
    peak = {"bf16": chip.peak_flop_per_s, "fp8": chip.peak_fp8_flop_per_s}.get(point["weight_precision"])
    if peak is None:
        # Four bits: multiplied in four where the chip can, and in sixteen where it cannot.
        peak = chip.peak_fp4_flop_per_s if chip.peak_fp4_flop_per_s > chip.peak_fp8_flop_per_s else chip.peak_flop_per_s
    tokens = batch * (1.0 + prompt / output)
    sent = 8.0 * shape.num_layers
    if ranks > 1:
        dense = shape.num_layers - shape.num_moe_layers
        copies = 0 if shape.experts is None else min(shape.experts.top_k, gpus)
        sent = 3.0 * copies * shape.num_moe_layers / gpus + 4.0 * dense
    decoded = decode_flop(shape, prompt + output / 2) - 2.0 * of_experts
    return {
        "layer": shape.num_layers,
        "moe_layer": shape.num_moe_layers,
        "hop": shape.num_layers * math.log2(gpus),
        "request": batch / ranks,
        "memory": read / (gpus * chip.bandwidth_bytes_per_s),
        "activations": tokens * moved / (gpus * chip.bandwidth_bytes_per_s),
        "compute": batch * decoded / (gpus * peak),
        "prefill": batch / output * flop / (gpus * peak),
        "experts": tokens * 2.0 * of_experts * narrow / (gpus * peak),
        "communication": tokens * shape.d_model * sent * (gpus - 1) / gpus / chip.link_bytes_per_s,
        "prompt": flop / (gpus * peak),
        "prompt_experts": prompt * 2.0 * of_experts * narrow / (gpus * peak),
    }


def simulated_points(
    *, architectures: tuple[str, ...] = ARCHITECTURES, each: int = 20, seed: int = 0, deployments: int | None = None
) -> pd.DataFrame:
    """So many points of each architecture, with all columns; where given, in so many deployments on eight GPUs that all models share."""
    rng = np.random.default_rng(seeded(seed))
    rows = []
    shared = [
        (hardware, engine, precision) for precision in ("fp8", "bf16") for hardware in OF_HARDWARE for engine in OF_ENGINE
    ][:deployments]
    for name in architectures:
        shape, of_model = public_shape(name), BETWEEN * rng.standard_normal()
        for _ in range(each):
            lengths = [(128, 1024), (1024, 1024), (8192, 1024), (2048, 128)][rng.integers(4)]
            point = {
                "architecture": name,
                "hardware": str(rng.choice(list(OF_HARDWARE))),
                "engine": str(rng.choice(list(OF_ENGINE))),
                "weight_precision": str(rng.choice(["bf16", "fp8", "fp4"])),
                "n_gpus": int(2 ** rng.integers(4)),
                "isl_tokens": lengths[0],
                "osl_tokens": lengths[1],
                "concurrency_requests": int(np.exp(rng.uniform(0, np.log(512)))) + 1,
                "length_share": float(rng.choice([0.9, 1.0])),
            }
            if deployments is not None:
                place = shared[rng.integers(len(shared))]
                point |= {"n_gpus": 8, **dict(zip(("hardware", "engine", "weight_precision"), place, strict=True))}
            point["attention_data_parallel"] = int(rng.choice([1, 1, point["n_gpus"]]))
            terms = counted(shape, point)
            slopes = dict(SLOPES)
            for overhead in ("layer", "moe_layer", "hop", "request"):
                slopes[overhead] *= math.exp(OF_ENGINE[point["engine"]])
            for of_memory in ("memory", "activations"):
                slopes[of_memory] *= math.exp(OF_HARDWARE[point["hardware"]])
            step = sum(slope * terms[term] for term, slope in slopes.items())
            step *= math.exp(of_model + WITHIN * rng.standard_t(NU))
            prompt_s = slopes["prefill"] * terms["prompt"] + slopes["experts"] * terms["prompt_experts"]
            first = (FIRST_PREFILL * prompt_s + FIRST_STEP * step) * math.exp(2 * WITHIN * rng.standard_t(NU))
            rows.append({**point, "tpot_ms": 1e3 * step, "ttft_ms": 1e3 * first if rng.random() < 0.8 else np.nan})
    return pd.DataFrame(rows)


def write_points(path: Path, frame: pd.DataFrame) -> Path:
    """Write points as CSV."""
    frame.to_csv(path, index=False)
    return path
