"""Ties: what another run of the same posterior could turn round."""

import numpy as np
import pytest
import xarray as xr

from bayesmoe.decisions.ties import mean_error, tied_counts
from bayesmoe.planning.store import PlanInfo

DRAWS = 4000


@pytest.fixture
def made(scenario):
    """A plan of three counts with two options each: expected objectives, spread of their differences, and shares of draws feasible."""

    def build(means, shares, spread=0.1, seed=0):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=DRAWS)
        objective = np.asarray(means)[:, None] + common + spread * rng.normal(size=(6, DRAWS))
        feasible = rng.uniform(size=(6, DRAWS)) < np.asarray(shares)[:, None]
        plan = xr.Dataset(
            {
                "option_objective": (("problem", "option", "sample"), objective[None].astype(np.float32)),
                "option_feasible": (("problem", "option", "sample"), feasible[None]),
                "option_num_experts": ("option", [1, 1, 8, 8, 64, 64]),
            },
            coords={"problem": ["lowest_loss"], "num_experts": [1, 8, 64], "law": ("sample", ["yun"] * DRAWS)},
        )
        return PlanInfo(scenario, "yun", "PASS", "mcmc", 0.0, "made up", "0", True, "0").write(plan)

    return build


def tied(plan, recommended):
    chosen = xr.DataArray([recommended], dims="problem", coords={"problem": plan["problem"]})
    row = tied_counts(plan, chosen).isel(problem=0)
    return row["num_experts"].values[row.values].tolist()


def test_a_difference_of_many_standard_errors_is_no_tie(made):
    assert tied(made([2.0, 2.1, 1.0, 1.1, 3.0, 3.1], [0.99] * 6), 8) == [8]


def test_a_difference_within_its_standard_error_is_a_tie(made):
    """Between two options it is ``0.1 sqrt(2 / 4000) = 0.0022``; what draws have in common cancels."""
    assert tied(made([2.0, 2.1, 1.0, 1.1, 1.001, 1.1], [0.99] * 6), 8) == [8, 64]


def test_a_probability_at_its_threshold_is_a_tie(made):
    """The cheaper count fails the threshold of 0.9 by less than the error of a share, ``sqrt(.09 / 4000) = 0.0047``, or by far more."""
    assert tied(made([2.0, 2.1, 1.0, 1.1, 0.5, 0.6], [0.99] * 4 + [0.898, 0.5]), 8) == [8, 64]
    assert tied(made([2.0, 2.1, 1.0, 1.1, 0.5, 0.6], [0.99] * 4 + [0.85, 0.5]), 8) == [8]


def test_without_a_recommendation_nothing_is_tied(made):
    assert tied(made([1.0] * 6, [0.5] * 6), 0) == []


def test_the_error_of_a_mean_knows_the_correlation_of_a_chain():
    """An AR(1) chain of correlation r has ``(1 + r) / (1 - r)`` times the variance.

    Held to four standard errors of the estimate, ``sqrt(1 / 62)`` of it for 32 blocks: one run in 16,000 fails. The same draws in random
    order, as if they were independent, are rejected.
    """
    rng, r = np.random.default_rng(0), 0.9
    draws = np.empty(40_000)
    draws[0] = rng.normal()
    for at, step in enumerate(rng.normal(size=len(draws) - 1), start=1):
        draws[at] = r * draws[at - 1] + np.sqrt(1 - r**2) * step
    laws, naive = np.repeat("yun", len(draws)), 1.0 / np.sqrt(len(draws))
    exact, own_error = naive * np.sqrt((1 + r) / (1 - r)), np.sqrt(1 / 62)
    found = mean_error(draws[None], laws)[0]
    assert abs(found / exact - 1.0) < 4 * own_error
    assert abs(mean_error(rng.permutation(draws)[None], laws)[0] / exact - 1.0) > 4 * own_error
