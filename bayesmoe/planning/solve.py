"""Every problem under every draw: each draw's own best size of each architecture, and how fixed sizes do over all draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.planning.blocks import over_draws
from bayesmoe.planning.constraints import constraint
from bayesmoe.planning.design_costs import bought_surely, trained_in_time
from bayesmoe.planning.distance_grid import LARGEST, SMALLEST
from bayesmoe.planning.limits import Kept, kept_limits
from bayesmoe.planning.outcomes import ConstraintLevels, DesignOutcomes, FixedDesigns, Optimum, PerDrawOptima
from bayesmoe.planning.problems import Problem, Thresholds
from bayesmoe.planning.quantities import ROUNDING, Quantities
from bayesmoe.planning.scenario import MOST_TOKENS_PER_PARAMETER
from bayesmoe.planning.search import argmin_last, best_local_minimum, refine
from bayesmoe.planning.surface import DesignSurface

SIZES = 640
"""Sizes of the even grid in ln size on which every architecture is tried."""

_EDGE = 1e-3
_SLACK = 1e-15
"""A threshold that is a candidate's own loss is met in spite of rounding, in double precision."""

_COARSE = 24
"""Halvings for tokens on the grid."""


def grid() -> np.ndarray:
    """ln sizes, shape (G,)."""
    return np.linspace(np.log(SMALLEST), np.log(LARGEST), SIZES)


@dataclass(frozen=True)
class Solver:
    """Solves problems on the surfaces of one plan, block by block of draws.

    Parameters
    ----------
    laws : tuple of DesignSurface
        Surfaces of one scenario, by law.
    problems : tuple of Problem
        What is asked.
    probability : float
        Probability with which a fixed design must meet its constraints.
    all_minima : bool
        Whether all local minima of a cost are looked at, and not the first alone.
    """

    laws: tuple[DesignSurface, ...]
    problems: tuple[Problem, ...]
    probability: float
    all_minima: bool = True

    def levels(self) -> list[ConstraintLevels]:
        """Thresholds of every draw, by law."""
        return [over_draws(_levels, self.problems, here, ()) for here in self.laws]

    def solve(self, levels: list[ConstraintLevels]) -> tuple[PerDrawOptima, list[FixedDesigns]]:
        """Each draw's own optima, and of every problem how fixed sizes do; draws of all laws one after the other."""
        everywhere = np.broadcast_to(grid(), (self.laws[0].shape[1], SIZES))
        tokens = [self.fixed_tokens(problem, everywhere, levels) for problem in self.problems]
        solutions, sums = [], []
        for here, own in zip(self.laws, levels, strict=True):
            places, summed = over_draws(_coarse_search, self.problems, here, own, tokens, single_precision=True)
            sums.append(summed)
            solutions.append(over_draws(_refined if self.all_minima else _first_minimum, self.problems, here, (own, places)))
        found: PerDrawOptima = jax.tree.map(lambda *parts: np.concatenate(parts), *solutions)
        fixed = []
        for number in range(len(self.problems)):
            total, finite, met = (sum(law[number][i].sum(axis=0, dtype=float) for law in sums) for i in range(3))
            with np.errstate(invalid="ignore", divide="ignore"):
                fixed.append(FixedDesigns(total / finite, met / len(found.usd_per_nat)))
        return found, fixed

    def fixed_tokens(self, problem: Problem, ln_size: Any, levels: list[ConstraintLevels]) -> Any:
        """Training tokens of fixed sizes, shape (K, M) as that of the sizes.

        The budget's in FLOP; of another budget what it buys, and where the loss threshold decides what reaches it, with the scenario's probability.
        """
        sure = self.probability
        if problem.spends_budget:
            return np.asarray(bought_surely(self.laws, sure).tokens(jnp.asarray(ln_size)[None])[0])
        pairs = zip(self.laws, levels, strict=True)
        each = np.concatenate([over_draws(_needed, self.problems, here, own, ln_size) for here, own in pairs])
        # An order statistic in place of a quantile between draws: the median of two would be infinite with one of them.
        at = min(int(np.ceil(sure * len(each))), len(each)) - 1
        return np.partition(each, at, axis=0)[at]

    def options(self, ln_sizes: list[Any], tokens: list[Any], levels: list[ConstraintLevels]) -> list[DesignOutcomes]:
        """By problem, how fixed options do in every draw; sizes and tokens of shape (K, M), the same for all draws."""
        pairs = zip(self.laws, levels, strict=True)
        found = [over_draws(_evaluated, self.problems, here, own, (ln_sizes, tokens)) for here, own in pairs]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *found)

    def limits(self, ln_sizes: list[Any], tokens: list[Any], levels: list[ConstraintLevels]) -> list[dict[str, Kept]]:
        """By problem, which limits fixed designs keep in every draw; as :meth:`options`, which says whether they keep all."""
        pairs = zip(self.laws, levels, strict=True)
        found = [over_draws(_limited, self.problems, here, own, (ln_sizes, tokens)) for here, own in pairs]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def _levels(problems: tuple[Problem, ...], part: DesignSurface, own: Any, weight: Any, shared: Any) -> ConstraintLevels:
    del problems, own, weight, shared
    limits, optimal = part.scenario.limits, part.loss_optimal()
    low, high = part.brackets()
    # An optimum at the edge of all sizes is none, unless the budget itself or the cluster's memory is the edge.
    bounded = (high < np.log(LARGEST)) | (part.fixed_tokens is not None)
    inside = (optimal > low + _EDGE) & ((optimal < high - _EDGE) | bounded)
    at_optimum = part.quantities(optimal, part.tokens(optimal))
    base = part.scenario.choices.baseline_num_experts
    bases = np.array([k for k, one in enumerate(part.candidates) if one.num_experts == base])
    which = jnp.asarray(bases)[jnp.argmin(at_optimum.loss[:, bases], axis=1)]

    def of_base(values: Any) -> Any:
        return jnp.take_along_axis(values, which[:, None], axis=1)

    loss, serving = of_base(at_optimum.loss), of_base(at_optimum.serving_usd_per_million_tokens)
    if limits.loss_nats is not None:
        loss = jnp.full_like(loss, limits.loss_nats)
    if limits.serving_usd_per_million_tokens is not None:
        serving = jnp.full_like(serving, limits.serving_usd_per_million_tokens)
    worth = of_base(at_optimum.train_usd / part.value_of_compute(optimal))
    return ConstraintLevels(Thresholds(loss, serving), optimal, inside & of_base(inside), worth, at_optimum)


