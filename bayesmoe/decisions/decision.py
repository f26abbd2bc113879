"""A decision as a noun: the recommended design, how sure it is, what else is as good, and what would change it."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import xarray as xr

from bayesmoe.architecture import Shape
from bayesmoe.decisions.capability import capability_caution
from bayesmoe.decisions.outcome import Band, Design, DesignOutcome, PerDrawOptimum
from bayesmoe.decisions.text import facts, headline
from bayesmoe.planning.problems import Problem
from bayesmoe.planning.scenario import Scenario

_HEADS_SHARED_BY = 8
"""GPUs of a node: tensor parallelism splits heads evenly over them."""

_SMALLEST_SHARED = 3e8
"""Backbone parameters below which a model is not split."""


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
    closest_num_experts : int
        Count of the recommended design or, where there is none, of the one that comes closest.
    tied : tuple of int
        Counts that Monte Carlo error cannot tell from the recommended one, itself among them; empty where there is none.
    per_draw_num_experts : int or None
        Count of least expected regret where each draw chooses its own size.
    designs, optima : tuple
        By expert count, in the scenario's order.
    p_any_feasible, p_optimum_inside : float
        Probability that any count is feasible; largest probability that the loss optimum lies inside the sizes considered.
    counts_end : str
        Why no larger count was compared, see :class:`bayesmoe.planning.store.PlanInfo`.
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
    closest_num_experts: int
    tied: tuple[int, ...]
    per_draw_num_experts: int | None
    designs: tuple[DesignOutcome, ...]
    optima: tuple[PerDrawOptimum, ...]
    p_any_feasible: float
    p_optimum_inside: float
    counts_end: str
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
        """A transformer of the recommended size, whose heads the GPUs of a node can share."""
        design = self.recommended
        if design is None:
            return None
        parallel = _HEADS_SHARED_BY if design.n_dense >= _SMALLEST_SHARED else 1
        variant = design.num_experts, design.top_k, design.granularity
        return self.scenario.architecture.shape(design.n_dense, *variant, parallel=parallel)

    @property
    def closest(self) -> DesignOutcome:
        """The recommended design or, where there is none, the one that comes closest (:func:`bayesmoe.planning.best_designs.closest`)."""
        own = self.recommended_num_experts or self.closest_num_experts
        return next(one for one in self.designs if one.design.num_experts == own)

    @property
    def capability_caution(self) -> str:
        """What the loss does not say of that design (:func:`bayesmoe.decisions.capability.capability_caution`); empty where there is nothing."""
        return capability_caution(self.closest.design)

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
    def main(self) -> Decision:
        """The decision of the scenario's goal, by default that of its first problem."""
        return next((one for one in self if one.problem.name == one.scenario.goal), self[0])

    @property
    def goal_first(self) -> tuple[Decision, ...]:
        """All decisions, that of the goal first."""
        return (self.main, *(one for one in self if one is not self.main))

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
