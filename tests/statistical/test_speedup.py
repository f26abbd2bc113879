"""Bands of a speedup hold the true one as often as they say, and of equal recipes the probability of a speedup is uniform."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from made_up import grouped_fit
from scipy import stats
from seeds import seeded
from tiers import swept

from bayesmoe.architecture import Family
from bayesmoe.decisions.recipe_losses import RecipeLosses, recipe_losses
from bayesmoe.decisions.recipes import recipes
from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.model import EXPECTED, RUN_NOISE, Data, Structure, noisy
from bayesmoe.inference.spec import DataSpec, FitSpec, GroupSpec
from bayesmoe.laws import law_named
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs
from bayesmoe.sampling.compiled_refit import chain_program

pytestmark = pytest.mark.slow

TABLES = 200
ERROR_RATE = 0.001
"""At a random seed a right model is rejected by each test of uniform ranks with this probability; seeds are fixed."""

COVERED = {0.5: (0.38, 0.62), 0.8: (0.70, 0.90), 0.9: (0.85, 0.95)}
"""By level, shares of bands that may hold the truth: of 200 right ones a share beyond these is found with probability .07, .04 and 1.3% at each budget."""

TIMES = (1.0, 10.0, 100.0)
DRAWS = 250
_SHARED = {"kaplan": ("slope_size", "size_part"), "chinchilla": ("slope_size", "size_part", "reducible")}
"""By law, coordinates that recipes share: they differ in their loss and in their slope in tokens."""
_GROUPS = ("a", "b")


class Ranks(NamedTuple):
    """By table and budget, the share of draws of ln s below the true one: as it is, and of twins; and P(s > 1) at the largest run.

    Attributes
    ----------
    right, apart, slow : array, shape (TABLES, budget)
        Of the posterior; of draws of one recipe that are shuffled against the other's; of a true speedup that is a tenth larger.
    faster : array, shape (TABLES,)
        P(s > 1) at the largest run.
    """

    right: np.ndarray
    apart: np.ndarray
    slow: np.ndarray
    faster: np.ndarray


def runs() -> pd.DataFrame:
    """Two recipes, 12 runs of each."""
    frame = grid_of_runs([5e7, 2e8, 8e8], [1.0], [1], family=Family())
    every = pd.concat([frame.assign(tokens=ratio * frame["n_active"]) for ratio in (5.0, 15.0, 45.0, 135.0)])
    every = every.select_dtypes("number").assign(train_flop=6.0 * every["n_active"] * every["tokens"])
    return pd.concat([every.assign(group=group) for group in _GROUPS], ignore_index=True)


@lru_cache
def model(name: str) -> tuple[Structure, Data]:
    """A law by recipe."""
    frame = runs().assign(loss=3.0, run_id=[f"run {number}" for number in range(len(runs()))])
    law = law_named(name)
    spec = FitSpec(data=DataSpec(file="runs.csv"), groups=GroupSpec(column="group", shared=_SHARED[name]))
    _, structure, data = arrange(as_run_table(frame, group="group"), law, law.coordinates, spec)
    return structure, data


@lru_cache
def chain(density: LogDensity):
    return chain_program(lambda position, arguments: density(position, *arguments), draws=DRAWS)


def losses_of(name: str, sites: dict[str, np.ndarray]) -> tuple[RecipeLosses, np.ndarray]:
    """Losses of both recipes by draw of a model's sites, and ln FLOP at :data:`TIMES` the largest run."""
    structure, data = model(name)
    law, coordinates = structure.law, [c.name for c in structure.coordinates]
    by_group = {}
    for number, group in enumerate(_GROUPS):
        own = {each: sites[each][..., number] if sites[each].ndim == 2 else sites[each] for each in coordinates}
        paper = law.to_paper({each: jnp.asarray(value) for each, value in own.items()}, data.reference)
        by_group[group] = {each: np.asarray(value) for each, value in paper.items()}
    fit = grouped_fit(name, by_group, runs())
    two = recipes(fit, of="b", over="a")
    at = np.log(np.array(TIMES) * two.largest_flop)
    count = len(next(iter(sites.values())))
    return recipe_losses(fit, two, (float(at[0]), float(at[-1])), draws=count, seed=0), at


