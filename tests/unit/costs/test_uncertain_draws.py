"""Draws of uncertain numbers follow the distribution that they state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayesmoe.costs.uncertain import Uncertain, sample

DRAWS, MEDIAN, LOG_SD = 20_000, 2.0, 0.3
ERROR_RATE = 1e-4


def follows(draws: np.ndarray, median: float, log_sd: float) -> bool:
    """Whether draws are log-normal with that median and log-sd; wrong once in 5,000 on ones that are.

    A two-sided sign test of the median and a chi-squared test of the log-sd about it, each at an error rate of 1e-4.
    """
    centered = np.log(draws / median)
    below = stats.binomtest(int((centered < 0).sum()), len(draws)).pvalue
    low, high = stats.chi2(len(draws)).ppf([ERROR_RATE / 2, 1 - ERROR_RATE / 2])
    return bool(below > ERROR_RATE and low < np.sum(centered**2) / log_sd**2 < high)


@pytest.mark.parametrize("seed", range(5))
def test_draws_have_the_median_and_the_spread(seed):
    draws = sample(Uncertain(median=MEDIAN, log_sd=LOG_SD), DRAWS, np.random.default_rng(seed))
    assert follows(draws, MEDIAN, LOG_SD)


@pytest.mark.parametrize(
    "twin",
    [
        lambda z: MEDIAN * np.exp(LOG_SD * z - LOG_SD**2 / 2),  # the mean taken for the median
        lambda z: MEDIAN * 10 ** (LOG_SD * z),  # decades taken for e-folds
        lambda z: MEDIAN * np.exp(1.05 * LOG_SD * z),  # a spread 5 % too wide
        lambda z: MEDIAN * (1 + LOG_SD * z).clip(1e-9),  # normal, not log-normal
        lambda z: np.full_like(z, MEDIAN),  # no spread
    ],
    ids=["mean", "decades", "wide", "normal", "none"],
)
def test_the_check_of_draws_catches_broken_ones(twin):
    assert not follows(twin(np.random.default_rng(0).standard_normal(DRAWS)), MEDIAN, LOG_SD)


@pytest.mark.parametrize("size", [5, (4, 1), (2, 3)])
@pytest.mark.parametrize("quantity", [1.5, Uncertain(median=1.5, log_sd=0.0)])
def test_a_certain_number_is_itself_in_every_shape(quantity, size):
    found = sample(quantity, size, np.random.default_rng(0))
    np.testing.assert_array_equal(found, np.full(size, 1.5))


def test_the_same_seed_gives_the_same_draws():
    quantity = Uncertain(median=2.0, log_sd=0.3)
    first, second, third = (sample(quantity, 9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != third).all()


def test_a_share_is_drawn_up_to_one():
    quantity = Uncertain(median=0.9, log_sd=0.5)
    free = sample(quantity, 1000, np.random.default_rng(3))
    capped = sample(quantity, 1000, np.random.default_rng(3), most=1.0)
    assert (free > 1).any()
    np.testing.assert_array_equal(capped, np.minimum(free, 1.0))


def test_a_certain_share_is_capped_like_an_uncertain_one():
    assert sample(1.5, 2, np.random.default_rng(0), most=1.0).tolist() == [1.0, 1.0]
