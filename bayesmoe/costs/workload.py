"""What is trained and served: budget, fleet, lengths, latency targets and prices of a scenario."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bayesmoe.costs.hardware import accelerator_named, canonical_accelerator
from bayesmoe.costs.precisions import Precision, TrainingPrecision, bytes_of, cache_element_bytes, canonical_precision
from bayesmoe.costs.prices import Price, book_price
from bayesmoe.costs.serving.layouts import Attention
from bayesmoe.costs.uncertain import Positive, Quantity, QuantityShare, Share, UncertainShare
from bayesmoe.errors import InputError
from bayesmoe.specs import About, spec

_PRICED = About(
    "USD", "an assumption by accelerator of November 2025, no quote", 0.01, 1e3, "give USD an hour of one GPU, such as 2.2"
)
_LENGTH = About("tokens", "ShareGPT's mean (arXiv:2309.06180)", 1.0, 1e7, "give the mean tokens of one request")

AcceleratorName = Annotated[str, AfterValidator(canonical_accelerator)]
PrecisionName = Annotated[Precision, BeforeValidator(canonical_precision)]
TrainingPrecisionName = Annotated[TrainingPrecision, BeforeValidator(canonical_precision)]


BUDGETS = ("budget_flop", "budget_usd", "budget_gpu_hours")
"""Keys that bound training by themselves; ``days`` on a cluster is another."""

USUAL_MFU = 0.4
"""Model FLOP utilization where a scenario says neither that nor a cluster."""


@spec
class Training:
    """Training budget and what a FLOP costs.

    Parameters
    ----------
    budget_flop : float, optional
        Training compute; this, `budget_usd`, `budget_gpu_hours`, or `cluster_gpus` for `days`.
    budget_usd : float, optional
        Money for training compute: throughput and price say how much that is.
    budget_gpu_hours : float, optional
        Hours of one GPU in all: throughput says how much compute that is.
    accelerator : str
        What it runs on: a known name however it is written ("H100", "h100 sxm"), or a TOML file.
    mfu : share
        Model FLOP utilization, the same for every architecture. Where it is left out and `cluster_gpus` is given, each architecture and size
        has that of the fastest layout that fits the cluster, by the calibration.
    price_usd_per_gpu_hour : quantity, optional
        Price of an hour of one GPU, or the word of a price book: "owned", "reserved", "on_demand", "spot"; the accelerator's own
        (:mod:`bayesmoe.costs.hardware`) where left out.
    flop_rule : str
        Training FLOP of a token: 6 times the active parameters; 6 times the dense backbone (Yun's); or, ``exact``, where the whole shape
        is known (``bayesmoe cost``), three forward passes with attention over ``sequence_tokens`` and the head.
    sequence_tokens : float
        Length of a training sequence.
    cluster_gpus : int, optional
        GPUs that the run has: whether an architecture can be trained on them, in which layout and how fast.
    days : float, optional
        Days that the run may take on `cluster_gpus`: the budget where no other is given, and a limit beside one.
    availability : share
        Share of the days in which the cluster trains; outages, restarts and evaluations take the rest.
    kw_per_gpu : float, optional
        Power of one GPU with its share of server, network and cooling; the accelerator's own where left out.
    grams_co2_per_kwh : float, optional
        Carbon dioxide of the energy.
    precision : str
        Of the matrices while training; weights and optimizer states stay wider.
    step_tokens : float
        Tokens of an optimizer's step.
    memory_fraction : share
        Share of a GPU's memory that training may fill.
    calibration : str, optional
        File of ``bayesmoe calibrate-training``; the shipped one where left out.

    Examples
    --------
    >>> bm.Training(budget_flop=5e21, mfu={"median": 0.4, "log_sd": 0.15}).budget_flop
    5e+21
    """

    budget_flop: Annotated[
        Positive | None, About("FLOP", "", 1e16, 2e29, "give FLOP in all, such as 5e21; a PFLOP/s-day is 8.64e19")
    ] = None
    budget_usd: Annotated[Positive | None, About("USD", "", 100.0, 1e12, "give USD, such as 10e6 for ten million")] = None
    budget_gpu_hours: Annotated[
        Positive | None, About("GPU-hours", "", 1.0, 1e11, "give hours of one GPU in all, such as 2.7e6")
    ] = None
    accelerator: Annotated[AcceleratorName, About("", "an assumption of this project")] = "H100-SXM"
    mfu: Annotated[
        QuantityShare | None,
        About(
            "share of the peak in bfloat16",
            "0.4 without a cluster: 0.38 to 0.43 in Llama 3 (arXiv:2407.21783), 0.46 in PaLM (arXiv:2204.02311)",
            0.01,
            0.9,
            "give the share of the peak that training reaches, such as 0.4",
        ),
    ] = None
    price_usd_per_gpu_hour: Annotated[Price | None, _PRICED] = None
    flop_rule: Annotated[
        Literal["6 n_active tokens", "6 n_dense tokens", "exact"], About("", "Kaplan 2020 (arXiv:2001.08361)")
    ] = "6 n_active tokens"
    sequence_tokens: Annotated[Positive, About("tokens", "Llama 2 (arXiv:2307.09288)")] = 4096.0
    cluster_gpus: Annotated[
        Annotated[int, Field(ge=1)] | None, About("GPUs", "", 1, 1e6, "give the GPUs that train the model together")
    ] = None
    days: Annotated[Positive | None, About("days", "", 0.01, 3650.0, "give the days that the run may take, such as 60")] = (
        None
    )
    availability: Annotated[
        Share, About("share of the days", "90% of Llama 3's (arXiv:2407.21783, section 3.3.4)", 0.1, 1.0, "give a share")
    ] = 0.9
    kw_per_gpu: Annotated[
        Positive | None,
        About("kW", "the accelerator's own", 0.05, 20.0, "give kW of one GPU with its share of all around it"),
    ] = None
    grams_co2_per_kwh: Annotated[
        Positive | None, About("g/kWh", "", 1.0, 2000.0, "give grams for each kWh: 400 is a usual grid")
    ] = None
    precision: Annotated[TrainingPrecisionName, About("", "an assumption of this project")] = "bf16"
    step_tokens: Annotated[
        Positive, About("tokens", "4M of Llama 3's first stage (arXiv:2407.21783)", 1e3, 1e9, "give the tokens of one step")
    ] = 4194304.0
    memory_fraction: Annotated[Share, About("share", "an assumption of this project")] = 0.92
    calibration: Annotated[str | None, About("", "the shipped one")] = None

    @model_validator(mode="after")
    def _one_budget(self) -> Training:
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if self.days is not None and self.cluster_gpus is None:
            hint = "add training.cluster_gpus, the GPUs of the run"
            raise InputError(
                "says for how long, and not on how many GPUs", column="training.days", value=self.days, hint=hint
            )
        if not given and self.days is None:
            hint = "add it, or training.budget_usd, training.budget_gpu_hours, or training.cluster_gpus with training.days"
            raise InputError("is required", column="training.budget_flop", hint=hint)
        if len(given) > 1:
            raise InputError(f"bounds the same as {given[0]}", column=f"training.{given[1]}", hint="keep one of the two")
        if isinstance(self.price_usd_per_gpu_hour, str):
            price_of(self)
        return self

    @property
    def most_days(self) -> float | None:
        """Days that bound the run beside a budget; None where they are the budget, or are not given."""
        return self.days if any(getattr(self, name) is not None for name in BUDGETS) else None

    @property
    def by_layout(self) -> bool:
        """Whether every architecture and size trains as fast as the cluster does, and not at one MFU."""
        return self.mfu is None and self.cluster_gpus is not None


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
    precision : str
        Of the weights, however it is written ("FP8", "bfloat16").
    bytes_per_kv_element : float, optional
        Of the cache; a precision such as "fp8" stands for its bytes.
    attention : str
        How attention is spread over the GPUs of a replica: "tensor" splits its heads, "data" gives each GPU the requests of its own, "either"
        takes what is cheaper in each draw.
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
    price_usd_per_gpu_hour: Annotated[Price | None, _PRICED] = None
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
    precision: Annotated[PrecisionName, About("", "the precision of training")] = "bf16"
    bytes_per_kv_element: Annotated[
        Positive | None, BeforeValidator(bytes_of), About("bytes", "1 with weights of eight bits or fewer, 2 otherwise")
    ] = None
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
        if isinstance(self.price_usd_per_gpu_hour, str):
            price_of(self)
        return self


def mfu_of(training: Training) -> QuantityShare | None:
    """Model FLOP utilization of every architecture; None where it follows from the cluster."""
    return None if training.by_layout else USUAL_MFU if training.mfu is None else training.mfu


def price_of(fleet: Training | Serving) -> Quantity:
    """USD of a GPU hour: the fleet's own, that of its price book, or what its accelerator is assumed to cost.

    Raises
    ------
    InputError
        The book has no price of the accelerator.
    """
    price = fleet.price_usd_per_gpu_hour
    if isinstance(price, str):
        column = f"{type(fleet).__name__.lower()}.price_usd_per_gpu_hour"
        return book_price(price, fleet.accelerator, column=column).price
    if price is not None:
        return price
    return accelerator_named(fleet.accelerator).price_usd_per_hour
