"""The true optima of simulated truths, and what an average of laws says of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from simulated_tables import (
    COUNTS,
    FACTORS,
    LAWS,
    MEMORY_BYTES,
    NOISE,
    PLANTED_PER_DECADE,
    PROBLEMS,
    TRAINED,
    Truth,
    fixed_costs,
    scenario_of,
    truth,
)

from bayesmoe.costs.precisions import BYTES_PER_WEIGHT
from bayesmoe.costs.workload import Serving
from bayesmoe.forecasting.discrepancy import discrepancy
from bayesmoe.forecasting.discrepancy_prior import shipped_prior
from bayesmoe.forecasting.fit_average import FitsOfLaws, averaged, fits_of_laws
from bayesmoe.forecasting.scores import weighted_percentile
from bayesmoe.forecasting.weights import MOST_RHAT, average_of
from bayesmoe.inference.ensemble import discrepancy_draws
from bayesmoe.inference.extrapolation import is_axis
from bayesmoe.inference.spec import AVERAGE, AverageSpec, DataSpec, FitSpec
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import law_named
from bayesmoe.planning.build_surface import surface_of, surfaces
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.solve import grid
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.runs import as_run_table
from bayesmoe.sampling.settings import SamplerSpec

QUANTITIES = ("n_dense", "tokens", "over_training_ratio")

LEARNED, COMMON, NONE = "learned", "common to all counts", "none"
"""Discrepancies that are judged: the package's, one that all expert counts have in common, and none at all."""

SPEC = FitSpec(data=DataSpec(file="simulated"), average=AverageSpec(), sampler=SamplerSpec(draws=250, warmup=600, retries=1))

DRAWS_OF_A_LAW = 117

SAME = 1e-3
"""Difference of logarithms below which two optima are one: the planner's search stops there."""

_BYTES = BYTES_PER_WEIGHT[Serving().precision]


class Optima(NamedTuple):
    """A problem's best design of every count in every draw; natural logarithms, arrays of shape (S, K).

    Attributes
    ----------
    objective : array
        USD per million output tokens, or loss; infinite where a count has no design.
    n_dense, tokens, over_training_ratio : array
        Of that design.
    """

    objective: np.ndarray
    n_dense: np.ndarray
    tokens: np.ndarray
    over_training_ratio: np.ndarray


def true_surface(found: Truth, scenario: Scenario) -> DesignSurface:
    """Candidates under one draw: the truth."""
    parameters = {name: jnp.asarray([value]) for name, value in found.parameters.items()}
    return surface_of(found.law, parameters, scenario, fixed_costs(scenario, 1))


def optima(laws: Sequence[DesignSurface], scenario: Scenario) -> list[Optima]:
    """Optima of :data:`PROBLEMS` under all draws, by brute force: every size of the planner's own grid, and between its points by interpolation.

    The planner's search finds the same (``tests/test_truths.py``), and takes minutes to compile for every law.
    """
    found = [_on_grid(here, serving_usd(scenario), scenario) for here in laws]
    return [Optima(*(np.concatenate(parts) for parts in zip(*each, strict=True))) for each in zip(*found, strict=True)]


def _on_grid(here: DesignSurface, usd: np.ndarray, scenario: Scenario) -> tuple[Optima, Optima]:
    x = grid()
    sizes = jnp.broadcast_to(x, (1, here.shape[1], len(x)))
    loss, tokens = np.log(np.asarray(_loss(here, sizes))), np.log(np.asarray(here.tokens(sizes)))[0]
    at, lowest = _lowest(loss, x)
    known = np.log(np.where(np.isfinite(usd), usd, np.inf))
    # The cheapest on the grid that is as good as the dense optimum; the crossing below it is cheaper; or only the optimum itself is as good.
    target = lowest[:, :1]
    cost = np.where(loss <= target[:, :, None], known, np.inf)
    cheapest = cost.argmin(axis=2)
    on_grid, crossing = _taken(cost, cheapest), _crossing(loss, target, cheapest)
    places = np.stack([cheapest.astype(float), cheapest - crossing, _place(at, x)])
    found = np.stack([on_grid, _between(known, places[1]), _between(known, places[2])])
    found[1] = np.where(np.isfinite(on_grid), found[1], np.inf)
    found[2] = np.where(lowest <= target, found[2], np.inf)
    found[:2, :, 0] = np.inf
    which = found.argmin(axis=0)
    first = Optima(found.min(axis=0), *_design(np.take_along_axis(places, which[None], axis=0)[0], x, tokens, at))
    # The optimum where it fits, else the largest size that does: beyond its optimum a loss only rises.
    ratio = np.array([scenario.architecture.family().total_ratio(float(count)) for count in scenario.choices.num_experts])
    fits = np.log(scenario.limits.memory_bytes / (_BYTES * ratio))
    kept = _place(np.minimum(at, fits), x)
    second = Optima(np.where(at <= fits, lowest, _between(loss, kept)), *_design(kept, x, tokens, at))
    return first, second


