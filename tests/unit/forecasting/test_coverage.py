"""Coverage by level: an honest forecaster stays within what chance allows, one that is too sure does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.backtest import Backtest
from bayesmoe.forecasting.coverage import STEPS, coverage_by_level
from bayesmoe.forecasting.scores import scores

RUNS = 400


@pytest.fixture(scope="module")
def found() -> Backtest:
    """An honest forecaster, and its twin whose bands are a third as wide."""
    rng = np.random.default_rng(seeded(3))
    center = rng.normal(size=RUNS)
    observed = 3.0 + 0.1 * (center + rng.normal(size=RUNS))
    honest = 3.0 + 0.1 * (center + rng.normal(size=(1000, RUNS)))
    narrow = honest.mean(axis=0) + (honest - honest.mean(axis=0)) / 3.0
    draws = {"honest": honest, "narrow": narrow}
    empty: dict = {}
    return Backtest(
        scores={name: scores(each, observed) for name, each in draws.items()},
        draws=draws,
        weights=empty,
        discrepancies=empty,
        misses=empty,
        loo=empty,
        observed=observed,
        runs=np.array([f"run-{i}" for i in range(RUNS)]),
        extrapolation_factors=empty,
        budget_beyond=np.ones(RUNS),
        decisions=None,
    )


def outside(found, name: str) -> float:
    """Share of levels at which a forecaster's coverage leaves the band."""
    low, _, high = found["by_chance"].transpose("quantile", "level").values
    own = found["coverage"].sel(forecaster=name).values
    return float(((own < low) | (own > high)).mean())


def test_the_honest_stay_in_the_band_and_the_narrow_do_not(found) -> None:
    judged = coverage_by_level(found)
    # Coverage by level is a distribution function of the runs: Kolmogorov's distance, exceeded by chance once in a thousand.
    by_chance = stats.kstwo.ppf(0.999, RUNS)
    distance = abs(judged["coverage"] - judged["level"]).max("level")
    assert float(distance.sel(forecaster="honest")) < by_chance < float(distance.sel(forecaster="narrow"))
    assert outside(judged, "honest") < outside(judged, "narrow")
    assert outside(judged, "narrow") > 0.9
    assert bool((judged["coverage"].sel(forecaster="narrow") < judged["coverage"].sel(forecaster="honest")).all())


def test_coverage_is_that_of_the_scores(found) -> None:
    judged = coverage_by_level(found, forecasters=["narrow"], levels=[0.5, 0.9])
    assert judged["coverage"].values.tolist() == [found.scores["narrow"]["coverage"].sel(level=[0.5, 0.9]).values.tolist()]
    assert judged["forecaster"].values.tolist() == ["narrow"]


def test_the_band_is_the_binomials(found) -> None:
    few = dataclasses.replace(found, draws={"honest": found.draws["honest"][:, :25]}, observed=found.observed[:25])
    judged = coverage_by_level(few)
    assert judged.attrs["runs"] == 25
    assert judged["level"].values.tolist() == list(STEPS)
    low, middle, high = judged["by_chance"].sel(level=0.9).values * 25
    for count, share in ((low, 0.05), (middle, 0.5), (high, 0.95)):
        assert stats.binom.cdf(round(count), 25, 0.9) >= share > stats.binom.cdf(round(count) - 1, 25, 0.9)
