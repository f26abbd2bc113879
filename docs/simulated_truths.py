"""Truths that are known because they were simulated: tables of runs, planning problems, their true optima, and what an average says of them.

Everything of a table follows from its number: the law that is true, its parameters, a discrepancy that no law of the package has, the design of
the runs, their noise and the demand. None of it follows from a fit, and the scenario follows from the runs' compute, not from the truth.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.architecture import Family
from bayesmoe.costs.hardware import BYTES_PER_WEIGHT
from bayesmoe.costs.workload import Serving, Training
from bayesmoe.forecasting.discrepancy import discrepancy
from bayesmoe.forecasting.discrepancy_prior import shipped_prior
from bayesmoe.forecasting.fit_average import FitsOfLaws, averaged, fits_of_laws
from bayesmoe.forecasting.scores import weighted_percentile
from bayesmoe.forecasting.weights import MOST_RHAT, average_of
from bayesmoe.inference.ensemble import discrepancy_draws
from bayesmoe.inference.extrapolation import is_axis
from bayesmoe.inference.spec import AVERAGE, AverageSpec, DataSpec, FitSpec
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Coordinate, Law, law_named, reference_run
from bayesmoe.planning.build_surface import surface_of, surfaces
from bayesmoe.planning.choices import ChoicesSpec
from bayesmoe.planning.cost_draws import CostDraws, sample_costs
from bayesmoe.planning.scenario import ArchitectureSpec, LimitsSpec, Scenario
from bayesmoe.planning.solve import grid
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses
from bayesmoe.sampling.settings import SamplerSpec

INSIDE = ("yun", "effective-size", "ludziejewski", "wang")
"""True laws that are in the average of a table whose experts and tokens vary."""

OUTSIDE = ("abnar", "hossain", "frantar", "zhao")
"""True laws that are not."""

LAWS = tuple(name for pair in zip(INSIDE, OUTSIDE, strict=True) for name in pair)

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Expert counts that a plan offers."""

TRAINED = ((1, 4, 16, 64), (1, 2, 8, 32))
"""Expert counts of the runs, by turns."""

PROBLEMS = ("cheapest_serving", "memory_limited")
QUANTITIES = ("n_dense", "tokens", "over_training_ratio")
FACTORS = (10.0, 100.0)
"""Training budgets of a plan, times the compute of the largest run."""

LEARNED, COMMON, NONE = "learned", "common to all counts", "none"
"""Discrepancies that are judged: the package's, one that all expert counts have in common, and none at all."""

SPEC = FitSpec(data=DataSpec(file="simulated"), average=AverageSpec(), sampler=SamplerSpec(draws=250, warmup=600, retries=1))
DRAWS_OF_A_LAW = 117
SAME = 1e-3
"""Difference of logarithms below which two optima are one: the planner's search stops there."""

PLANTED_PER_DECADE = 0.015
"""Standard deviation of a planted discrepancy: ln loss from 1 to 512 experts, a factor of ten of size, or of tokens, from the middle of the runs."""

MEMORY_BYTES = 160e9
NOISE = (0.002, 0.006)
SHARE_OF_PUBLISHED, SPREAD_OF_PUBLISHED = 0.5, 0.25
"""Share of truths around published coefficients, where a law has any, and how far from them in standard deviations of the prior."""

_LOSSES, _GAINS, _TOKENS_PER_PARAMETER = (1.3, 6.0), (0.01, 0.15), (2.0, 1000.0)
_TRIES = 2000
_FAMILY = Family(top_k=1.0)
_SIZES = np.geomspace(1e6, 1e13, 1500)
_SMALLEST, _COST_DRAWS = 1e7, 1000
_BYTES = BYTES_PER_WEIGHT[Serving().precision]


