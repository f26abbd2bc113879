import math

import numpy as np
import pytest

from bayesmoe.decisions.limits import smallest_relaxation

NEEDED = np.array([1.0, 2.0, 3.0, 4.0, math.inf])


@pytest.mark.parametrize(
    ("others", "probability", "at_least", "value"),
    [
        ([True] * 5, 0.8, False, 4.0),
        ([True] * 5, 0.6, False, 3.0),
        ([True] * 5, 0.61, False, 4.0),
        # A draw that breaks another limit is not won back.
        ([False, True, True, True, True], 0.6, False, 4.0),
        ([False, True, True, True, True], 0.8, False, math.nan),
        ([True] * 5, 0.9, False, math.nan),
        # A limit from below is relaxed by lowering it.
        ([True] * 5, 0.6, True, 2.0),
        ([True] * 5, 0.8, True, 1.0),
    ],
)
def test_the_smallest_relaxation_by_hand(others, probability, at_least, value):
    found = smallest_relaxation(NEEDED, np.array(others), probability, at_least=at_least)
    assert found == pytest.approx(value, nan_ok=True)


def test_the_smallest_relaxation_reaches_the_probability_and_nothing_less_does():
    rng = np.random.default_rng(0)
    for _ in range(50):
        needed, others = rng.lognormal(size=200), rng.uniform(size=200) < 0.9
        found = smallest_relaxation(needed, others, 0.7)
        assert (others & (needed <= found)).mean() >= 0.7
        assert (others & (needed < found)).mean() < 0.7