def _needed(problems: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, weight: Any, ln_size: Any) -> Any:
    del problems, weight
    return part.tokens_of_loss(_beside_draws(part, ln_size), levels.thresholds.loss[..., None], halvings=_COARSE)


def _coarse_search(
    problems: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, weight: Any, tokens: list[Any]
) -> Any:
    """Place on the grid of each problem's best size, and sums of how its sizes do when they are fixed; in single precision."""
    part, levels, weight, tokens = jax.tree.map(_single, (part, levels, weight, tokens))
    sizes = _beside_draws(part, grid().astype(np.float32))
    thresholds = Thresholds(*(threshold[..., None] for threshold in levels.thresholds))
    loose = levels.loosened(part.scenario)
    # It depends on no tokens and is the most expensive of all.
    serving = part.serving(sizes)
    on_budget = part.quantities(sizes, part.tokens(sizes), serving)
    places, sums = [], []
    for problem, spent in zip(problems, tokens, strict=True):
        same = problem.spends_budget and part.scenario.training.budget_flop is not None
        fixed = on_budget if same else part.quantities(sizes, _beside_draws(part, spent), serving)
        own = on_budget
        if not problem.spends_budget:
            own = part.quantities(sizes, part.tokens_of_loss(sizes, thresholds.loss, halvings=_COARSE), serving)
        places.append(argmin_last(_judged(part, problem, own, thresholds)))
        met = jnp.isfinite(_judged(part, problem, fixed, loose)) & levels.inside[..., None]
        objective, counted = getattr(fixed, problem.objective), weight[:, None, None]
        finite = jnp.isfinite(objective)
        each = (jnp.where(finite, objective, 0.0), finite, met)
        sums.append(tuple((one * counted).sum(axis=0, keepdims=True) for one in each))
    return places, sums


def _refined(problems: tuple[Problem, ...], part: DesignSurface, own: Any, weight: Any, shared: Any) -> PerDrawOptima:
    """Each problem's best size of each candidate, found between the neighbors of its place on the grid, and what holds there."""
    del weight, shared
    return _solutions(problems, part, own, all_minima=True)


def _first_minimum(problems: tuple[Problem, ...], part: DesignSurface, own: Any, weight: Any, shared: Any) -> PerDrawOptima:
    """The same, and of many local minima the first that is found."""
    del weight, shared
    return _solutions(problems, part, own, all_minima=False)


def _solutions(problems: tuple[Problem, ...], part: DesignSurface, own: Any, *, all_minima: bool) -> PerDrawOptima:
    levels, places = own
    given = [problem.sizes(part) for problem in problems]
    ln_sizes: list[Any] = [jnp.zeros(part.shape) if size is None else size for size in given]
    least: list[Any] = [None] * len(problems)
    searched = [number for number, size in enumerate(given) if size is None]
    jagged = [number for number in searched if problems[number].has_local_minima and all_minima]

    def search(numbers: list[int], find: Any) -> None:
        if not numbers:
            return
        asked = tuple(problems[number] for number in numbers)
        found = find(numbers, lambda ln_size: _values(asked, part, levels, ln_size))
        for at, number in enumerate(numbers):
            ln_sizes[number], least[number] = (each[..., at] for each in found)

    def beside(each: list[Any], numbers: list[int]) -> Any:
        return jnp.stack([each[number] for number in numbers], axis=-1)

    search(
        searched,
        lambda at, value: refine(value, grid(), beside(places, at), jnp.repeat(levels.optimal[..., None], len(at), -1)),
    )
    search(jagged, lambda at, value: best_local_minimum(value, beside(ln_sizes, at), beside(least, at)))
    search(
        [number for number in range(len(problems)) if number not in searched],
        lambda at, value: (sizes := beside(ln_sizes, at), value(sizes[..., None])[..., 0]),
    )
    feasible = [jnp.isfinite(each) & levels.inside for each in least]
    of_draws = Thresholds(*(threshold[:, 0] for threshold in levels.thresholds))
    chosen = _at(problems, part, ln_sizes, levels)
    return PerDrawOptima(levels.at_optimum, of_draws, levels.usd_per_nat[:, 0], chosen, feasible, levels.inside)