def ranks_of_tables(name: str, first: int, tables: int, *, equal: bool = False) -> Ranks:
    """Truths drawn from the prior, a table of each, and its refit; the chain starts at the truth, an exact draw of that posterior.

    Where they are ``equal``, both recipes are the first, and the truth is no draw of the prior any more.
    """
    structure, data = model(name)
    density, placeholder = LogDensity(structure), jnp.ones(len(data.weight))
    truth_key, chain_key = jax.random.split(jax.random.key(seeded(first)))
    found: list[tuple[np.ndarray, ...]] = []
    for number in range(tables):
        place = density.prior(jax.random.fold_in(truth_key, number), 1, data, placeholder)[0]
        expected = density.expected(place[None, None], data, placeholder)
        mean = np.array(expected[EXPECTED][0])
        if equal:
            half = mean.shape[1] // 2
            mean[:, half:] = mean[:, :half]
        rng = np.random.default_rng([seeded(first), number])
        table = noisy(mean, expected[RUN_NOISE][0], expected["noise_df"][0], rng)[0]
        draws, _ = chain(density)(jax.random.fold_in(chain_key, number), place, (data, jnp.asarray(table)))
        # The truth is one more draw, the first, so that one table of losses serves all.
        losses, at = losses_of(name, _sites(density, data, np.concatenate([place[None], np.asarray(draws)])))
        found_speedup = losses.ln_speedup(at)
        true, drawn = np.zeros((1, len(TIMES))) if equal else found_speedup[:1], found_speedup[1:]
        order = np.concatenate([[0], 1 + rng.permutation(DRAWS)])
        other = {**losses.ln_loss, "b": losses.ln_loss["b"][order]}
        shuffled = dataclasses.replace(losses, ln_loss=other).ln_speedup(at)[1:]
        tie = rng.uniform(size=len(TIMES))
        below = [_below(drawn, true, tie), _below(shuffled, true, tie), _below(drawn, true + np.log(1.1), tie)]
        found.append((*below, (drawn[:, :1] > 0.0).mean(axis=0)))
    right, apart, slow, faster = (np.stack(each) for each in zip(*found, strict=True))
    return Ranks(right, apart, slow, faster[:, 0])


def _below(drawn: np.ndarray, true: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Share of draws below the truth; an infinite truth lies anywhere among infinite draws."""
    return (drawn < true).mean(axis=0) + tie * (drawn == true).mean(axis=0)


def _sites(density: LogDensity, data: Data, position: np.ndarray) -> dict[str, np.ndarray]:
    return {name: value[0] for name, value in density.sites(position[None], data, jnp.ones(len(data.weight))).items()}


@pytest.fixture(scope="module", params=swept(_SHARED, keep=lambda name: name == "kaplan"))
def known(request) -> Ranks:
    return ranks_of_tables(request.param, 1, TABLES)


def covered(ranks: np.ndarray) -> dict[float, np.ndarray]:
    """By level, the share of tables whose central band holds the true speedup, by budget."""
    return {level: (np.abs(ranks - 0.5) <= level / 2.0).mean(axis=0) for level in COVERED}


def right(ranks: np.ndarray) -> bool:
    """Whether bands of all budgets hold what they say at every level, and ranks are uniform."""
    uneven = min(stats.kstest(column, "uniform").pvalue for column in ranks.T)
    held = all(
        ((share >= COVERED[level][0]) & (share <= COVERED[level][1])).all() for level, share in covered(ranks).items()
    )
    return bool(held) and uneven >= ERROR_RATE


def test_bands_hold_the_true_speedup_at_the_largest_run_and_beyond(known) -> None:
    assert right(known.right), covered(known.right)


@pytest.mark.parametrize("twin", ["apart", "slow"])
def test_a_twin_is_rejected(known, twin) -> None:
    """Draws of A and B shuffled apart have bands that are too wide; a true speedup a tenth larger lies too often above."""
    assert not right(getattr(known, twin)), covered(getattr(known, twin))


def test_recipes_of_one_population_are_told_apart_as_often_as_chance_does(known) -> None:
    """A and B are exchangeable, so that P(s > 1) and P(s < 1) have one distribution."""
    assert stats.kstest(known.faster, 1.0 - known.faster).pvalue >= ERROR_RATE


EQUAL = 100


def test_of_equal_recipes_the_probability_of_a_speedup_is_uniform() -> None:
    """As that of a null hypothesis where the runs say more than the prior of how far recipes differ; a prior that said more would pull it to a half."""
    assert stats.kstest(ranks_of_tables("kaplan", 2, EQUAL, equal=True).faster, "uniform").pvalue >= ERROR_RATE


def test_of_recipes_that_differ_it_is_not(known) -> None:
    """The twin: recipes of one population, of which each table has its own truth."""
    assert stats.kstest(known.faster[:EQUAL], "uniform").pvalue < ERROR_RATE
