"""Designs and how they do over draws: the parts of a decision."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from bayesmoe.decisions.limits import LimitOutcome
from bayesmoe.units import experts, short


class Band(NamedTuple):
    """Median and 90% band of a quantity over draws, in the order of :data:`bayesmoe.units.QUANTILES`; NaN where unknown."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """Take three numbers."""
        low, median, high = (float(value) for value in values)
        return cls(low, median, high)


UNKNOWN = Band(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Design:
    """One architecture, size and number of training tokens, the same in every draw.

    Attributes
    ----------
    num_experts, top_k, granularity : number
        Routed experts of an MoE layer, 1 for dense; experts of a token; d_ff over the width of an expert.
    n_dense, n_active, n_total : float
        Backbone, active and total parameters, without embeddings.
    tokens : float
        Training tokens.
    """

    num_experts: int
    top_k: int
    granularity: float
    n_dense: float
    n_active: float
    n_total: float
    tokens: float

    @property
    def tokens_per_total_parameter(self) -> float:
        """Training tokens for each parameter, of all experts."""
        return self.tokens / self.n_total

    def __str__(self) -> str:
        return f"{experts(self.num_experts)}, {short(self.n_dense, 3)} backbone parameters, {short(self.tokens, 3)} tokens"


@dataclass(frozen=True)
class TrainingOutcome:
    """Training of one design, over the draws in which some layout fits.

    Attributes
    ----------
    gpu_hours, mfu : Band
        GPU-hours; model FLOP over the peak in bfloat16.
    days, kwh, co2_kg : Band or None
        Days of the cluster; energy; carbon dioxide. None where the scenario does not let one know.
    layout : str
        The commonest layout on the cluster, in words; empty without a cluster, at an MFU that is given, or where nothing fits.
    reason : str
        Why nothing fits; empty where something does.
    """

    gpu_hours: Band
    mfu: Band
    days: Band | None
    kwh: Band | None
    co2_kg: Band | None
    layout: str
    reason: str


@dataclass(frozen=True)
class DesignOutcome:
    """The best design of one expert count over all draws.

    Attributes
    ----------
    design : Design
        Lowest expected objective of those that keep their constraints with the scenario's probability; without any, the one that comes closest.
    p_feasible : float
        Probability that it keeps every constraint.
    meets_probability : bool
        Whether that reaches the scenario's threshold.
    objective : mapping of float
        By :data:`bayesmoe.decisions.recommendation.MEASURES`, in the unit of the problem's objective.
    loss, serving_usd_per_million_tokens, train_usd : Band
        Nats per token; USD per million output tokens; USD.
    training : TrainingOutcome
        GPU-hours, days, energy, MFU and layout.
    lifetime_usd : Band or None
        Training, and serving of the demand; None where the scenario gives no demand.
    loss_difference, cost_difference : Band
        Draw by draw, less those of the recommended design, or of the closest: nats per token; lifetime cost in USD, or serving cost where there
        is no demand.
    mean_loss, mean_cost : float
        Expected loss; expected lifetime cost in USD, or serving cost where there is no demand.
    total_usd : mapping of float, or None
        Cost with loss and violations at their worth, by measure; None where there is no demand.
    regret_usd : float or None
        Expected excess over the best design of each draw.
    limits : tuple of LimitOutcome
        How each limit does, where no count has a design that keeps all of them with the required probability; empty otherwise.
    quantization_loss : Band or None
        What of the loss serving in fewer bits than in training adds, nats per token; None where it adds nothing.
    """

    design: Design
    p_feasible: float
    meets_probability: bool
    objective: Mapping[str, float]
    loss: Band
    serving_usd_per_million_tokens: Band
    train_usd: Band
    training: TrainingOutcome
    lifetime_usd: Band | None
    loss_difference: Band
    cost_difference: Band
    mean_loss: float
    mean_cost: float
    total_usd: Mapping[str, float] | None
    regret_usd: float | None
    limits: tuple[LimitOutcome, ...] = ()
    quantization_loss: Band | None = None


@dataclass(frozen=True)
class PerDrawOptimum:
    """One expert count where every draw chooses its own size (wait-and-see).

    Attributes
    ----------
    num_experts : int
        The count.
    p_feasible, p_best : float
        Share of draws in which it is feasible, and in which it is the best.
    expected_regret : float
        In the unit of the objective, over the draws where it is feasible.
    near_optimal : bool
        Whether its regret lies within the scenario's tolerance of the least.
    bands : mapping of Band
        Quantities of :data:`bayesmoe.planning.planner.UNITS` over the draws where it is feasible.
    """

    num_experts: int
    p_feasible: float
    p_best: float
    expected_regret: float
    near_optimal: bool
    bands: Mapping[str, Band]
