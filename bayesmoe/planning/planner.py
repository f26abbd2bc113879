"""A plan: every planning problem solved under every posterior draw, as one Dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training_budget import Training
from bayesmoe.inference.ensemble import components, most_experts
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws.repetition import Repeated
from bayesmoe.planning.best_designs import closest, with_limits
from bayesmoe.planning.build_surface import inputs, surfaces
from bayesmoe.planning.outcomes import ConstraintLevels, DesignOutcomes, FixedDesigns, PerDrawOptima
from bayesmoe.planning.plausible import require_plausible
from bayesmoe.planning.precision_draws import quantized_at_a_loss
from bayesmoe.planning.problems import Problem, asked_problems
from bayesmoe.planning.quantities import QUANTITIES, Quantities
from bayesmoe.planning.scenario import Scenario, with_counts
from bayesmoe.planning.solve import Solver, grid
from bayesmoe.planning.store import PlanInfo, fingerprint
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.precision import in_float64

UNITS = {
    **QUANTITIES,
    "over_training_ratio": "tokens / loss-optimal tokens",
    "size_ratio": "size / loss-optimal size",
    "efficiency_leverage": "dense FLOP / FLOP at equal loss",
}
_AT_OPTIMUM = (
    "n_dense",
    "n_active",
    "n_total",
    "tokens",
    "loss",
    "serving_usd_per_million_tokens",
    "train_flop",
    "train_usd",
)
_FARTHEST = 8
"""Expert counts are added up to so many times the largest that was trained."""

_MOST_AT_LARGEST = 0.01
"""Share of draws whose best count may be the largest before larger ones are added."""

_AROUND, _AMONG = 2, 9
"""Options of each architecture: sizes to either side of the best fixed one on the grid, and quantiles of what draws find best."""


@in_float64
def plan(fit: xr.DataTree, scenario: Scenario, *, allow_failed: bool = False, sketch: int | None = None) -> xr.Dataset:
    """Solve the scenario's planning problems under every draw.

    Where the scenario lists no expert counts, those compared are doubled until the largest is the best in at most 1% of the draws of every
    problem, or is eight times the largest that was trained.

    Parameters
    ----------
    fit : DataTree
        A fit of a law with an expert term, or of several averaged.
    scenario : Scenario
        Budget, choices, fleet, problems.
    allow_failed : bool
        Whether to plan on a fit that failed its gate; the verdict is stored with the plan either way.
    sketch : int, optional
        Answer from this many draws at most, evenly spaced over the posterior, and where a cost has many local minima take the first one
        found: for a page that answers at once.

    Returns
    -------
    Dataset
        By ``problem``, ``num_experts`` and ``sample``, with the ``law`` of each sample: the quantities of :data:`UNITS` (epochs and lifetimes
        where the scenario speaks of them) at each draw's own solution, with the top_k and granularity that are best there, NaN where ``feasible`` is False. Over-training is
        relative to the loss optimum on what is spent. ``loss_optimal_*`` at each draw's lowest loss on the budget, and whether that lies
        inside all sizes considered; ``threshold`` of each problem, NaN where it has none.
        By ``problem``, ``option`` and ``sample``: ``option_objective``, ``_loss``, ``_quantization_loss`` (where there is any), ``_serving_usd_per_million_tokens``, ``_train_usd``, ``_train_gpu_hours`` and
        ``option_feasible`` of options whose size (``option_n_dense``) and tokens are the same in every draw, in shapes that hardware likes.
        Where no design of a problem keeps its constraints with the required probability, the limits of :func:`bayesmoe.planning.best_designs.with_limits`.
        By ``input`` and ``sample``: ``input_value``, every uncertain number that the plan depends on.

    Raises
    ------
    InputError
        The fit failed its gate, or has none; the scenario says what nobody means (:mod:`bayesmoe.planning.plausible`). See also
        :func:`bayesmoe.planning.build_surface.surfaces` and :func:`bayesmoe.planning.problems.asked_problems`.

    Examples
    --------
    >>> plan = bm.plan(dt, scenario)  # doctest: +SKIP
    >>> plan["n_dense"].dims
    ('problem', 'num_experts', 'sample')
    """
    FitInfo.read(fit).required_gate().refuse_failure(allow_failed=allow_failed)
    require_plausible(scenario)
    counts = scenario.choices.counts
    found = _planned(fit, with_counts(scenario, counts), sketch, "list")
    if scenario.choices.num_experts is not None:
        return found
    most = _FARTHEST * most_experts(fit)
    while (cut := _best_is_largest(found) > _MOST_AT_LARGEST) and 2 * counts[-1] <= most:
        counts = (*counts, *(count for count in (2 * counts[-1], 4 * counts[-1]) if count <= most))
        found = _planned(fit, with_counts(scenario, counts), sketch, "list")
    return replace(PlanInfo.read(found), counts_end="trained" if cut else "inside").write(found)


def _planned(fit: xr.DataTree, scenario: Scenario, sketch: int | None, counts_end: str) -> xr.Dataset:
    """The plan for a list of expert counts."""
    problems, laws = asked_problems(scenario), surfaces(fit, scenario, draws=sketch)
    solver = Solver(tuple(laws.values()), problems, scenario.tolerance.probability, all_minima=sketch is None)
    solutions, fixed = solver.solve(levels := solver.levels())
    known, samples = inputs(laws), [here.shape[0] for here in laws.values()]
    found = xr.Dataset(
        {
            **_solved(solutions, problems, scenario),
            **_options(solver, levels, solutions, fixed),
            "input_value": (
                ("input", "sample"),
                # In double precision: a law's coefficient may be larger than any single number.
                np.array(list(known.values())).reshape(len(known), sum(samples)),
            ),
        },
        coords={
            "problem": [problem.name for problem in problems],
            "num_experts": list(scenario.choices.counts),
            "input": list(known),
            "law": ("sample", np.repeat(list(laws), samples)),
        },
    )
    return with_limits(_info(fit, scenario, laws.values(), counts_end).write(found), solver, levels)


def _best_is_largest(plan: xr.Dataset) -> float:
    """Share of draws whose best expert count is the largest, of the problem with most of them."""
    shares = []
    for problem in PlanInfo.read(plan).problems.values():
        value = np.nan_to_num(plan[problem.objective].sel(problem=problem.name).values, nan=np.inf)
        shares.append(((value.argmin(axis=0) == len(value) - 1) & np.isfinite(value.min(axis=0))).mean())
    return float(max(shares))


def _info(fit: xr.DataTree, scenario: Scenario, laws: Iterable[DesignSurface], counts_end: str) -> PlanInfo:
    info = FitInfo.read(fit)
    return PlanInfo(
        scenario=scenario,
        law=info.law_name,
        gate=info.required_gate().verdict,
        method=info.method,
        fixed_tokens=max(here.fixed_tokens or 0.0 for here in laws),
        data_origin=info.data_origin,
        data_sha256=info.data_sha256,
        data_simulated=info.data_simulated,
        fit_sha256=fingerprint(fit),
        counts_end=counts_end,
        repetition=_repetition(fit, laws),
    )


def _repetition(fit: xr.DataTree, laws: Iterable[DesignSurface]) -> str:
    """Where what repeats are worth comes from, see :class:`PlanInfo`."""
    if any(isinstance(FitInfo.read(member.fit).law, Repeated) for member in components(fit).values()):
        return "runs"
    return "prior" if any(isinstance(here.law, Repeated) for here in laws) else "none"


def _solved(found: PerDrawOptima, problems: tuple[Problem, ...], scenario: Scenario) -> dict[str, Any]:
    """Each draw's own solutions, of each expert count the best of its architectures."""
    dims = ("problem", "num_experts", "sample")
    counts = np.array([one.num_experts for one in scenario.candidates])
    variants = [np.flatnonzero(counts == count) for count in scenario.choices.counts]
    feasible, chosen, thresholds = [], [], []
    for problem, optimum, ok in zip(problems, found.chosen, found.feasible, strict=True):
        values = optimum.by_name()
        best = _best_variants(np.where(ok, values[problem.objective], np.inf), variants)
        feasible.append(_taken(ok, best))
        chosen.append({name: np.where(feasible[-1], _taken(value, best), np.nan) for name, value in values.items()})
        none = np.full(len(ok), np.nan)
        thresholds.append(none if problem.threshold is None else getattr(found.thresholds, problem.threshold))
    variables: dict[str, Any] = {
        "feasible": (dims, np.stack(feasible)),
        "threshold": (("problem", "sample"), np.stack(thresholds)),
    }
    unasked = {"epochs"} if scenario.limits.unique_tokens is None else set()
    unasked |= {"lifetime_flop", "lifetime_usd"} if scenario.serving.lifetime_tokens is None else set()
    unasked |= _unknown(scenario.training) | (set() if quantized_at_a_loss(scenario) else {"quantization_loss"})
    for name, unit in UNITS.items():
        known = [one[name] for one in chosen if name in one]
        if known and name not in unasked:
            nothing = np.full_like(known[0], np.nan)
            variables[name] = (dims, np.stack([one.get(name, nothing) for one in chosen]), {"units": unit})
    best = _best_variants(found.optimal.loss, variants)
    for name in _AT_OPTIMUM:
        variables[f"loss_optimal_{name}"] = (dims[1:], _taken(getattr(found.optimal, name), best), {"units": UNITS[name]})
    variables["loss_optimal_inside"] = (dims[1:], _taken(found.inside, best))
    variables["threshold_loss"] = ("sample", found.thresholds.loss, {"units": UNITS["loss"]})
    serving = "serving_usd_per_million_tokens"
    variables[f"threshold_{serving}"] = ("sample", getattr(found.thresholds, serving), {"units": UNITS[serving]})
    variables["usd_per_nat"] = ("sample", found.usd_per_nat, {"units": "USD of training per nat/token"})
    return variables


