"""Laws that miss by size x experts: differences between counts are covered, and with a discrepancy common to all counts they are not."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.discrepancy import discrepancy, predicted
from bayesmoe.forecasting.discrepancy_prior import shipped_prior
from bayesmoe.inference.ensemble import correlation_factor
from bayesmoe.inference.extrapolation import EXPERTS, extrapolation_distance, parts_of_distance

AXES = ("n_dense", EXPERTS)
SIZES, COUNTS = np.geomspace(1e7, 1e9, 6), np.array([1.0, 4.0, 16.0, 64.0])
GRID = np.log(np.stack([one.ravel() for one in np.meshgrid(SIZES, COUNTS, indexing="ij")]))
TABLES, NOISE = 120, 0.001


def forecast(asked: np.ndarray, seen: np.ndarray, errors: np.ndarray, rng: np.random.Generator) -> xr.Dataset:
    """What a law fitted to runs says of others: right in the mean of its own slopes, wrong by the errors of its parts."""
    slope = np.array([0.08, 0.03])[:, None] * np.ones(seen.shape[1])
    away = extrapolation_distance(asked, seen, slope, AXES)
    expected = 2.5 * np.exp(1e-5 * rng.standard_normal((200, asked.shape[1])))
    return xr.Dataset(
        {
            "expected": (("draw", "run"), expected),
            "noise_scale": (("draw", "run"), np.full(expected.shape, NOISE)),
            "noise_df": ("draw", np.full(200, 50.0)),
            "distance": (("part", "run"), away),
            "observed": ("run", 2.5 * np.exp(errors @ away + NOISE * rng.standard_normal(asked.shape[1]))),
        },
        coords={"part": list(parts_of_distance(AXES))},
    )


def covered(times: float, *, common: bool) -> np.ndarray:
    """Whether the difference between 1 and 64 experts at a size so many times the largest lay in its 90% and 50% band, by table."""
    prior, parts = shipped_prior(), parts_of_distance(AXES)
    factor = correlation_factor(prior.correlation, parts)
    found = []
    for number in range(TABLES):
        rng = np.random.default_rng((seeded(number), int(times)))
        scale = prior.scales(parts) * np.exp(prior.log_sd * rng.standard_normal(len(parts)))
        bias = scale * (factor @ rng.standard_normal(len(parts)))
        splits = []
        for largest in (1, 2, 3):
            beyond = GRID[0] > np.log(SIZES[-1 - largest]) + 1e-9
            errors = bias + scale * (factor @ rng.standard_normal(len(parts)))
            splits.append(forecast(GRID[:, beyond], GRID[:, ~beyond], errors, rng))
        far = np.log(np.stack([np.full(4, times * SIZES[-1]), COUNTS]))
        asked = forecast(far, GRID, bias + scale * (factor @ rng.standard_normal(len(parts))), rng)
        if common:
            flat = [
                one.assign(distance=one["distance"] * xr.DataArray([1.0, 1.0, 0.0], dims="part")) for one in (*splits, asked)
            ]
            *splits, moved = flat
        else:
            moved = asked
        own = discrepancy(splits, AXES, seed=number, prior=prior)
        draws = np.log(predicted(moved, own, draws=2000, seed=number))
        difference = draws[:, 3] - draws[:, 0]
        came = np.log(float(asked["observed"][3]) / float(asked["observed"][0]))
        found.append([abs((difference < came).mean() - 0.5) < level / 2 for level in (0.9, 0.5)])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("times", [pytest.param(4.0, marks=pytest.mark.slow), 30.0])
def test_differences_between_counts_are_covered(times: float) -> None:
    """120 independent tables; 99.9% limits of the binomial, widened by 0.04: splits are tempered as if they shared runs."""
    for share, level in zip(covered(times, common=False), (0.9, 0.5), strict=True):
        low, high = stats.binom.ppf([0.0005, 0.9995], TABLES, level) / TABLES
        assert low - 0.04 <= share <= high + 0.04


@pytest.mark.parametrize("times", [pytest.param(4.0, marks=pytest.mark.slow), 30.0])
def test_a_discrepancy_that_all_counts_share_is_rejected(times: float) -> None:
    assert covered(times, common=True)[0] < stats.binom.ppf(0.0005, TABLES, 0.9) / TABLES - 0.1
