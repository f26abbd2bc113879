"""What architectures cost to train and to serve."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

import bayesmoe
from bayesmoe.documents.base import Document, Number, Probability, Quantiles, Section
from bayesmoe.units import BAND

_QUANTITIES = {
    "weight_bytes": "weight_bytes",
    "memory_bytes": "memory_bytes",
    "n_gpus_per_replica": "n_gpus",
    "prefill_gpus": "prefill_gpus",
    "attention_ranks": "attention_ranks",
    "draft_tokens": "draft_tokens",
    "kw": "kw",
    "batch_requests": "batch",
    "tpot_s": "tpot_s",
    "ttft_s": "ttft_s",
    "output_tokens_per_s_per_gpu": "output_tokens_per_s_per_gpu",
    "serving_usd_per_million_tokens": "serving_usd_per_million_tokens",
    "usd_per_million_input_tokens": "usd_per_million_input_tokens",
    "usd_per_million_cached_tokens": "usd_per_million_cached_tokens",
    "usd_per_million_decoded_tokens": "usd_per_million_decoded_tokens",
    "train_tokens": "train_tokens",
    "train_flop": "train_flop",
    "train_usd": "train_usd",
    "lifetime_usd": "lifetime_usd",
}
"""Names of the bands by key."""


class StepShare(Section):
    """Mean share of a decode step by term; null where the latency model does not say."""

    layer: Number
    moe_layer: Number
    hop: Number
    request: Number
    memory: Number
    activations: Number
    compute: Number
    prefill: Number
    experts: Number
    communication: Number


_ON_CLUSTER = {
    "tokens_per_s_per_gpu": "train_tokens_per_s_per_gpu",
    "mfu": "train_mfu",
    "step_s": "train_step_s",
    "memory_bytes_per_gpu": "train_memory_bytes",
    "gpu_hours": "train_gpu_hours",
    "days": "train_days",
}


class TrainingShare(Section):
    """Mean share of a training step by part; null where nothing fits."""

    matmul: Number
    experts: Number
    attention: Number
    elementwise: Number
    routing: Number
    all_to_all: Number
    tensor_parallel: Number
    data_parallel: Number
    launches: Number
    uneven_routing: Number
    recompute: Number
    bubble: Number


class TrainingOnCluster(Section):
    """Training on the scenario's cluster, of the fastest layout that fits in each draw; bands are over the draws in which one does."""

    p_fits: Probability = Field(description="that some layout fits into the memory of its GPUs")
    layout: str | None = Field(description="the commonest choice; null where none fits")
    reason: str | None = Field(description="why none fits; null where one does")
    step_share: TrainingShare
    tokens_per_s_per_gpu: Quantiles
    mfu: Quantiles = Field(description="model FLOP over the peak of the matrices' precision")
    step_s: Quantiles = Field(description="seconds of an optimizer's step")
    memory_bytes_per_gpu: Quantiles = Field(
        description="where none fits, what the leanest layout would need; null where none divides"
    )
    gpu_hours: Quantiles = Field(description="of the tokens that the budget buys")
    days: Quantiles = Field(description="days of the whole cluster for them")

    @classmethod
    def of(cls, part: xr.Dataset) -> TrainingOnCluster:
        """From the bands of one architecture."""
        shares = part["train_part_share"]
        return cls(
            p_fits=float(part["p_trains"]),
            layout=str(part["train_layout"].item()) or None,
            reason=str(part["train_reason"].item()) or None,
            step_share=TrainingShare(
                **{str(name): float(shares.sel(train_part=name)) for name in part["train_part"].values}
            ),
            **{key: _band(part[name].values) for key, name in _ON_CLUSTER.items()},
        )


class ArchitectureCost(Section):
    """One architecture. Bands are over the draws in which some replica serves it, null where none does; training, over all draws."""

    architecture: str
    p_feasible: Probability = Field(description="that an allowed replica holds the model and meets the latency targets")
    limited_by: Literal["memory", "max_batch", "max_tpot_s", "max_ttft_s", "speed"] = Field(
        description="what bounds the batch in most draws; `speed`: no known latency"
    )
    step_share: StepShare
    weight_bytes: Quantiles
    memory_bytes: Quantiles = Field(description="weights and the cache of the batch, of a replica")
    n_gpus_per_replica: Quantiles = Field(description="or of a worker that decodes")
    prefill_gpus: Quantiles = Field(
        description="GPUs of other workers that compute the prompts of one that decodes; 0 where it computes them"
    )
    attention_ranks: Quantiles = Field(
        description="GPUs of a replica over which attention is data-parallel; 1 where its heads are split"
    )
    draft_tokens: Quantiles = Field(description="tokens drafted ahead of each step")
    kw: Quantiles | None = Field(
        default=None, description="power of a replica with all around it; only where the accelerator's is known"
    )
    batch_requests: Quantiles = Field(description="requests decoded at once")
    tpot_s: Quantiles = Field(description="seconds per output token")
    ttft_s: Quantiles = Field(description="seconds to the first token; null with a latency table")
    output_tokens_per_s_per_gpu: Quantiles
    serving_usd_per_million_tokens: Quantiles = Field(description="per million output tokens, their prompts included")
    usd_per_million_input_tokens: Quantiles = Field(
        description="per million prompt tokens that no cache holds: computing them, and reading them back"
    )
    usd_per_million_cached_tokens: Quantiles = Field(
        description="per million prompt tokens that a cache holds: reading them back; null with a latency table"
    )
    usd_per_million_decoded_tokens: Quantiles = Field(description="per million output tokens, without their prompts")
    train_tokens: Quantiles = Field(description="tokens that the budget buys")
    train_flop: Quantiles
    train_usd: Quantiles
    lifetime_usd: Quantiles | None = Field(
        default=None, description="training and serving; only where the scenario gives lifetime_tokens"
    )
    training: TrainingOnCluster | None = Field(
        default=None, description="only where the scenario gives training.cluster_gpus"
    )

    @classmethod
    def of(cls, part: xr.Dataset) -> ArchitectureCost:
        """From the bands of one architecture."""
        quantities = {key: _band(part[name].values) for key, name in _QUANTITIES.items() if name in part}
        return cls(
            architecture=str(part["architecture"].item()),
            p_feasible=float(part["p_feasible"]),
            limited_by=str(part["commonest_limit"].item()),  # type: ignore[arg-type]
            step_share=StepShare(**{str(term): float(part["term_share"].sel(term=term)) for term in part["term"].values}),
            training=TrainingOnCluster.of(part) if "p_trains" in part else None,
            **quantities,
        )


class CostDocument(Document):
    """What architectures cost."""

    kind: ClassVar[str] = "cost"
    version: ClassVar[int] = 1
    command: ClassVar[str] = "bayesmoe cost --json"

    bayesmoe_version: str
    band: tuple[Probability, Probability] = Field(description="quantiles of the band")
    doubts: tuple[str, ...] = Field(
        description="latency targets that no measurement behind the calibration meets; prices of serving are then null"
    )
    architectures: tuple[ArchitectureCost, ...]

    @classmethod
    def of(cls, found: xr.Dataset) -> CostDocument:
        """The document of :func:`bayesmoe.costs.cost.bands`."""
        parts = (found.isel(architecture=i) for i in range(found.sizes["architecture"]))
        return cls(
            bayesmoe_version=bayesmoe.__version__,
            band=BAND,
            doubts=tuple(found.attrs["doubts"]),
            architectures=tuple(map(ArchitectureCost.of, parts)),
        )


def _band(values: np.ndarray) -> Quantiles:
    return Quantiles.of(values if np.isfinite(values).all() else [None] * 3)
