"""What is trained: budget, cluster, and what a FLOP costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bayesmoe.costs.hardware import AcceleratorName
from bayesmoe.costs.precisions import TrainingPrecisionName
from bayesmoe.costs.prices import PRICED, Price, price_of
from bayesmoe.costs.uncertain import Positive, QuantityShare, Share
from bayesmoe.errors import InputError
from bayesmoe.specs import About, spec

BUDGETS = ("budget_flop", "budget_usd", "budget_gpu_hours")
"""Keys that bound training by themselves; ``days`` on a cluster is another."""

USUAL_MFU = 0.4
"""Model FLOP utilization where a scenario says neither that nor a cluster."""

USUAL_AVAILABILITY = 0.9
"""Share of the days in which a cluster trains at an MFU of steady steps."""


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
    availability : share, optional
        Share of the days in which the cluster trains; outages, restarts and evaluations take the rest. Where the calibration says how fast the cluster
        trains, all of the days unless it is given: the whole runs behind it hold restarts and evaluations already.
    kw_per_gpu : float, optional
        Power of one GPU with its share of server, network and cooling; the accelerator's own where left out.
    grams_co2_per_kwh : float, optional
        Carbon dioxide of the energy.
    precision : str
        Of the matrices while training; weights and optimizer states stay wider.
    effective_size_share : share, optional
        Share of its parameters that a model trained in fewer than 16 bits is worth, at the loss of a 16-bit model; 1 for no loss. Where left out it
        follows from the precision, by the prior of this project. Of no effect in bf16.
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
        Positive | None, About("FLOP", "", 1e12, 2e29, "give FLOP in all, such as 5e21; a PFLOP/s-day is 8.64e19")
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
    price_usd_per_gpu_hour: Annotated[Price | None, PRICED] = None
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
        Share | None,
        About(
            "share of the days",
            "1 without an MFU, 0.9 with one: 90% of Llama 3's days (arXiv:2407.21783, section 3.3.4)",
            0.1,
            1.0,
            "give a share",
        ),
    ] = None
    kw_per_gpu: Annotated[
        Positive | None,
        About("kW", "the accelerator's own", 0.05, 20.0, "give kW of one GPU with its share of all around it"),
    ] = None
    grams_co2_per_kwh: Annotated[
        Positive | None, About("g/kWh", "", 1.0, 2000.0, "give grams for each kWh: 400 is a usual grid")
    ] = None
    precision: Annotated[TrainingPrecisionName, About("", "an assumption of this project")] = "bf16"
    effective_size_share: Annotated[
        QuantityShare | None,
        About(
            "share of the parameters",
            "a prior from public training runs; see docs/precision.md",
            0.1,
            1.0,
            "give the share, such as 0.95; 1 for no loss",
        ),
    ] = None
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
    def training_share(self) -> float:
        """Share of the days in which the cluster trains."""
        if self.availability is not None:
            return self.availability
        return 1.0 if self.by_layout else USUAL_AVAILABILITY

    @property
    def by_layout(self) -> bool:
        """Whether every architecture and size trains as fast as the cluster does, and not at one MFU."""
        return self.mfu is None and self.cluster_gpus is not None


def mfu_of(training: Training) -> QuantityShare | None:
    """Model FLOP utilization of every architecture; None where it follows from the cluster."""
    return None if training.by_layout else USUAL_MFU if training.mfu is None else training.mfu
