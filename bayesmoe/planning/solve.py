"""Every problem under every draw: each draw's own best size of each architecture, and how fixed sizes fare over all draws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.planning.constraints import constraint
from bayesmoe.planning.problems import Problem, Thresholds
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.search import POINTS, argmin_last, best_local_minimum, refine
from bayesmoe.planning.surface import LARGEST, QUANTITIES, SMALLEST, DesignSurface

SIZES = 512
"""Sizes of the even grid in ln size on which every architecture is tried."""

_EDGE = 1e-3
_SLACK, _ROUNDING = 1e-15, 1e-6
"""A bar that is a candidate's own loss is met in spite of rounding, in double and in single precision."""

_COARSE = 24
"""Halvings for tokens on the grid."""

_ELEMENTS = 200_000
"""Sizes computed together: as many as stay in the cache."""


class PerDrawOptima(NamedTuple):
    """Each draw's own answers; arrays of shape (S, K) unless told otherwise.

    Attributes
    ----------
    optimal : dict
        Quantities at the lowest loss on the budget.
    bars : Bars
        Shape (S,).
    usd_per_nat : array
        USD of training that lower the loss by a nat at the margin, at the base's lowest loss; shape (S,).
    chosen : list of dict
        By problem, quantities of the best size, with ``over_training_ratio``, ``size_ratio`` and, where asked, ``efficiency_leverage``.
    feasible : list of array
        By problem, whether there is any.
    inside : array
        Whether the lowest loss on the budget lies inside all sizes considered, and the base's does.
    """

    optimal: dict[str, Any]
    thresholds: Thresholds
    usd_per_nat: Any
    chosen: list[dict[str, Any]]
    feasible: list[Any]
    inside: Any


class FixedDesigns(NamedTuple):
    """How fixed sizes fare over draws; arrays of shape (K, G).

    Attributes
    ----------
    objective : array
        Mean over the draws in which it is finite.
    p_met : array
        Share of draws in which every constraint is met, the bar within the scenario's tolerance.
    """

    objective: Any
    p_met: Any


class DesignOutcomes(NamedTuple):
    """How fixed options fare under every draw; arrays of shape (S, K, M).

    Attributes
    ----------
    objective : array
        The problem's.
    loss, serving_usd_per_million_tokens, train_usd : array
        Quantities; serving is NaN where nothing serves the model.
    met : array of bool
        Whether every constraint is, the base's bar within the scenario's tolerance.
    """

    objective: Any
    loss: Any
    serving_usd_per_million_tokens: Any
    train_usd: Any
    met: Any


def grid() -> np.ndarray:
    """ln sizes, shape (G,)."""
    return np.linspace(np.log(SMALLEST), np.log(LARGEST), SIZES)


class ConstraintLevels(NamedTuple):
    """Where each draw's bars come from.

    Attributes
    ----------
    bars : Bars
        Arrays of shape (S, 1).
    optimal : array, shape (S, K)
        ln size of the lowest loss on the budget.
    inside : array of bool, shape (S, K)
        Whether that lies inside all sizes considered, and the base's does.
    usd_per_nat : array, shape (S, 1)
        See :class:`Solutions`.
    """

    thresholds: Thresholds
    optimal: Any
    inside: Any
    usd_per_nat: Any

    def loosened(self, scenario: Scenario) -> Thresholds:
        """Bars that a fixed choice must meet, shape (S, 1, 1): within the tolerance of the base's own, but those that are given as they are."""
        limits, tolerance = scenario.limits, scenario.tolerance
        loss, serving = (threshold[..., None] for threshold in self.thresholds)
        return Thresholds(
            loss + (tolerance.loss_nats if limits.loss_nats is None else 0.0),
            serving * (1.0 + (tolerance.cost_share if limits.serving_usd_per_million_tokens is None else 0.0)),
        )


