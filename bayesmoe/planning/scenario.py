"""A scenario: the budget, the choices, the serving fleet and what they cost, as read from one TOML file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from bayesmoe.architecture import Family, Shape, shape_of_size
from bayesmoe.costs.quantity import Positive, Quantity, Share, Uncertain, middle
from bayesmoe.costs.workload import ServingSpec, TrainingSpec, price_of
from bayesmoe.errors import InputError
from bayesmoe.specs import read_toml, spec

_HALF = 0.5


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

    def shape(self, n_dense: float, num_experts: int) -> Shape:
        """A shape in whole numbers near a size: experts in every second layer, or in all but the first where they hold more than half."""
        return shape_of_size(
            max(n_dense, 1e6),
            num_experts,
            rule="yun" if self.moe_share < _HALF else "ling",
            top_k=self.top_k,
            granularity=self.granularity,
            shared_experts=round(self.shared_experts),
            mu=middle(self.width_times_layers),
        )


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
    """Read a scenario; files that it names (latency table, calibration, accelerators) are taken from its own folder."""
    found, folder = read_toml(path, Scenario), Path(path).parent

    def here(part: Any, *keys: str) -> Any:
        named = {key: getattr(part, key) for key in keys}
        # An absolute path swallows the folder before it.
        return dataclasses.replace(part, **{key: str(folder / file) for key, file in named.items() if file is not None})

    def priced(part: Any) -> Any:
        # A plan outlives the file that an accelerator came from.
        return dataclasses.replace(part, price_usd_per_gpu_hour=price_of(part))

    serving, training = here(found.serving, "latency_table", "calibration"), found.training
    serving, training = (
        priced(here(part, "accelerator")) if part.accelerator.endswith(".toml") else part for part in (serving, training)
    )
    return dataclasses.replace(found, serving=serving, training=training)


def in_group(scenario: Scenario, group: str | None) -> Scenario:
    """The same scenario for another group of runs; unchanged for None."""
    if group is None:
        return scenario
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, group=group))