def _unknown(training: Training) -> set[str]:
    """Quantities of training that the scenario does not let one know."""
    kwh = training.kw_per_gpu or accelerator_named(training.accelerator).kw_all_in
    carbon = training.grams_co2_per_kwh if kwh else None
    known = {"train_days": training.cluster_gpus, "train_kwh": kwh, "train_co2_kg": carbon}
    return {name for name, value in known.items() if value is None}


def _best_variants(values: np.ndarray, variants: list[np.ndarray]) -> np.ndarray:
    """Candidate of the least value among those of each expert count, shape (num_experts, sample)."""
    return np.stack([own[np.argmin(np.where(np.isnan(values[:, own]), np.inf, values[:, own]), axis=1)] for own in variants])


def _taken(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, best.T, axis=1).T


def _options(
    solver: Solver, levels: list[ConstraintLevels], found: PerDrawOptima, fixed: list[FixedDesigns]
) -> dict[str, Any]:
    scenario = solver.laws[0].scenario
    sizes = [
        _option_sizes(problem, solver.laws[0], own.quantities, found.optimal, ok, outcomes, solver.probability)
        for problem, own, ok, outcomes in zip(solver.problems, found.chosen, found.feasible, fixed, strict=True)
    ]
    tokens = [solver.fixed_tokens(problem, size, levels) for problem, size in zip(solver.problems, sizes, strict=True)]
    outcomes: list[DesignOutcomes] = solver.options(sizes, tokens, levels)
    each = _AROUND * 2 + 1 + _AMONG
    dims = ("problem", "option", "sample")

    def flat(values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), -1).T

    variables: dict[str, Any] = {
        "option_n_dense": (dims[:2], np.exp(np.stack(sizes)).reshape(len(sizes), -1), {"units": UNITS["n_dense"]}),
        "option_tokens": (dims[:2], np.stack(tokens).reshape(len(sizes), -1), {"units": UNITS["tokens"]}),
        "option_feasible": (dims, np.stack([flat(one.met) for one in outcomes])),
    }
    reported = ("objective", "loss", "serving_usd_per_million_tokens", "train_usd", "train_gpu_hours")
    for name in (*reported, *(("quantization_loss",) if quantized_at_a_loss(scenario) else ())):
        unit = {"units": UNITS[name]} if name in UNITS else {}
        # Single precision: seven digits of what is compared to three.
        values = np.stack([flat(getattr(one, name)) for one in outcomes]).astype(np.float32)
        variables[f"option_{name}"] = (dims, values, unit)
    for name in ("num_experts", "top_k", "granularity"):
        variables[f"option_{name}"] = ("option", np.repeat([getattr(one, name) for one in scenario.candidates], each))
    if scenario.serving.lifetime_tokens is not None:
        served = np.concatenate([np.ravel(here.cost_draws.lifetime_tokens) for here in solver.laws])
        variables["lifetime_tokens"] = ("sample", served, {"units": "output tokens"})
    return variables


