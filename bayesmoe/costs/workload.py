"""What is served: fleet, requests, latency targets and prices of a scenario."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from bayesmoe.costs.hardware import AcceleratorName
from bayesmoe.costs.precisions import PrecisionName, QuantizationName, bytes_of, cache_element_bytes
from bayesmoe.costs.prices import PRICED, Price, price_of
from bayesmoe.costs.serving.layouts import Attention, Prefill
from bayesmoe.costs.serving.traffic import MOST_DRAFTED
from bayesmoe.costs.uncertain import Positive, Quantity, QuantityOrNothing, QuantityShare, Share, UncertainShare
from bayesmoe.errors import InputError
from bayesmoe.specs import About, spec

_SPREAD = About(
    "times the mean", "every request has the mean length", 0.0, 20.0, "give the standard deviation over the mean"
)
_ACCEPTED = "drafts of five large models on code; see docs/serving.md"
_LENGTH = About("tokens", "ShareGPT's mean (arXiv:2309.06180)", 1.0, 1e7, "give the mean tokens of one request")


@spec
class Serving:
    """Serving fleet, workload and latency targets.

    Parameters
    ----------
    accelerator : str
        What a replica runs on: a known name however it is written ("H100", "h100 sxm"), or a TOML file.
    max_gpus : int
        Most GPUs of one replica, which has a power of two of them, or all; all are taken to be linked as within a node.
    fleet_gpus : int, optional
        GPUs of all replicas together, which `fixed_hardware` fills with replicas; as many as `max_gpus` where left out.
    price_usd_per_gpu_hour : quantity, optional
        Price of an hour of one GPU, or a price book; the accelerator's own where left out.
    utilization : share
        Share of the time that a replica has work; 1 is a server that is never idle.
    prompt_tokens : quantity
        Mean tokens of a prompt.
    output_tokens : quantity
        Mean tokens of an answer.
    prompt_cv, output_cv : float
        Standard deviations of the two lengths over their means; a cost is that of requests whose lengths differ so, not of the mean request.
    length_correlation : float
        Correlation between the logarithms of both lengths.
    prefill : str
        Which workers compute prompts: those that decode ("together"), others ("apart", disaggregated serving), or whichever is cheaper in each
        draw ("either").
    cached_share : share, optional
        Share of prompt tokens that a cache of prefixes holds already.
    draft_tokens : int or "best"
        Tokens drafted ahead of each step by a layer more of the model (multi-token prediction, EAGLE), or the number that is cheapest in each
        draw.
    draft_acceptance, draft_acceptance_decay : share
        Chance a that the first drafted token is accepted, and factor g by which it falls with each: ``a_j = a g^(j - 1)``.
    precision : str
        Of the weights, however it is written ("FP8", "bfloat16").
    quantization : str
        How weights come to have fewer bits than in training: rounded when the model is done ("after training"), or trained for it ("trained",
        quantization-aware), which makes the model worth fewer parameters instead. Of no effect where they have as many.
    quantization_loss_nats : quantity, optional
        What fewer bits than in training add to the loss, the same for every design; 0 for nothing. Where left out it grows with tokens and falls
        with size, by the prior of this project.
    bytes_per_kv_element : float, optional
        Of the cache; a precision such as "fp8" stands for its bytes.
    attention : str
        How attention is spread over the GPUs of a replica: "tensor" splits its heads, "data" gives each GPU the requests of its own, "either"
        takes what is cheaper in each draw.
    overlap_communication : bool
        Whether half of a batch computes while the other half is exchanged between GPUs, as in DeepSeek's production.
    memory_fraction : share
        Share of memory for weights and cache.
    max_batch : int
        Requests decoded together at most.
    max_tpot_s : float, optional
        Latency target: seconds from one token to the next.
    max_ttft_s : float, optional
        Latency target: seconds to the first token.
    lifetime_tokens : quantity, optional
        Output tokens served in all: puts money on regret, for EVPI, next-run and break-even demand.
    latency_table : str, optional
        CSV of own measurements, in place of the roofline.
    calibration : str, optional
        File of ``bayesmoe calibrate-serving``; the shipped one where left out.
    engine : str, optional
        Serving engine, as in the calibration; any where left out.
    routing_evenness : share
        Share of a batch that routes as if at random: routing that is skewed touches fewer experts.

    Examples
    --------
    >>> bm.Serving(accelerator="H100-SXM", max_tpot_s=0.05, lifetime_tokens={"median": 1e13, "log_sd": 0.7}).max_gpus
    8
    """

    accelerator: Annotated[AcceleratorName, About("", "Yun 2024 (arXiv:2404.02852)")] = "A100-SXM-40GB"
    max_gpus: Annotated[int, Field(ge=1, le=1024), About("GPUs of a replica", "Yun 2024 (arXiv:2404.02852): one node")] = 8
    fleet_gpus: Annotated[int | None, Field(ge=1, le=10_000_000), About("GPUs of all replicas", "one replica")] = None
    price_usd_per_gpu_hour: Annotated[Price | None, PRICED] = None
    utilization: Annotated[
        QuantityShare,
        About(
            "share of the time",
            "an assumption of this project",
            0.001,
            1.0,
            "give the share of the time at work, such as 0.5",
        ),
    ] = Field(default_factory=lambda: UncertainShare(median=0.5, log_sd=0.35))
    prompt_tokens: Annotated[Quantity, _LENGTH] = 161.31
    output_tokens: Annotated[Quantity, _LENGTH] = 337.99
    prompt_cv: Annotated[float, Field(ge=0), _SPREAD] = 0.0
    output_cv: Annotated[float, Field(ge=0), _SPREAD] = 0.0
    length_correlation: Annotated[
        float, Field(ge=-1, le=1), About("correlation", "lengths that have nothing to do with each other")
    ] = 0.0
    cached_share: Annotated[
        QuantityShare | None, About("share of prompt tokens", "nothing is cached", 0.001, 0.99, "give a share, such as 0.4")
    ] = None
    prefill: Annotated[Prefill, About("", "one kind of worker")] = "together"
    draft_tokens: Annotated[
        Annotated[int, Field(ge=0, le=MOST_DRAFTED)] | Literal["best"], About("tokens", "nothing is drafted")
    ] = 0
    draft_acceptance: Annotated[QuantityShare, About("share", _ACCEPTED, 0.05, 1.0, "give a share, such as 0.8")] = Field(
        default_factory=lambda: UncertainShare(median=0.85, log_sd=0.06)
    )
    draft_acceptance_decay: Annotated[QuantityShare, About("factor", _ACCEPTED, 0.05, 1.0, "give a factor, such as 0.9")] = (
        Field(default_factory=lambda: UncertainShare(median=0.9, log_sd=0.12))
    )
    precision: Annotated[PrecisionName, About("", "the precision of training")] = "bf16"
    quantization: Annotated[QuantizationName, About("", "the usual way; see docs/precision.md")] = "after training"
    quantization_loss_nats: Annotated[
        QuantityOrNothing | None,
        About(
            "nats per token",
            "a prior from public measurements; see docs/precision.md",
            0.0,
            2.0,
            "give nats per token that quantizing adds, such as 0.02; 0 for nothing",
        ),
    ] = None
    bytes_per_kv_element: Annotated[
        Positive | None, BeforeValidator(bytes_of), About("bytes", "1 with weights of eight bits or fewer, 2 otherwise")
    ] = None
    overlap_communication: Annotated[bool, About("", "engines as measured")] = False
    memory_fraction: Annotated[Share, About("share of memory", "vLLM's default")] = 0.9
    max_batch: Annotated[int, Field(ge=1), About("requests", "an assumption of this project")] = 1024
    max_tpot_s: Annotated[
        Positive | None, About("s", "", 5e-4, 2.0, "give seconds from one token to the next, such as 0.025 for 25 ms")
    ] = None
    max_ttft_s: Annotated[
        Positive | None, About("s", "", 5e-3, 600.0, "give seconds to the first token, such as 0.5 for 500 ms")
    ] = None
    lifetime_tokens: Annotated[
        Quantity | None,
        About("output tokens", "", 1e6, 1e18, "give the output tokens of all users in all, such as 1e13, or [traffic]"),
    ] = None
    latency_table: str | None = None
    calibration: Annotated[str | None, About("", "public measurements; see docs/serving.md")] = None
    engine: Annotated[str | None, About("", "the mean of the engines in the calibration")] = None
    routing_evenness: Annotated[Share, About("share of a batch", "routing as if at random")] = 1.0
    attention: Annotated[
        Attention, About("", "both are in use: data-parallel attention in DeepSeek-V3 (arXiv:2412.19437)")
    ] = "either"

    @property
    def drafts(self) -> tuple[int, ...]:
        """How many tokens may be drafted ahead of a step."""
        return (0, 1, 2, 3) if self.draft_tokens == "best" else (int(self.draft_tokens),)

    @property
    def kv_bytes(self) -> float:
        """Bytes of one element of the cache."""
        if self.bytes_per_kv_element is not None:
            return self.bytes_per_kv_element
        return cache_element_bytes(self.precision)

    @model_validator(mode="after")
    def _one_latency(self) -> Serving:
        if self.fleet_gpus is not None and self.fleet_gpus < self.max_gpus:
            raise InputError(
                f"must be at least max_gpus, the most of one replica ({self.max_gpus})",
                column="serving.fleet_gpus",
                value=self.fleet_gpus,
                hint="lower max_gpus",
            )
        if self.latency_table is not None and (self.calibration is not None or self.engine is not None):
            raise ValueError("latency_table stands for itself: leave out calibration and engine")
        if self.latency_table is not None and self.max_ttft_s is not None:
            raise ValueError("latency_table knows no time to first token: leave out max_ttft_s")
        if self.latency_table is not None and (
            self.cached_share is not None or self.draft_tokens != 0 or self.prefill != "together"
        ):
            raise ValueError("latency_table holds what was measured: leave out cached_share, draft_tokens and prefill")
        if isinstance(self.price_usd_per_gpu_hour, str):
            price_of(self)
        return self