@dataclass(frozen=True)
class Planted(Law):
    """A law, and a discrepancy that differs between expert counts.

    ``ln L = ln L_law + ln E / ln 512 ( q_N s(log10 N/N0) + q_D s(log10 D/D0) ),   s(x) = 2 tanh(x/2)``

    N is the backbone, N0 and D0 the middle of the runs: inside the runs it can be seen, beyond them it grows to two decades' worth.
    """

    law: Law = dataclasses.field(default_factory=lambda: law_named("yun"))

    name: ClassVar[str] = "planted"
    source: ClassVar[str] = "this file"
    equation: ClassVar[str] = "ln L = ln L_law + ln E / ln 512 (q_N s(log10 N/N0) + q_D s(log10 D/D0))"
    coordinates: ClassVar[tuple[Coordinate, ...]] = ()

    @property
    def covariates(self) -> tuple[str, ...]:
        """What the law reads, and what the planted discrepancy does."""
        return tuple(dict.fromkeys((*self.law.covariates, "n_dense", "tokens", "num_experts")))

    @property
    def has_experts(self) -> bool:
        """It does."""
        return True

    def loss(self, parameters: Any, run: Any) -> Any:
        """Loss of one run, nats per token."""

        def decades(value: Any, middle: Any) -> Any:
            return 2.0 * jnp.tanh(0.5 * jnp.log10(value / middle))

        tilt = parameters["q_size"] * decades(run["n_dense"], parameters["middle_size"])
        tilt = tilt + parameters["q_tokens"] * decades(run["tokens"], parameters["middle_tokens"])
        return self.law.loss(parameters, run) * jnp.exp(tilt * jnp.log(run["num_experts"]) / np.log(COUNTS[-1]))


@dataclass(frozen=True)
class Truth:
    """A table's true law with its parameters, and what was drawn with them."""

    number: int
    law: Planted
    parameters: Mapping[str, float]
    design: pd.DataFrame
    noise: float
    published: bool

    @property
    def name(self) -> str:
        """Name of the law."""
        return self.law.law.name

    def loss(self, run: Mapping[str, Any]) -> np.ndarray:
        """True loss, nats per token, of covariates of any one shape."""
        arrays = np.broadcast_arrays(*(np.asarray(run[name], float) for name in self.law.covariates))
        flat = {name: jnp.asarray(each.ravel()) for name, each in zip(self.law.covariates, arrays, strict=True)}
        return np.asarray(_losses(self.law)(dict(self.parameters), flat)).reshape(arrays[0].shape)

    def table(self) -> pd.DataFrame:
        """Runs with noisy losses."""
        return simulate_losses(self.design, self.loss, noise_scale=self.noise, seed=self.number)

    @property
    def largest_flop(self) -> float:
        """Training compute of the largest run."""
        return float((6.0 * self.design["n_active"] * self.design["tokens"]).max())


@functools.cache
def _losses(law: Planted) -> Callable[..., Any]:
    return jax.jit(jax.vmap(law.loss, in_axes=(None, 0)))


