"""Stacking weights against brute force, and what they do with good, bad and complementary laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.forecasting.weights import bootstrapped_weights, mixed, stacking_weights


def scores(seed: int, splits: int = 4, runs: int = 20) -> np.ndarray:
    """Joint log scores a run of three laws, shape (split, law): right, biased, and much too wide."""
    rng = np.random.default_rng(seeded(seed))
    made = []
    for _ in range(splits):
        y = rng.normal(size=runs)
        made.append([stats.norm.logpdf(y, *law).mean() for law in ((0.0, 1.0), (1.5, 1.0), (0.0, 10.0))])
    return np.array(made)


def test_weights_maximize_the_objective() -> None:
    found, counts = scores(0), np.array([0.5, 2.0, 1.0, 0.5])

    def objective(w: np.ndarray) -> float:
        return counts @ np.log(np.exp(3.0 * found) @ w) + 0.1 * np.log(w).sum()

    best = stacking_weights(found, counts=counts)
    assert best.sum() == pytest.approx(1.0)
    rng = np.random.default_rng(seeded(1))
    others = rng.dirichlet(best * 200, size=2000)
    assert max(map(objective, others)) <= objective(best) + 1e-6


def test_the_better_law_weighs_more_and_no_law_weighs_nothing() -> None:
    weights, _ = bootstrapped_weights(scores(2, splits=8), seed=0)
    assert weights.argmax() == 0
    assert weights.min() > 0.001


def test_splits_that_disagree_leave_weights_uncertain() -> None:
    """Each of two laws is far better at half of the splits; where all agree, the spread is small."""
    torn = np.tile([[0.0, -2.0], [-2.0, 0.0]], (3, 1))
    mean, spread = bootstrapped_weights(torn, seed=0)
    np.testing.assert_allclose(mean, 0.5, atol=0.05)
    assert spread.min() > 0.1
    agreed, sure = bootstrapped_weights(np.tile([[0.0, -2.0]], (6, 1)), seed=0)
    assert agreed[0] > 0.9
    assert sure.max() < 0.2 * spread.min()


def test_a_law_without_a_score_at_a_split_is_neither_better_nor_worse_there() -> None:
    known = scores(4, splits=6)
    gap = known.copy()
    gap[0, 1] = np.nan
    filled = known.copy()
    filled[0, 1] = known[0, [0, 2]].mean()
    np.testing.assert_allclose(stacking_weights(gap, counts=np.ones(6)), stacking_weights(filled, counts=np.ones(6)))


def test_without_splits_weights_are_even() -> None:
    weights, spread = bootstrapped_weights(np.zeros((0, 4)), seed=0)
    np.testing.assert_allclose(weights, 0.25)
    assert np.isnan(spread).all()


def test_a_mixture_has_its_weights() -> None:
    draws = mixed([np.zeros((10, 2)), np.ones((10, 2))], np.array([0.25, 0.75]), count=4000, seed=seeded(0))
    assert draws.shape == (4000, 2)
    # Binomial(4000, 0.75): 4 sd is 0.027.
    assert draws.mean() == pytest.approx(0.75, abs=0.027)
