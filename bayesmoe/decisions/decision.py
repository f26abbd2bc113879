"""A decision as a noun: the recommended design, how sure it is, what else is as good, and what would change it."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import xarray as xr

from bayesmoe.architecture import Shape
from bayesmoe.decisions.text import facts, headline
from bayesmoe.planning.problems import Problem
from bayesmoe.planning.scenario import Scenario
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

    def __str__(self) -> str:
        return f"{experts(self.num_experts)}, {short(self.n_dense, 3)} backbone parameters, {short(self.tokens, 3)} tokens"


@dataclass(frozen=True)
class DesignOutcome:
    """The best design of one expert count over all draws.

    Attributes
    ----------
    design : Design
        Lowest expected objective of those that keep their constraints with the scenario's probability; without any, the most probable.
    p_feasible : float
        Probability that it keeps every constraint.
    meets_probability : bool
        Whether that reaches the scenario's threshold.
    objective : mapping of float
        By :data:`bayesmoe.decisions.recommendation.MEASURES`, in the unit of the problem's objective.
    loss, serving_usd_per_million_tokens, train_usd : Band
        Nats per token; USD per million output tokens; USD.
    lifetime_usd : Band or None
        Training, and serving of the demand; None where the scenario gives no demand.
    mean_loss, mean_cost : float
        Expected loss; expected lifetime cost in USD, or serving cost where there is no demand.
    total_usd : mapping of float, or None
        Cost with loss and violations at their worth, by measure; None where there is no demand.
    regret_usd : float or None
        Expected excess over the best design of each draw.
    """

    design: Design
    p_feasible: float
    meets_probability: bool
    objective: Mapping[str, float]
    loss: Band
    serving_usd_per_million_tokens: Band
    train_usd: Band
    lifetime_usd: Band | None
    mean_loss: float
    mean_cost: float
    total_usd: Mapping[str, float] | None
    regret_usd: float | None


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


class BreakEven(NamedTuple):
    """Output tokens served from which on another expert count costs least; the band is that of single draws."""

    from_num_experts: int
    to_num_experts: int
    tokens: float
    band: Band


class PublishedSetting(NamedTuple):
    """Learning rate (1) and batch (tokens) of one paper's law for the recommended design, and which inputs it extrapolates."""

    learning_rate: Band
    batch_tokens: Band
    outside: str