def _option_sizes(
    problem: Problem,
    here: DesignSurface,
    own: Quantities,
    optimal: Quantities,
    feasible: Any,
    outcomes: FixedDesigns,
    probability: float,
) -> np.ndarray:
    """ln sizes of options, shape (K, M): around the best fixed size, and what draws find best; each in a shape of whole numbers."""
    scenario, known = here.scenario, grid()
    given = problem.sizes(here)
    if given is not None:
        return np.repeat(np.asarray(given)[0][:, None], 2 * _AROUND + 1 + _AMONG, axis=1)
    rows, possible = [], float(np.any(feasible, axis=1).mean())
    for number, candidate in enumerate(here.candidates):
        objective, met = (np.asarray(values[number]) for values in outcomes)
        if met.any():
            best = closest(objective, met, probability, possible)
        else:
            # Where no size keeps the constraints in any draw, nothing but the loss tells them apart.
            best = int(np.abs(known - np.median(np.log(optimal.n_dense[:, number]))).argmin())
        around = known[np.clip(np.arange(best - _AROUND, best + _AROUND + 1), 0, len(known) - 1)]
        sizes = np.log(own.n_dense[:, number][feasible[:, number]])
        among = np.quantile(sizes, np.linspace(0.02, 0.98, _AMONG)) if len(sizes) else np.full(_AMONG, known[best])
        shaped = [
            scenario.architecture.shape(float(size), *candidate).n_dense for size in np.exp(np.concatenate([around, among]))
        ]
        rows.append(np.log(shaped))
    return np.stack(rows)
