"""A scenario: the budget, the choices, the serving fleet and what they cost, as read from one TOML file."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from bayesmoe.architecture import Family, Shape, shape_of_size
from bayesmoe.costs.uncertain import Positive, Quantity, Share, Uncertain, median
from bayesmoe.costs.workload import Serving, Training, price_of
from bayesmoe.errors import InputError
from bayesmoe.resources import or_packaged
from bayesmoe.specs import read_toml, spec

_HALF = 0.5


Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


STARTING_COUNTS = (1, 4, 8, 16, 32, 64, 128, 256, 512)
"""Expert counts that are compared where a scenario asks for none."""


@spec
class ChoicesSpec:
    """What there is to choose.

    Parameters
    ----------
    num_experts : tuple of int, optional
        Expert counts. Where left out, :data:`STARTING_COUNTS`, doubled further until the best of every draw lies inside or a limit binds
        (:func:`bayesmoe.planning.planner.plan`).
    baseline_num_experts : int
        The count that sets the thresholds.
    top_k, granularity : tuple, optional
        Experts per token and granularities; the architecture's own where left out.
    group : str, optional
        Group of runs whose law is meant, or "new".
    """

    num_experts: Counts | None = None
    baseline_num_experts: Annotated[int, Field(ge=1)] = 4
    top_k: Counts | None = None
    granularity: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    group: str | None = None

    @model_validator(mode="after")
    def _base_is_a_choice(self) -> ChoicesSpec:
        if self.baseline_num_experts not in self.counts:
            raise ValueError("baseline_num_experts must be one of num_experts")
        for name in ("num_experts", "top_k", "granularity"):
            values = getattr(self, name) or ()
            if len(set(values)) != len(values):
                raise ValueError(f"{name} must not repeat a {'count' if name == 'num_experts' else 'value'}")
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Expert counts, those to start from where none are asked for."""
        return self.num_experts or STARTING_COUNTS


@spec
class ArchitectureSpec:
    """Family of architectures; see :class:`bayesmoe.architecture.Family`. Defaults are Yun's: top-2 in one FFN of two."""

    moe_share: Share = 1.0 / 3.0
    top_k: Annotated[int, Field(ge=1)] = 2
    granularity: Positive = 1.0
    shared_experts: Annotated[float, Field(ge=0)] = 0.0
    width_times_layers: Quantity = Field(default_factory=lambda: Uncertain(median=0.045, log_sd=0.15))
    kv_share: Share = 1.0

    def family(self, top_k: Any = None, granularity: Any = None) -> Family:
        """The family of architectures, with other experts per token or granularity where they are given."""
        top_k, granularity = self.top_k if top_k is None else top_k, self.granularity if granularity is None else granularity
        return Family(self.moe_share, 1.0 * top_k, 1.0 * granularity, self.shared_experts)

    def shape(self, n_dense: float, num_experts: int, top_k: int | None = None, granularity: float | None = None) -> Shape:
        """A shape in whole numbers near a size: experts in every second layer, or in all but the first where they hold more than half."""
        return shape_of_size(
            max(n_dense, 1e6),
            num_experts,
            rule="yun" if self.moe_share < _HALF else "ling",
            top_k=top_k or self.top_k,
            granularity=granularity or self.granularity,
            shared_experts=round(self.shared_experts),
            mu=median(self.width_times_layers),
        )


@spec
class LimitsSpec:
    """Bounds that problems read, and those that hold for every problem.

    Parameters
    ----------
    loss_nats, serving_usd_per_million_tokens : float, optional
        Thresholds of loss and of serving cost; the baseline's at its loss optimum where left out.
    memory_bytes, cached_tokens : float, optional
        Total memory, and the tokens cached beside the weights, of ``memory_limited``.
    n_total_parameters : float, optional
        Total parameters, the same for all, of ``equal_resources``.
    output_tokens_per_s : float, optional
        Demand that the fleet of ``fixed_hardware`` meets.
    unique_tokens, max_epochs : float
        Training tokens of every problem are at most their product.
    constraints : tuple of str
        Expressions that every solution satisfies; see :mod:`bayesmoe.planning.constraints`.
    """

    loss_nats: Positive | None = None
    serving_usd_per_million_tokens: Positive | None = None
    memory_bytes: Positive | None = None
    cached_tokens: Annotated[float, Field(ge=0)] = 0.0
    n_total_parameters: Positive | None = None
    output_tokens_per_s: Positive | None = None
    unique_tokens: Positive | None = None
    max_epochs: Positive = 1.0
    constraints: tuple[str, ...] = ()

    @property
    def most_tokens(self) -> float:
        """Most training tokens; infinite where data are not limited."""
        return float("inf") if self.unique_tokens is None else self.unique_tokens * self.max_epochs