@dataclass(frozen=True)
class Advice:
    """What would change a decision, and how to train its design.

    Attributes
    ----------
    evppi_usd : mapping of float
        Value of knowing each uncertain input and, under "law", which law holds; empty where the scenario gives no demand.
    num_experts_at_min_demand : int or None
        Count of least expected cost at the least demand; None where no design is feasible, or without demand.
    break_even : tuple of BreakEven
        Demands at which another count costs least, increasing.
    settings : mapping of PublishedSetting
        By paper; empty where there is no recommended design.
    learning_rate_log_sd, batch_tokens_log_sd : float
        Spread of ln between papers.
    without_law : mapping of Decision
        The decision without each law of an average; empty for one law.
    """

    evppi_usd: Mapping[str, float] = field(default_factory=dict)
    num_experts_at_min_demand: int | None = None
    break_even: tuple[BreakEven, ...] = ()
    settings: Mapping[str, PublishedSetting] = field(default_factory=dict)
    learning_rate_log_sd: float = math.nan
    batch_tokens_log_sd: float = math.nan
    without_law: Mapping[str, Decision] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """The answer to one planning problem.

    Attributes
    ----------
    problem, scenario : Problem, Scenario
        The question.
    recommended_num_experts : int or None
        Count of the recommended design; None where no design keeps its constraints with the scenario's probability.
    recommended_by_measure : mapping of int or None
        The same by every measure of the objective, such as its tail.
    per_draw_num_experts : int or None
        Count of least expected regret where each draw chooses its own size.
    designs, optima : tuple
        By expert count, in the scenario's order.
    p_any_feasible, p_optimum_inside : float
        Probability that any count is feasible; largest probability that the loss optimum lies inside the sizes considered.
    usd_per_nat, evpi_usd : float or None
        Worth of a nat per token; expected opportunity loss of deciding now (expected value of perfect information). None without demand.
    extrapolation : mapping of float
        Times the largest run, by column of the run table; empty where the fit was not given.
    advice : Advice
        What would change it.
    """

    problem: Problem
    scenario: Scenario
    recommended_num_experts: int | None
    recommended_by_measure: Mapping[str, int | None]
    per_draw_num_experts: int | None
    designs: tuple[DesignOutcome, ...]
    optima: tuple[PerDrawOptimum, ...]
    p_any_feasible: float
    p_optimum_inside: float
    usd_per_nat: float | None
    evpi_usd: float | None
    extrapolation: Mapping[str, float]
    advice: Advice

    @property
    def outcome(self) -> DesignOutcome | None:
        """Outcome of the recommended design."""
        return next((one for one in self.designs if one.design.num_experts == self.recommended_num_experts), None)

    @property
    def recommended(self) -> Design | None:
        """The recommended design."""
        return self.outcome and self.outcome.design

    @property
    def shape(self) -> Shape | None:
        """A transformer of the recommended size."""
        design = self.recommended
        if design is None:
            return None
        return self.scenario.architecture.shape(design.n_dense, design.num_experts, design.top_k, design.granularity)

    @property
    def most_probable(self) -> DesignOutcome:
        """The design that keeps its constraints with the highest probability."""
        return max(self.designs, key=lambda one: one.p_feasible)

    @property
    def threshold(self) -> float:
        """Probability with which a design must keep its constraints."""
        return self.scenario.tolerance.probability

    @property
    def near_optimal(self) -> tuple[int, ...]:
        """Expert counts whose regret lies within the tolerance, where each draw chooses its own size."""
        return tuple(one.num_experts for one in self.optima if one.near_optimal)

    def optimum(self, num_experts: int) -> PerDrawOptimum:
        """Per-draw optimum of an expert count."""
        return next(one for one in self.optima if one.num_experts == num_experts)

    @property
    def p_best_is_largest(self) -> float:
        """Share of draws whose best expert count is the largest of several compared: theirs may lie beyond."""
        return max(self.optima, key=lambda one: one.num_experts).p_best if len(self.optima) > 1 else 0.0

    @property
    def goal(self) -> str:
        """What the design must be, after "is"."""
        return self.problem.goal(self.scenario)

    def __str__(self) -> str:
        lines = [headline(self), *(f"{key}: {fact}" for key, fact in facts(self).items())]
        wrapped = (textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="    ") for line in lines)
        return "\n".join([self.problem.title, *wrapped])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = (f"<tr><th>{html.escape(key)}</th><td>{html.escape(fact)}</td></tr>" for key, fact in facts(self).items())
        title = f"{html.escape(self.problem.title)}. {html.escape(headline(self))}"
        return f"<table><caption>{title}</caption><tbody>{''.join(rows)}</tbody></table>"


class Decisions(tuple[Decision, ...]):
    """Decisions of a plan, in its order of problems; readable in a terminal and in a notebook."""

    risk: xr.Dataset
    """The :func:`bayesmoe.decisions.risk.risk` that they were made from, for the figures."""

    def __new__(cls, decisions: Iterable[Decision], risk: xr.Dataset) -> Self:
        """Join decisions and their risk."""
        made = super().__new__(cls, tuple(decisions))
        made.risk = risk
        return made

    @property
    def extrapolation(self) -> dict[str, float]:
        """Times the largest run, worst over problems."""
        names = {name: None for one in self for name in one.extrapolation}
        return {name: max(one.extrapolation.get(name, 0.0) for one in self) for name in names}

    def __repr__(self) -> str:
        return "\n\n".join(map(str, self))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self)
