"""What is trained and served: budget, fleet, lengths, latency targets and prices of a scenario."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bayesmoe.costs.hardware import ACCELERATORS, Precision, TrainingPrecision, accelerator_named
from bayesmoe.costs.uncertain import Positive, Quantity, QuantityShare, Share
from bayesmoe.errors import InputError, nearest
from bayesmoe.specs import spec


def _known_accelerator(name: str) -> str:
    if name not in ACCELERATORS and not name.endswith(".toml"):
        raise ValueError(f"is not a known accelerator ({nearest(name, list(ACCELERATORS))})")
    return name


AcceleratorName = Annotated[str, AfterValidator(_known_accelerator)]


@spec
class Training:
    """Training budget and what a FLOP costs.

    Parameters
    ----------
    budget_flop, budget_usd : float, optional
        Training compute, or the money that buys it; one of the two.
    accelerator : str
        What it runs on.
    mfu : share
        Model FLOP utilization.
    price_usd_per_gpu_hour : quantity, optional
        The accelerator's own (:mod:`bayesmoe.costs.hardware`) where left out.
    flop_rule : str
        Training FLOP of a token: 6 times the active parameters; 6 times the dense backbone (Yun's); or, ``exact``, where the whole shape
        is known (``bayesmoe cost``), three forward passes with attention over ``sequence_tokens`` and the head.
    sequence_tokens : float
        Length of a training sequence.
    cluster_gpus : int, optional
        GPUs that the run has. ``bayesmoe cost`` then says whether an architecture can be trained on them, in which layout and how fast.
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

    budget_flop: Positive | None = None
    budget_usd: Positive | None = None
    accelerator: AcceleratorName = "H100-SXM"
    mfu: QuantityShare = 0.4
    price_usd_per_gpu_hour: Quantity | None = None
    flop_rule: Literal["6 n_active tokens", "6 n_dense tokens", "exact"] = "6 n_active tokens"
    sequence_tokens: Positive = 4096.0
    cluster_gpus: Annotated[int, Field(ge=1)] | None = None
    precision: TrainingPrecision = "bf16"
    step_tokens: Positive = 4194304.0
    memory_fraction: Share = 0.92
    calibration: str | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Training:
        if self.budget_flop is None and self.budget_usd is None:
            raise InputError("is required", column="training.budget_flop", hint="add it, or training.budget_usd")
        if self.budget_flop is not None and self.budget_usd is not None:
            raise InputError("bounds the same as budget_flop", column="training.budget_usd", hint="keep one of the two")
        return self


@spec
class Serving:
    """Serving fleet, workload and latency targets.

    Parameters
    ----------
    accelerator, max_gpus : str, int
        What a replica runs on (a known name, or a TOML file), and over how many at most; all are taken to be linked as within a node.
    price_usd_per_gpu_hour : quantity, optional
        The accelerator's own where left out.
    utilization : share
        Share of the time that a replica has work.
    prompt_tokens, output_tokens : quantity
        Mean lengths; ShareGPT's where left out (arXiv:2309.06180).
    precision : str
        Of the weights.
    bytes_per_kv_element : float
        Of the cache.
    memory_fraction : share
        Share of memory for weights and cache.
    max_batch : int
        Requests decoded together at most.
    max_tpot_s, max_ttft_s : float, optional
        Latency targets: seconds between tokens, and to the first.
    lifetime_tokens : quantity, optional
        Output tokens served in all.
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

    accelerator: AcceleratorName = "A100-SXM-40GB"
    max_gpus: Annotated[int, Field(ge=1, le=1024)] = 8
    price_usd_per_gpu_hour: Quantity | None = None
    utilization: QuantityShare = 1.0
    prompt_tokens: Quantity = 161.31
    output_tokens: Quantity = 337.99
    precision: Precision = "bf16"
    bytes_per_kv_element: Positive = 2.0
    memory_fraction: Share = 0.9
    max_batch: Annotated[int, Field(ge=1)] = 1024
    max_tpot_s: Positive | None = None
    max_ttft_s: Positive | None = None
    lifetime_tokens: Quantity | None = None
    latency_table: str | None = None
    calibration: str | None = None
    engine: str | None = None
    routing_evenness: Share = 1.0

    @model_validator(mode="after")
    def _one_latency(self) -> Serving:
        if self.latency_table is not None and (self.calibration is not None or self.engine is not None):
            raise ValueError("latency_table stands for itself: leave out calibration and engine")
        if self.latency_table is not None and self.max_ttft_s is not None:
            raise ValueError("latency_table knows no time to first token: leave out max_ttft_s")
        return self


def price_of(fleet: Training | Serving) -> Quantity:
    """USD of a GPU hour: the fleet's own, or what its accelerator is assumed to cost."""
    if fleet.price_usd_per_gpu_hour is not None:
        return fleet.price_usd_per_gpu_hour
    return accelerator_named(fleet.accelerator).price_usd_per_hour
