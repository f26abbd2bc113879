"""Scores against closed forms, and worse forecasts score worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.scores import covered, crps, scores, weighted_percentile


def test_crps_of_a_normal() -> None:
    """``CRPS(Normal(0, 1), y) = y (2 Phi(y) - 1) + 2 phi(y) - 1/sqrt(pi)``."""
    draws = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None].repeat(3, axis=1)
    y = np.array([-1.0, 0.0, 2.5])
    exact = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    np.testing.assert_allclose(crps(draws, y), exact, atol=1e-3)


def test_crps_of_a_point_is_the_distance() -> None:
    assert crps(np.full((50, 1), 2.0), np.array([2.3])) == pytest.approx(0.3)


def test_an_honest_forecast_covers_and_a_narrow_one_does_not() -> None:
    rng = np.random.default_rng(seeded(0))
    center = rng.normal(size=2000)
    observed = 3.0 + 0.1 * (center + rng.normal(size=2000))
    draws = 3.0 + 0.1 * (center + rng.normal(size=(500, 2000)))
    honest, narrow = scores(draws, observed), scores(draws.mean(axis=0) + 0.3 * (draws - draws.mean(axis=0)), observed)
    # Binomial(2000, level): 4 sd is under 0.045.
    np.testing.assert_allclose(honest["coverage"], honest["level"], atol=0.045)
    assert float(narrow["coverage"].sel(level=0.9)) < 0.6
    assert float(narrow["crps"]) > float(honest["crps"])
    assert abs(float(honest["bias"])) < 0.01
    assert stats.kstest(honest["pit"], "uniform").pvalue > 1e-3
    assert stats.kstest(narrow["pit"], "uniform").pvalue < 1e-3


def test_a_percentile_is_uniform_also_where_a_forecast_has_atoms() -> None:
    """A third of the draws, and of what comes, is one value; without a lot among those, percentiles pile up."""
    rng = np.random.default_rng(seeded(1))

    def drawn(*shape: int) -> np.ndarray:
        return np.where(rng.random(shape) < 1 / 3, 1.0, rng.normal(size=shape))

    came, forecasts, even = drawn(2000), drawn(2000, 200), np.ones(200)
    honest = [weighted_percentile(row, one, even, rng) for row, one in zip(forecasts, came, strict=True)]
    assert stats.kstest(honest, "uniform").pvalue > 1e-3
    without_lot = (forecasts < came[:, None]).mean(axis=1)
    assert stats.kstest(without_lot, "uniform").pvalue < 1e-3
    assert covered(np.array(honest), 0.8).mean() == pytest.approx(0.8, abs=0.045)


def test_a_draw_counts_by_its_weight() -> None:
    rng = np.random.default_rng(0)
    draws, weight = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 5.0])
    assert weighted_percentile(draws, 3.0, weight, rng) == pytest.approx(3 / 8)
    assert 3 / 8 <= weighted_percentile(draws, 4.0005, weight, rng, same=1e-3) <= 1.0