@dataclass(frozen=True)
class Solver:
    """Solves problems on the surfaces of one plan, block by block of draws.

    Parameters
    ----------
    laws : tuple of Landscape
        Landscapes of one scenario, by law.
    problems : tuple of Problem
        What is asked.
    probability : float
        How surely a fixed size must meet its bar.
    closely : bool
        Whether all valleys of a cost are looked at, and not the first alone.
    """

    laws: tuple[DesignSurface, ...]
    problems: tuple[Problem, ...]
    probability: float
    all_minima: bool = True

    def levels(self) -> list[ConstraintLevels]:
        """Bars of every draw, by law."""
        return [self._over_draws(_levels, here, ()) for here in self.laws]

    def solve(self, levels: list[ConstraintLevels]) -> tuple[PerDrawOptima, list[FixedDesigns]]:
        """Own answers of every draw, and of every problem how fixed sizes fare; draws of all laws one after the other."""
        everywhere = np.broadcast_to(grid(), (self.laws[0].shape[1], SIZES))
        tokens = [self.fixed_tokens(problem, everywhere, levels) for problem in self.problems]
        solutions, sums = [], []
        for here, own in zip(self.laws, levels, strict=True):
            places, summed = self._over_draws(_coarse_search, here, own, tokens, mapped=_roughly_mapped)
            sums.append(summed)
            solutions.append(self._over_draws(_refined if self.all_minima else _first_minimum, here, (own, places)))
        found: PerDrawOptima = jax.tree.map(lambda *parts: np.concatenate(parts), *solutions)
        fixed = []
        for number in range(len(self.problems)):
            total, finite, met = (sum(law[number][i].sum(axis=0, dtype=float) for law in sums) for i in range(3))
            with np.errstate(invalid="ignore", divide="ignore"):
                fixed.append(FixedDesigns(total / finite, met / len(found.usd_per_nat)))
        return found, fixed

    def fixed_tokens(self, problem: Problem, ln_size: Any, levels: list[ConstraintLevels]) -> Any:
        """Training tokens of fixed sizes, shape (K, M) as that of the sizes.

        The budget's where it is in FLOP; where it is in USD, as many as it buys with the scenario's probability; where the bar of loss decides,
        as many as reach it with that probability.
        """
        first, sure = self.laws[0], self.probability
        if problem.spends_budget:
            budget = np.quantile(np.concatenate([np.ravel(here.budget_flop) for here in self.laws]), 1.0 - sure)
            return np.asarray(first.on_budget(budget).tokens(jnp.asarray(ln_size)[None])[0])
        pairs = zip(self.laws, levels, strict=True)
        each = np.concatenate([self._over_draws(_needed, here, own, ln_size) for here, own in pairs])
        # An order statistic in place of a quantile between draws: an endless number of tokens has no middle.
        at = min(int(np.ceil(sure * len(each))), len(each)) - 1
        return np.partition(each, at, axis=0)[at]

    def options(self, ln_sizes: list[Any], tokens: list[Any], levels: list[ConstraintLevels]) -> list[DesignOutcomes]:
        """By problem, how fixed options fare under every draw; sizes and tokens of shape (K, M), the same for all draws."""
        pairs = zip(self.laws, levels, strict=True)
        found = [self._over_draws(_evaluated, here, own, (ln_sizes, tokens)) for here, own in pairs]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *found)

    def _over_draws(self, function: Any, here: DesignSurface, per_draw: Any, shared: Any = (), *, mapped: Any = None) -> Any:
        """``function(problems, surface, per_draw, shared)`` over blocks of draws; leaves of what it returns are joined along their first axis.

        The last block is filled up with draws that are cut off again; ``function`` finds the weight of each draw, 1 or 0, in ``per_draw``.
        """
        count, candidates = here.shape
        sizes = max([np.size(leaf) for leaf in jax.tree.leaves(shared)], default=candidates * POINTS)
        block = max(1, min(count, _ELEMENTS // sizes))

        def joined(leaf: Any) -> Any:
            leaf = np.asarray(leaf)
            return leaf.reshape(-1, *leaf.shape[2:])[: count if leaf.shape[1] == block else None]

        return jax.tree.map(joined, (mapped or _mapped)(function, self.problems, block, here, per_draw, shared))


def _blockwise(
    function: Any, problems: tuple[Problem, ...], block: int, here: DesignSurface, per_draw: Any, shared: Any
) -> Any:
    count = here.shape[0]
    blocks = -(-count // block)
    rows = jnp.minimum(jnp.arange(blocks * block), count - 1)
    weight = (jnp.arange(blocks * block) < count).astype(float)

    def cut(leaf: Any) -> Any:
        return jnp.asarray(leaf)[rows].reshape(blocks, block, *jnp.shape(leaf)[1:])

    def one(part: Any) -> Any:
        draws, own, counted = part
        return function(problems, replace(here, **draws), own, counted, shared)

    taken = jax.tree.map(cut, (here.draws, per_draw))
    return jax.lax.map(one, (*taken, weight.reshape(blocks, block)))


_WIDE = {"xla_cpu_prefer_vector_width": 512}
_LOOSE = {"xla_cpu_enable_fast_math": True, "xla_cpu_fast_math_honor_nans": True, "xla_cpu_fast_math_honor_infs": True}
_mapped = jax.jit(_blockwise, static_argnums=(0, 1, 2), compiler_options=_WIDE)
_roughly_mapped = jax.jit(_blockwise, static_argnums=(0, 1, 2), compiler_options=_WIDE | _LOOSE)
"""For places on a grid, in single precision: sums may be added in another order there."""


def _levels(problems: tuple[Problem, ...], part: DesignSurface, own: Any, weight: Any, shared: Any) -> ConstraintLevels:
    del problems, own, weight, shared
    limits, optimal = part.scenario.limits, part.loss_optimal()
    low, high = part.brackets()
    # An optimum at the edge of all sizes is none, unless the budget itself is the edge.
    inside = (optimal > low + _EDGE) & ((optimal < high - _EDGE) | (part.fixed_tokens is not None))
    at_optimum = part.quantities(optimal, part.tokens(optimal))
    base = part.scenario.choices.baseline_num_experts
    bases = np.array([k for k, one in enumerate(part.candidates) if one.num_experts == base])
    which = jnp.asarray(bases)[jnp.argmin(at_optimum["loss"][:, bases], axis=1)]

    def of_base(values: Any) -> Any:
        return jnp.take_along_axis(values, which[:, None], axis=1)

    loss, serving = of_base(at_optimum["loss"]), of_base(at_optimum["serving_usd_per_million_tokens"])
    if limits.loss_nats is not None:
        loss = jnp.full_like(loss, limits.loss_nats)
    if limits.serving_usd_per_million_tokens is not None:
        serving = jnp.full_like(serving, limits.serving_usd_per_million_tokens)
    worth = of_base(at_optimum["train_usd"] / part.value_of_compute(optimal))
    return ConstraintLevels(Thresholds(loss, serving), optimal, inside & of_base(inside), worth)


def _needed(problems: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, weight: Any, ln_size: Any) -> Any:
    del problems, weight
    return part.tokens_of_loss(_beside_draws(part, ln_size), levels.thresholds.loss[..., None], halvings=_COARSE)


def _coarse_search(
    problems: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, weight: Any, tokens: list[Any]
) -> Any:
    """Place on the grid of each problem's best size, and sums of how its sizes fare when they are fixed; in single precision."""
    part, levels, weight, tokens = jax.tree.map(_single, (part, levels, weight, tokens))
    sizes = _beside_draws(part, grid().astype(np.float32))
    thresholds = Thresholds(*(threshold[..., None] for threshold in levels.thresholds))
    loose = levels.loosened(part.scenario)
    on_budget = part.quantities(sizes, part.tokens(sizes))
    places, sums = [], []
    for problem, spent in zip(problems, tokens, strict=True):
        same = problem.spends_budget and part.scenario.training.budget_flop is not None
        fixed = on_budget if same else part.quantities(sizes, _beside_draws(part, spent))
        own = on_budget
        if not problem.spends_budget:
            own = part.quantities(sizes, part.tokens_of_loss(sizes, thresholds.loss, halvings=_COARSE))
        places.append(argmin_last(_judged(part, problem, own, thresholds)))
        met = jnp.isfinite(_judged(part, problem, fixed, loose)) & levels.inside[..., None]
        finite, counted = jnp.isfinite(fixed[problem.objective]), weight[:, None, None]
        each = (jnp.where(finite, fixed[problem.objective], 0.0), finite, met)
        sums.append(tuple((one * counted).sum(axis=0, keepdims=True) for one in each))
    return places, sums


def _refined(problems: tuple[Problem, ...], part: DesignSurface, own: Any, weight: Any, shared: Any) -> PerDrawOptima:
    """Each problem's best size of each candidate, found between the neighbors of its place on the grid, and what holds there."""
    del weight, shared
    return _solutions(problems, part, own, all_minima=True)


def _first_minimum(problems: tuple[Problem, ...], part: DesignSurface, own: Any, weight: Any, shared: Any) -> PerDrawOptima:
    """The same, and of many valleys the first that is found."""
    del weight, shared
    return _solutions(problems, part, own, all_minima=False)


def _solutions(problems: tuple[Problem, ...], part: DesignSurface, own: Any, *, all_minima: bool) -> PerDrawOptima:
    levels, places = own
    thresholds = Thresholds(*(threshold[..., None] for threshold in levels.thresholds))
    tight = Thresholds(*(threshold * (1.0 + _SLACK) for threshold in thresholds))
    chosen, feasible = [], []
    for problem, place in zip(problems, places, strict=True):

        def value(ln_size: Any, problem: Problem = problem) -> Any:
            in_single = ln_size.dtype == jnp.float32
            here, beside, kept = (
                jax.tree.map(_single, (part, thresholds, thresholds)) if in_single else (part, thresholds, tight)
            )
            return _judged(here, problem, here.quantities(ln_size, problem.tokens(here, ln_size, beside)), kept)

        ln_size = problem.sizes(part)
        if ln_size is None:
            ln_size, least = refine(value, grid(), place, levels.optimal)
            if problem.has_local_minima and all_minima:
                ln_size, least = best_local_minimum(value, ln_size, least)
        else:
            least = value(ln_size[..., None])[..., 0]
        chosen.append(_at(part, problem, ln_size, levels))
        feasible.append(jnp.isfinite(least) & levels.inside)
    optimal = part.quantities(levels.optimal, part.tokens(levels.optimal))
    of_draws = Thresholds(*(threshold[:, 0] for threshold in levels.thresholds))
    return PerDrawOptima(optimal, of_draws, levels.usd_per_nat[:, 0], chosen, feasible, levels.inside)


def _evaluated(
    problems: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, weight: Any, shared: Any
) -> list[DesignOutcomes]:
    """In single precision, in which options are kept too: they are compared to a few digits."""
    del weight
    part, levels, shared = jax.tree.map(_single, (part, levels, shared))
    loose, found = levels.loosened(part.scenario), []
    for problem, ln_size, tokens in zip(problems, *shared, strict=True):
        outcomes = part.quantities(_beside_draws(part, ln_size), _beside_draws(part, tokens))
        met = jnp.isfinite(_judged(part, problem, outcomes, loose)) & levels.inside[..., None]
        told = ("loss", "serving_usd_per_million_tokens", "train_usd")
        loss, serving, train = (outcomes[name] for name in told)
        found.append(DesignOutcomes(outcomes[problem.objective], loss, serving, train, met))
    return found


def _judged(part: DesignSurface, problem: Problem, quantities: dict[str, Any], thresholds: Thresholds) -> Any:
    """The objective, infinite where a constraint is broken or nothing serves the model."""
    met = problem.met(part, quantities, thresholds) & (
        quantities["tokens"] <= part.scenario.limits.most_tokens * (1.0 + _ROUNDING)
    )
    if part.fixed_tokens is not None:
        met = met & part.affords(quantities["train_flop"])
    for text in part.scenario.limits.constraints:
        met = met & constraint(text, tuple(QUANTITIES))(quantities)
    objective = quantities[problem.objective]
    return jnp.where(met & jnp.isfinite(objective), objective, jnp.inf)


def _at(part: DesignSurface, problem: Problem, ln_size: Any, levels: ConstraintLevels) -> dict[str, Any]:
    found = part.quantities(ln_size, problem.tokens(part, ln_size, levels.thresholds))
    reference = levels.optimal
    if not problem.spends_budget:
        # Over-training is told against the best use of what is spent here, not of the budget.
        part = part.on_budget(jnp.where(jnp.isfinite(found["train_flop"]), found["train_flop"], 1.0))
        reference = part.loss_optimal()
    found["over_training_ratio"] = found["tokens"] / part.tokens(reference)
    found["size_ratio"] = jnp.exp(ln_size - reference)
    return found | problem.more_quantities(part, found)


def _beside_draws(part: DesignSurface, values: Any) -> Any:
    """Values by size, or by candidate and size, that are the same in every draw, shape (1, K, M)."""
    return jnp.broadcast_to(values, (1, part.shape[1], np.shape(values)[-1]))


def _single(leaf: Any) -> Any:
    return leaf.astype(jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
