"""Calibration of decisions: an honest forecast of expert counts is dependable, one that is too sure is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.decision_calibration import (
    choice_calibration,
    choice_percentiles,
    curves_of_experts,
    decision_calibration,
)

COUNTS = np.array([1.0, 4.0, 16.0, 64.0])
CURVES = [np.arange(4) + 4 * number for number in range(250)]
EXPERTS = np.tile(COUNTS, len(CURVES))


def forecasts(seed: int, *, width: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the losses of 250 curves, of which the truth is one more; errors of neighboring counts are correlated."""
    rng = np.random.default_rng(seeded(seed))
    mean = np.log(2.5) - 0.02 * np.log2(EXPERTS) + 0.0015 * np.log2(EXPERTS) ** 2
    errors = rng.standard_normal((801, len(CURVES), 4)).cumsum(axis=2) * 0.004 + 0.02 * rng.standard_normal(
        (801, len(CURVES), 1)
    )
    off = errors.reshape(801, -1)
    return np.exp(mean + width * off[1:]), np.exp(mean + off[0])


def test_an_honest_forecast_is_dependable() -> None:
    """750 differences, three a curve and independent: 99.9% limits of the binomial; P(best) right as often as it says."""
    found = decision_calibration(*forecasts(0), EXPERTS, CURVES)
    for level in (0.5, 0.8, 0.9):
        low, high = stats.binom.ppf([0.0005, 0.9995], 750, level) / 750
        assert low <= float(found["coverage"].sel(level=level)) <= high
    assert int(found["differences"]) == 750
    assert float(found["stated"]) == pytest.approx(float(found["right"]), abs=0.06)
    assert 0.9 < float(found["slope"]) < 1.1
    assert float(found["error"]) == pytest.approx(float(found["predicted_sd"]), rel=0.1)
    assert float(found["regret_stated"]) == pytest.approx(float(found["regret_suffered"]), rel=0.25)


def test_one_that_is_too_sure_is_told_apart() -> None:
    found = decision_calibration(*forecasts(0, width=0.3), EXPERTS, CURVES)
    assert float(found["coverage"].sel(level=0.9)) < 0.6
    assert float(found["stated"]) > float(found["right"]) + 0.1
    assert float(found["slope"]) < 0.85
    honest = decision_calibration(*forecasts(0), EXPERTS, CURVES)
    assert float(found["log_score"]) < float(honest["log_score"]) - 0.2


def test_a_curve_holds_runs_that_differ_in_their_count_alone() -> None:
    frame = pd.DataFrame(
        {
            "n_active": [1e8, 1.03e8, 1e8, 4e8, 1e8, 1e8],
            "tokens": [2e9, 2e9, 2e9, 2e9, 8e9, 2e9],
            "num_experts": [16, 1, 4, 1, 4, 8],
            "group": ["a", "a", "a", "a", "a", "b"],
        }
    )
    (curve,) = curves_of_experts(frame, "n_active")
    np.testing.assert_array_equal(curve, [1, 2, 0])
    assert curves_of_experts(frame.drop(columns="num_experts"), "n_active") == []


def stated(seed: int, *, sharper: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of six alternatives, and which was best: drawn from them, but for those that are said too sharply."""
    rng = np.random.default_rng(seeded(seed))
    chance = rng.dirichlet(np.full(6, 0.5), size=2000)
    best = (chance.cumsum(axis=1) < rng.random((2000, 1))).sum(axis=1).clip(max=5)
    said = chance**sharper
    return said / said.sum(axis=1, keepdims=True), best


def test_sets_of_the_most_probable_cover_their_level_exactly() -> None:
    """Kolmogorov and Smirnov at one in a thousand; a forecast that is too sure is rejected."""
    assert stats.kstest(choice_percentiles(*stated(3), seed=seeded(4)), "uniform").pvalue > 1e-3
    assert stats.kstest(choice_percentiles(*stated(3, sharper=2.0), seed=seeded(4)), "uniform").pvalue < 1e-3


def test_what_was_never_said_is_in_no_set() -> None:
    found = choice_percentiles(np.array([[0.4, 0.6, 0.0], [0.0, 0.0, 1.0]]), np.array([2, 2]), seed=0)
    assert found[0] == 1.0
    assert found[1] < 1.0


def test_choices_that_are_too_sure_are_told_apart() -> None:
    """2000 choices: a share has a standard error of at most 0.011, and the limits are four."""
    chance, best = stated(5)
    honest = choice_calibration(chance, best, chance.argmax(axis=1))
    assert float(honest["stated"]) == pytest.approx(float(honest["right"]), abs=0.045)
    assert 0.9 < float(honest["slope"]) < 1.1
    sharp, best = stated(5, sharper=3.0)
    sure = choice_calibration(sharp, best, sharp.argmax(axis=1))
    assert float(sure["stated"]) > float(sure["right"]) + 0.1
    assert float(sure["slope"]) < 0.9
    assert float(sure["log_score"]) < float(honest["log_score"])
    assert (sure["set_size"] < honest["set_size"]).all()


def test_a_set_is_as_small_as_its_probability_allows() -> None:
    found = choice_calibration(np.array([[0.5, 0.3, 0.15, 0.05]]), np.array([0]), np.array([0]))
    assert found["set_size"].values.tolist() == [1.0, 2.0, 3.0, 3.0]