def _values(asked: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, ln_size: Any) -> Any:
    """Objective of each of P problems at sizes of its own, shape (S, K, P, M), infinite where a constraint is broken: all sizes in one computation."""
    thresholds = Thresholds(*(threshold[..., None] for threshold in levels.thresholds))
    kept = Thresholds(*(threshold * (1.0 + _SLACK) for threshold in thresholds))
    if ln_size.dtype == jnp.float32:
        part, thresholds = jax.tree.map(_single, (part, thresholds))
        kept = thresholds
    own = [ln_size[:, :, number] for number in range(len(asked))]
    tokens = [problem.tokens(part, each, thresholds) for problem, each in zip(asked, own, strict=True)]
    found = part.quantities(jnp.concatenate(own, axis=-1), jnp.concatenate(tokens, axis=-1))
    parts = _split(found, len(asked))
    return jnp.stack([_judged(part, problem, each, kept) for problem, each in zip(asked, parts, strict=True)], axis=2)


def _split(found: Quantities, count: int) -> list[Quantities]:
    """Quantities of so many problems, which stand beside each other along the last axis."""
    each = found.loss.shape[-1] // count
    return [Quantities(*(leaf[..., at * each : (at + 1) * each] for leaf in found)) for at in range(count)]


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
        kept = {name: getattr(outcomes, name) for name in DesignOutcomes._fields[1:-1]}
        found.append(DesignOutcomes(getattr(outcomes, problem.objective), **kept, met=met))
    return found


def _limited(
    problems: tuple[Problem, ...], part: DesignSurface, levels: ConstraintLevels, weight: Any, shared: Any
) -> list[dict[str, Kept]]:
    """In single precision, as :func:`_evaluated`."""
    del weight
    part, levels, shared = jax.tree.map(_single, (part, levels, shared))
    found = []
    for problem, ln_size, tokens in zip(problems, *shared, strict=True):
        size = _beside_draws(part, ln_size)
        outcomes = part.quantities(size, _beside_draws(part, tokens))
        found.append(kept_limits(problem, part, size, outcomes, levels))
    return found


def _judged(part: DesignSurface, problem: Problem, quantities: Quantities, thresholds: Thresholds) -> Any:
    """The objective, infinite where a constraint is broken or nothing serves the model."""
    met = problem.met(part, quantities, thresholds) & (
        quantities.tokens <= part.scenario.limits.most_tokens * (1.0 + ROUNDING)
    )
    met = met & (quantities.tokens <= MOST_TOKENS_PER_PARAMETER * quantities.n_active * (1.0 + ROUNDING))
    if not problem.spends_budget:
        # Tokens that are the same in every draw reach the loss in some alone.
        met = met & (quantities.loss <= thresholds.loss * (1.0 + ROUNDING))
    if part.fixed_tokens is not None:
        met = met & part.affords(quantities)
    met = met & trained_in_time(part, quantities)
    for text in part.scenario.limits.constraints:
        met = met & constraint(text, Quantities._fields)(quantities._asdict())
    objective = getattr(quantities, problem.objective)
    return jnp.where(met & jnp.isfinite(objective), objective, jnp.inf)


def _at(problems: tuple[Problem, ...], part: DesignSurface, ln_sizes: list[Any], levels: ConstraintLevels) -> list[Optimum]:
    """What holds at a size of each problem, shape (S, K)."""
    tokens = [problem.tokens(part, size, levels.thresholds) for problem, size in zip(problems, ln_sizes, strict=True)]
    together = part.quantities(jnp.stack(ln_sizes, axis=-1), jnp.stack(tokens, axis=-1))
    optima = []
    for problem, ln_size, one in zip(problems, ln_sizes, _split(together, len(problems)), strict=True):
        found, here, reference = Quantities(*(leaf[..., 0] for leaf in one)), part, levels.optimal
        if not problem.spends_budget:
            # Over-training is relative to the loss optimum on what is spent here, not on the budget.
            here = part.spending(jnp.where(jnp.isfinite(spent := part.spent(found)), spent, 1.0))
            reference = here.loss_optimal()
        ratios = found.tokens / here.tokens(reference), jnp.exp(ln_size - reference)
        optima.append(Optimum(found, *ratios, problem.more_quantities(here, found)))
    return optima


def _beside_draws(part: DesignSurface, values: Any) -> Any:
    """Values by size, or by candidate and size, that are the same in every draw, shape (1, K, M)."""
    return jnp.broadcast_to(values, (1, part.shape[1], np.shape(values)[-1]))


def _single(leaf: Any) -> Any:
    return leaf.astype(jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
