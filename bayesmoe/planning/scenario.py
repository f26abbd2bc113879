"""A scenario: the budget, the choices, the serving fleet and what they cost, as read from one TOML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, Tag, model_validator

from bayesmoe.architecture import Family
from bayesmoe.costs.hardware import ACCELERATORS
from bayesmoe.errors import InputError, nearest
from bayesmoe.specs import NUMBER, NUMBER_OR_SPREAD, SPREAD, read_toml, spec

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


@spec
class Uncertain:
    """A positive number known up to a factor: log-normal with that median and standard deviation of the logarithm."""

    median: Positive
    log_sd: Annotated[float, Field(ge=0)]


@spec
class UncertainShare:
    """A share in (0, 1] known up to a factor; draws above 1 count as 1."""

    median: Share
    log_sd: Annotated[float, Field(ge=0)]


Quantity = Annotated[Annotated[Positive, Tag(NUMBER)] | Annotated[Uncertain, Tag(SPREAD)], NUMBER_OR_SPREAD]
"""A number, or ``{ median = 2.0, log_sd = 0.2 }``."""

QuantityShare = Annotated[Annotated[Share, Tag(NUMBER)] | Annotated[UncertainShare, Tag(SPREAD)], NUMBER_OR_SPREAD]
"""A share such as 0.4, or ``{ median = 0.4, log_sd = 0.2 }``."""


def _known_accelerator(name: str) -> str:
    if name not in ACCELERATORS:
        raise ValueError(f"is not a known accelerator ({nearest(name, list(ACCELERATORS))})")
    return name


AcceleratorName = Annotated[str, AfterValidator(_known_accelerator)]


@spec
class TrainingSpec:
    """Training budget and what a FLOP costs."""

    budget_flop: Positive
    accelerator: AcceleratorName = "H100-SXM"
    mfu: QuantityShare = 0.4
    price_usd_per_gpu_hour: Quantity
    flop_rule: Literal["6 n_active tokens", "6 n_dense tokens"] = "6 n_active tokens"


@spec
class ChoicesSpec:
    """Expert counts to choose from, the count that sets the bar, and the group of runs whose law is meant."""

    num_experts: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 4, 8, 16, 32)
    base_num_experts: Annotated[int, Field(ge=1)] = 4
    group: str | None = None

    @model_validator(mode="after")
    def _base_is_a_choice(self) -> ChoicesSpec:
        if self.base_num_experts not in self.num_experts:
            raise ValueError("base_num_experts must be one of num_experts")
        if len(set(self.num_experts)) != len(self.num_experts):
            raise ValueError("num_experts must not repeat a count")
        return self


@spec
class ArchitectureSpec:
    """Family of architectures; see :class:`bayesmoe.architecture.Family`. Defaults are Yun's: top-2 in one FFN of two."""

    moe_share: Share = 1.0 / 3.0
    top_k: Annotated[int, Field(ge=1)] = 2
    granularity: Positive = 1.0
    shared_experts: Annotated[float, Field(ge=0)] = 0.0
    width_times_layers: Quantity = Field(default_factory=lambda: Uncertain(median=0.045, log_sd=0.15))
    kv_share: Share = 1.0

    def family(self) -> Family:
        """The family of architectures."""
        return Family(self.moe_share, float(self.top_k), self.granularity, self.shared_experts)


@spec
class ServingSpec:
    """Serving fleet, workload, and how far the latency model may be off."""

    accelerator: AcceleratorName = "A100-SXM-40GB"
    max_gpus: Annotated[int, Field(ge=1, le=1024)] = 8
    price_usd_per_gpu_hour: Quantity
    utilisation: QuantityShare = 1.0
    prompt_tokens: Positive = 161.31
    output_tokens: Positive = 337.99
    bytes_per_weight: Positive = 2.0
    bytes_per_kv_element: Positive = 2.0
    memory_fraction: Share = 0.9
    max_batch: Annotated[int, Field(ge=1)] = 1024
    latency_table: str | None = None
    latency_log_sd: Annotated[float, Field(ge=0)] = 0.35
    latency_log_sd_between_models: Annotated[float, Field(ge=0)] = 0.2

    @model_validator(mode="after")
    def _parts(self) -> ServingSpec:
        if self.latency_log_sd_between_models > self.latency_log_sd:
            raise ValueError("latency_log_sd_between_models is a part of latency_log_sd and must not exceed it")
        return self


@spec
class ToleranceSpec:
    """When two choices are as good as each other, and how sure feasibility must be."""

    loss_nats: Annotated[float, Field(ge=0)] = 0.01
    cost_share: Annotated[float, Field(ge=0)] = 0.05
    probability: Share = 0.9


@spec
class Scenario:
    """Everything a plan needs besides the posterior."""

    training: TrainingSpec
    serving: ServingSpec
    name: str = "unnamed"
    choices: ChoicesSpec = Field(default_factory=ChoicesSpec)
    architecture: ArchitectureSpec = Field(default_factory=ArchitectureSpec)
    tolerance: ToleranceSpec = Field(default_factory=ToleranceSpec)
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _experts_suffice(self) -> Scenario:
        routed = [count for count in self.choices.num_experts if count > 1]
        if routed and self.architecture.top_k > min(routed):
            raise InputError(
                f"must be at most the smallest routed expert count ({min(routed)})",
                column="architecture.top_k",
                value=self.architecture.top_k,
            )
        return self


def read_scenario(path: str | Path) -> Scenario:
    """Read a scenario; a relative ``serving.latency_table`` is taken from the scenario's own folder."""
    found = read_toml(path, Scenario)
    table = found.serving.latency_table
    if table is not None and not Path(table).is_absolute():
        serving = dataclasses.replace(found.serving, latency_table=str(Path(path).parent / table))
        found = dataclasses.replace(found, serving=serving)
    return found


def in_group(scenario: Scenario, group: str | None) -> Scenario:
    """The same scenario for another group of runs; unchanged for None."""
    if group is None:
        return scenario
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, group=group))


def drawn(quantity: Any, size: int | tuple[int, ...], rng: np.random.Generator, *, most: float = np.inf) -> np.ndarray:
    """Draws of a quantity, shape ``size``; at most ``most`` (1 for a share)."""
    if isinstance(quantity, Uncertain | UncertainShare):
        return np.minimum(quantity.median * np.exp(quantity.log_sd * rng.standard_normal(size)), most)
    return np.full(size, min(float(quantity), most))
