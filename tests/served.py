"""A model, a chip and traffic in round numbers, whose steps can be worked out by hand."""

from __future__ import annotations

from bayesmoe.costs.hardware import Accelerator
from bayesmoe.costs.serving import ServedModel, Traffic
from bayesmoe.costs.serving.step import TERMS, step_terms

CHIP = Accelerator(
    peak_flop_per_s=2e12,
    peak_fp8_flop_per_s=4e12,
    peak_fp4_flop_per_s=8e12,
    bandwidth_bytes_per_s=1e12,
    memory_bytes=1e9,
    link_bytes_per_s=1e11,
    price_usd_per_hour=1.0,
    source="made up",
)
MODEL = ServedModel(
    n_dense=8e9,
    n_active=3e9,
    n_total=1e10,
    n_routed=4e9,
    n_attention=1e9,
    n_head=5e8,
    n_embedding=7e8,
    num_experts=4.0,
    top_k=2.0,
    num_layers=10.0,
    num_moe_layers=5.0,
    d_model=1000.0,
    cache_per_token=1e6,
    window_cache_per_token=5e5,
    window_tokens=20.0,
    state=1e7,
    cache_shards=2.0,
    attention_flop=4e7,
)
NARROW = (2048 / (4e9 / 60e3)) ** 0.5
"""Of an expert's products: it is 4e9 / (4 x 3 x 5 x 1,000) wide."""
TRAFFIC = Traffic(30.0, 20.0)


def terms(model=MODEL, batch=2.0, n_gpus=4.0, traffic=TRAFFIC, precision="bf16", **how):
    """Terms of a step by name."""
    return dict(zip(TERMS, step_terms(model, batch, n_gpus, traffic, CHIP, precision, **how), strict=True))


def many_experts(num_experts=64.0, top_k=4.0):
    """A model with experts of 1e8 parameters each."""
    always = 2e9
    return MODEL._replace(
        n_active=always + 1e8 * top_k,
        n_total=always + 1e8 * num_experts,
        n_routed=1e8 * num_experts,
        num_experts=num_experts,
        top_k=top_k,
    )
