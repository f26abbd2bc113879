"""Stacking weights against brute force, and what they do with good, bad and complementary laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.weights import mixed, stacking_weights


def log_scores(seed: int, splits: int = 4, runs: int = 20) -> list[np.ndarray]:
    """Three laws: right, biased, and much too wide."""
    rng = np.random.default_rng(seeded(seed))
    made = []
    for _ in range(splits):
        y = rng.normal(size=runs)
        made.append(np.stack([stats.norm.logpdf(y), stats.norm.logpdf(y, 1.5), stats.norm.logpdf(y, 0, 10)]))
    return made


def test_weights_maximize_the_objective() -> None:
    found = log_scores(0)

    def objective(w: np.ndarray) -> float:
        return sum(3.0 * np.log(w @ np.exp(each)).mean() for each in found) + 0.1 * np.log(w).sum()

    best = stacking_weights(found, laws=3)
    assert best.sum() == pytest.approx(1.0)
    rng = np.random.default_rng(seeded(1))
    others = rng.dirichlet(best * 200, size=2000)
    assert max(map(objective, others)) <= objective(best) + 1e-6


def test_the_better_law_weighs_more_and_no_law_weighs_nothing() -> None:
    weights = stacking_weights(log_scores(2, splits=8), laws=3)
    assert weights.argmax() == 0
    assert weights.min() > 0.001


def test_more_runs_in_a_cut_do_not_make_it_count_for_more() -> None:
    few, many = log_scores(3, splits=1, runs=10), log_scores(3, splits=1, runs=10)
    many = [np.tile(many[0], 50)]
    np.testing.assert_allclose(stacking_weights(few, laws=3), stacking_weights(many, laws=3), atol=1e-6)


def test_without_cuts_weights_are_even() -> None:
    np.testing.assert_allclose(stacking_weights([], laws=4), 0.25)


def test_a_mixture_has_its_weights() -> None:
    draws = mixed([np.zeros((10, 2)), np.ones((10, 2))], np.array([0.25, 0.75]), count=4000, seed=seeded(0))
    assert draws.shape == (4000, 2)
    # Binomial(4000, 0.75): 4 sd is 0.027.
    assert draws.mean() == pytest.approx(0.75, abs=0.027)