def serving_usd(scenario: Scenario) -> np.ndarray:
    """USD per million output tokens of every count and size of the grid, shape (K, G): it reads neither loss nor budget."""
    key = scenario.choices.num_experts
    if key not in _SERVING:
        law = law_named("yun")
        named = {name: jnp.ones(1) for name in law.symbols}
        here = surface_of(law, named, scenario, fixed_costs(scenario, 1))
        sizes = jnp.broadcast_to(grid(), (1, here.shape[1], len(grid())))
        _SERVING[key] = np.asarray(here.serving(sizes).usd_per_million_tokens)[0]
    return _SERVING[key]


_SERVING: dict[tuple[int, ...], np.ndarray] = {}
_loss = jax.jit(lambda here, sizes: here.loss(sizes))


def _lowest(values: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and value of the minimum along the last axis, by a parabola through the lowest point and its neighbors."""
    at = values.argmin(axis=-1).clip(1, len(x) - 2)
    left, middle, right = (_taken(values, at + step) for step in (-1, 0, 1))
    bend = np.maximum(left - 2.0 * middle + right, 1e-300)
    step = np.clip(0.5 * (left - right) / bend, -1.0, 1.0)
    return x[at] + step * (x[1] - x[0]), middle - 0.25 * (left - right) * step


def _crossing(loss: np.ndarray, target: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How far below a place of the grid, in steps, the loss meets the target; zero where it does not within a step."""
    here, below = _taken(loss, at), _taken(loss, np.maximum(at - 1, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (target - here) / (below - here)
    return np.where((below > target) & (at > 0), share, 0.0)


def _design(
    place: np.ndarray, x: np.ndarray, tokens: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln size, tokens and over-training ratio at places of the grid; ``at`` is ln size of the lowest loss."""
    spent = _between(np.broadcast_to(tokens, (*place.shape, len(x))), place)
    optimal = _between(np.broadcast_to(tokens, (*place.shape, len(x))), _place(at, x))
    return x[0] + place * (x[1] - x[0]), spent, spent - optimal


def _place(at: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (at - x[0]) / (x[1] - x[0])


def _between(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Values at places between whole ones along the last axis, linearly."""
    values = np.broadcast_to(values, (*place.shape, values.shape[-1]))
    below = np.floor(place).astype(int).clip(0, values.shape[-1] - 2)
    left, right, share = _taken(values, below), _taken(values, below + 1), place - below
    with np.errstate(invalid="ignore"):
        found = np.where(share > 0.0, left + share * (right - left), left)
    return np.where(np.isnan(found), np.inf, found)


def _taken(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, at[..., None], axis=-1)[..., 0]


RULES = (LAWS, COUNTS, TRAINED, PROBLEMS, FACTORS, PLANTED_PER_DECADE, MEMORY_BYTES, NOISE, SPEC, DRAWS_OF_A_LAW)
"""What results depend on besides the package: those of other rules are not continued."""


def measured(numbers: list[int], rules: tuple[Any, ...]) -> dict[str, Any]:
    """What an average of the default laws, with three discrepancies, says of one table's problems, and what is true; plain data."""
    from bayesmoe.cli.runtime import configure

    if rules != RULES:
        raise RuntimeError("this worker has another version of these rules")
    configure()
    (number,) = numbers
    began, found = time.process_time(), truth(number)
    table = as_run_table(found.table())
    fits = fits_of_laws(SPEC, table)
    ours = average_of(fits.forward, fits.axes, seed=0)
    tree = averaged(SPEC, fits, ours)
    # As many draws of every law, which then count by its weight: programs are compiled for a number of draws.
    even = np.full(len(fits.trees), 1.0 / len(fits.trees))
    tree[AVERAGE] = tree[AVERAGE].to_dataset().assign(weight=("law", even))
    discrepancies = {LEARNED: ours.discrepancies, COMMON: common_discrepancies(fits), NONE: {}}
    answers = []
    for factor in FACTORS:
        scenario = scenario_of(found, factor)
        true = optima([true_surface(found, scenario)], scenario)
        laws = surfaces(tree, scenario, draws=DRAWS_OF_A_LAW * len(fits.trees))
        weight = np.concatenate([np.full(here.shape[0], ours.weights[name] / here.shape[0]) for name, here in laws.items()])
        for name, of_laws in discrepancies.items():
            drawn = optima([_surface(law, here, of_laws) for law, here in laws.items()], scenario)
            for problem in range(len(PROBLEMS)):
                rng = np.random.default_rng([number, problem, int(factor)])
                answers.append(
                    {"factor": factor, "problem": PROBLEMS[problem], "discrepancy": name}
                    | judged(drawn[problem], true[problem], weight, rng)
                )
    gate = FitInfo.read(tree).required_gate()
    return {
        "number": number,
        "law": found.name,
        "published": found.published,
        "planted": [_short(found.parameters["q_size"]), _short(found.parameters["q_tokens"])],
        "noise": _short(found.noise),
        "gate": gate.verdict,
        "weights": {name: _short(weight) for name, weight in ours.weights.items()},
        "cpu_s": round(time.process_time() - began, 1),
        "answers": answers,
    }


def common_discrepancies(fits: FitsOfLaws) -> dict[str, xr.Dataset]:
    """Each law's discrepancy where all expert counts have it in common: inferred anew, with next to nothing along products with experts."""
    shipped = shipped_prior()
    scale = {kind: value * (1.0 if is_axis(kind) else 1e-3) for kind, value in shipped.scale.items()}
    prior = dataclasses.replace(shipped, scale=scale)
    return {
        law: discrepancy([one for one in of_law.values() if one["rhat"] <= MOST_RHAT], fits.axes, seed=0, prior=prior)
        for law, of_law in fits.forward.items()
    }


def _surface(law: str, here: DesignSurface, of_laws: Mapping[str, Any]) -> DesignSurface:
    """A law's surface with another discrepancy; none where it is not given."""
    draws, rng = here.shape[0], np.random.default_rng(2)
    drawn = discrepancy_draws(of_laws[law], draws, rng) if law in of_laws else np.zeros((draws, len(here.parts)))
    return dataclasses.replace(here, discrepancy=jnp.asarray(drawn))


def judged(drawn: Optima, true: Optima, weight: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """One problem's forecast against the truth: the probability of every count, percentiles of what is true, and regret.

    Regret is that of the count of the lowest expected ln objective among those feasible with 90%, its size chosen anew in each draw.
    """
    said, right = drawn.objective, true.objective
    some = np.isfinite(said).any(axis=1)
    said, weight = said[some], weight[some] / weight[some].sum()
    best, truth_at = said.argmin(axis=1), int(right[0].argmin())
    chance = np.bincount(best, weights=weight, minlength=len(COUNTS))
    sure = weight @ np.isfinite(said)
    expected = np.array(
        [np.average(one[ok], weights=weight[ok]) if (ok := np.isfinite(one)).any() else np.inf for one in said.T]
    )
    chosen = int(np.where(sure >= min(0.9, sure.max()), expected, np.inf).argmin())
    ok = np.isfinite(said[:, chosen])
    stated = np.average(said[ok, chosen] - said[ok].min(axis=1), weights=weight[ok])
    suffered = float(right[0, chosen] - right[0, truth_at])
    answer: dict[str, Any] = {
        "true_count": COUNTS[truth_at],
        "chance": [_short(value) for value in chance],
        "feasible": _short(some.mean()),
        "chosen": COUNTS[chosen],
        "regret_stated": _short(stated),
        "regret_suffered": _short(suffered) if np.isfinite(suffered) else None,
        "true": {},
        "percentile": {},
        "percentile_at_true_count": {},
    }
    for name in QUANTITIES:
        values, actual = getattr(drawn, name)[some], float(getattr(true, name)[0, truth_at])
        here = np.isfinite(said[:, truth_at])
        of_best = np.take_along_axis(values, best[:, None], axis=1)[:, 0]
        answer["true"][name] = _short(np.exp(actual))
        answer["percentile"][name] = _short(weighted_percentile(of_best, actual, weight, rng, same=SAME))
        at_true = weighted_percentile(values[here, truth_at], actual, weight[here], rng, same=SAME) if here.any() else None
        answer["percentile_at_true_count"][name] = None if at_true is None else _short(at_true)
    return answer


def _short(value: Any) -> float:
    """Four digits: all that so many draws can tell."""
    return float(f"{float(value):.4g}")
