"""Scores against closed forms, and worse forecasts score worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.scores import crps, scores


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