def truth(number: int) -> Truth:
    """The truth of a table: drawn again until it could be one of a language model.

    Losses of the runs lie in 1.3 to 6 nats; at the largest dense run, 64 experts lower the loss by 1 to 15%; the dense optimum of every budget has
    2 to 1000 tokens a parameter; more compute always helps; and 512 experts do not make ten million parameters as good as the dense optimum.
    """
    rng = np.random.default_rng([20, number])
    law = law_named(LAWS[number % len(LAWS)])
    design = design_of(number, rng)
    middle = {
        f"middle_{name}": float(np.exp(np.log(design[column]).mean()))
        for name, column in (("size", "n_dense"), ("tokens", "tokens"))
    }
    sd = (number // len(LAWS)) % 2 * PLANTED_PER_DECADE
    noise = float(np.exp(rng.uniform(*np.log(NOISE))))
    for _ in range(_TRIES):
        parameters, published = _parameters(law, design, rng)
        planted = {"q_size": sd * rng.standard_normal(), "q_tokens": sd * rng.standard_normal()}
        found = Truth(number, Planted(law=law), parameters | middle | planted, design, noise, published)
        if _is_possible(found):
            return found
    raise RuntimeError(f"no possible truth of {law.name} in {_TRIES} tries")


def _parameters(law: Law, design: pd.DataFrame, rng: np.random.Generator) -> tuple[dict[str, float], bool]:
    """Paper parameters from the law's prior, or from around published ones; and which."""
    reference = reference_run(design, law)
    published = bool(law.published) and bool(rng.random() < SHARE_OF_PUBLISHED)
    center = {c.name: c.mean for c in law.coordinates}
    if published:
        known = law.from_paper(law.published[rng.integers(len(law.published))].coefficients, reference)
        center = {c.name: float(c.to_real(known[c.name])) for c in law.coordinates}
    spread = SPREAD_OF_PUBLISHED if published else 1.0
    drawn = {c.name: c.to_support(center[c.name] + spread * c.sd * rng.standard_normal()) for c in law.coordinates}
    return {name: float(value) for name, value in law.to_paper(drawn, reference).items()}, published


def design_of(number: int, rng: np.random.Generator) -> pd.DataFrame:
    """48 runs: four sizes over a factor of 20, three token counts or tokens per parameter, four expert counts."""
    sizes = np.geomspace(1.0, 20.0, 4) * np.exp(rng.uniform(*np.log((2e7, 6e7))))
    counts = list(TRAINED[number % len(TRAINED)])
    if rng.random() < 0.5:
        tokens = np.geomspace(1.0, 16.0, 3) * np.exp(rng.uniform(*np.log((1e9, 2e9))))
        return grid_of_runs(sizes.tolist(), tokens.tolist(), counts, family=_FAMILY)
    ratios = (10.0, 40.0, 160.0)
    parts = [grid_of_runs([size], [ratio * size for ratio in ratios], counts, family=_FAMILY) for size in sizes.tolist()]
    joined = pd.concat(parts, ignore_index=True)
    return joined.assign(run_id=[f"sim-{row:03d}" for row in range(len(joined))])


def _is_possible(found: Truth) -> bool:
    design = found.design
    losses = found.loss({name: design[name].to_numpy() for name in found.law.covariates})
    if not (_LOSSES[0] < losses.min() and losses.max() < _LOSSES[1]):
        return False
    size, tokens = design["n_dense"].max(), design["tokens"].max()
    gain = -np.diff(np.log(found.loss(_FAMILY.run(size, tokens, np.array([1.0, 64.0])))))[0]
    if not _GAINS[0] < gain < _GAINS[1]:
        return False
    lowest = []
    for factor in (1.0, *FACTORS):
        tokens = factor * found.largest_flop / _FAMILY.train_flop_per_token(_SIZES, 1.0)
        along = found.loss(_FAMILY.run(_SIZES, tokens, 1.0))
        best = int(np.argmin(along))
        if not _TOKENS_PER_PARAMETER[0] < tokens[best] / _SIZES[best] < _TOKENS_PER_PARAMETER[1]:
            return False
        lowest.append(along[best])
        most = found.loss(_FAMILY.run(_SIZES, tokens, float(COUNTS[-1])))
        if (most[_SIZES < _SMALLEST] <= along[best]).any():
            return False
    return bool(lowest[0] > lowest[1] > lowest[2] > 1.0)


def scenario_of(found: Truth, factor: float) -> Scenario:
    """The planning problems of a table on so many times its largest run's compute, at fixed costs.

    Loss is bounded by that of the loss-optimal dense model; memory is that of two H100s.
    """
    budget = factor * found.largest_flop
    return Scenario(
        training=Training(budget_flop=budget, price_usd_per_gpu_hour=2.0),
        serving=Serving(
            accelerator="H100-SXM",
            price_usd_per_gpu_hour=2.0,
            utilization=0.5,
        ),
        choices=ChoicesSpec(num_experts=COUNTS, baseline_num_experts=1),
        architecture=ArchitectureSpec(top_k=1, width_times_layers=0.045),
        limits=LimitsSpec(memory_bytes=MEMORY_BYTES),
        problems=PROBLEMS,
    )


def fixed_costs(scenario: Scenario, draws: int) -> CostDraws:
    """The median of every uncertain number of a scenario, in so many draws: a truth and a forecast of it have one cost model."""
    return jax.tree.map(
        lambda leaf: jnp.full((draws, *leaf.shape[1:]), jnp.median(leaf)), sample_costs(scenario, _COST_DRAWS)
    )


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
