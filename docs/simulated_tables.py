"""Simulated truths: the law that is true, its parameters, a discrepancy that no law of the package has, the runs, and the problems asked of them.

Everything of a table follows from its number. None of it follows from a fit, and the scenario follows from the runs' compute, not from the truth.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayesmoe.architecture import Family
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.workload import Serving
from bayesmoe.laws import Coordinate, Law, law_named, reference_run
from bayesmoe.planning.choices import ChoicesSpec
from bayesmoe.planning.cost_draws import CostDraws, sample_costs
from bayesmoe.planning.scenario import ArchitectureSpec, LimitsSpec, Scenario
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses

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
FACTORS = (10.0, 100.0)
"""Training budgets of a plan, times the compute of the largest run."""


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