@spec
class ValueSpec:
    """What a loss is worth.

    Parameters
    ----------
    usd_per_nat : float, optional
        USD that a loss lower by one nat is worth; what compute buys it for at the margin where left out.
    """

    usd_per_nat: Positive | None = None


@spec
class ToleranceSpec:
    """When two designs are equally good, and with which probability a design must meet its constraints."""

    loss_nats: Annotated[float, Field(ge=0)] = 0.01
    cost_share: Annotated[float, Field(ge=0)] = 0.05
    probability: Share = 0.9


class Candidate(NamedTuple):
    """An architecture to choose, up to its size.

    Attributes
    ----------
    num_experts, top_k, granularity : number
        E, K and G.
    """

    num_experts: int
    top_k: int
    granularity: float


@spec
class Scenario:
    """Everything a plan needs besides the posterior.

    Examples
    --------
    >>> scenario = bm.Scenario(
    ...     training=bm.Training(budget_flop=5e21),
    ...     serving=bm.Serving(accelerator="H100-SXM"),
    ...     choices={"num_experts": (1, 8, 32), "baseline_num_experts": 8},
    ... )
    """

    training: Training
    serving: Serving
    name: str = "unnamed"
    choices: ChoicesSpec = Field(default_factory=ChoicesSpec)
    architecture: ArchitectureSpec = Field(default_factory=ArchitectureSpec)
    limits: LimitsSpec = Field(default_factory=LimitsSpec)
    value: ValueSpec = Field(default_factory=ValueSpec)
    tolerance: ToleranceSpec = Field(default_factory=ToleranceSpec)
    problems: Annotated[tuple[str, ...], Field(min_length=1)] = ("cheapest_serving", "lowest_loss")
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _experts_suffice(self) -> Scenario:
        routed = [count for count in self.choices.counts if count > 1]
        fewest = min(self.choices.top_k or (self.architecture.top_k,))
        if routed and fewest > min(routed):
            raise InputError(
                f"must be at most the smallest routed expert count ({min(routed)})",
                column="choices.top_k" if self.choices.top_k else "architecture.top_k",
                value=fewest,
            )
        return self

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every architecture to choose from, by expert count; a dense model has no experts per token and no granularity to choose."""
        choices, own = self.choices, self.architecture
        variants = list(itertools.product(choices.top_k or (own.top_k,), choices.granularity or (own.granularity,)))
        return tuple(
            Candidate(count, top_k, granularity)
            for count in choices.counts
            for top_k, granularity in (variants if count > 1 else variants[:1])
            if top_k <= count or count == 1
        )


DEMAND_HINT = "say how many output tokens will be served in all, such as { median = 1e13, log_sd = 0.5 }"
"""What to do where a cost needs ``serving.lifetime_tokens``."""

SECTIONS = ("training", "serving", "choices", "architecture", "limits", "value", "tolerance", "problems")
"""Keys of a scenario that a complaint may be about."""

_OTHERS = {
    "data": ("is a model spec, not a scenario", "give it to `bayesmoe fit`; see models/scenarios/ for scenarios"),
    "num_layers": ("is an architecture, not a scenario", "give it to `bayesmoe cost`, before the scenario"),
}


def read_scenario(path: str | Path) -> Scenario:
    """Read a scenario, or the packaged one of that name; files that it names (latency table, calibration, accelerators) are taken from its own folder.

    Examples
    --------
    >>> bm.read_scenario("yun-2024").training.budget_flop
    5.15e+21
    """
    path = or_packaged(path, "scenarios")
    found, folder = read_toml(path, Scenario, others=_OTHERS), Path(path).parent

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


def with_counts(scenario: Scenario, counts: tuple[int, ...]) -> Scenario:
    """The same scenario with these expert counts."""
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, num_experts=counts))


def in_group(scenario: Scenario, group: str | None) -> Scenario:
    """The same scenario for another group of runs; unchanged for None."""
    if group is None:
        return scenario
    return dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, group=group))
