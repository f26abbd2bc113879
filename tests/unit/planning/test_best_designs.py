import numpy as np
import pytest

from bayesmoe.planning.best_designs import closest

OBJECTIVE = np.array([1.0, 2.0, 3.0, 4.0, np.nan])


@pytest.mark.parametrize(
    ("met", "possible", "best"),
    [
        # The cheapest that is sure enough.
        ([0.5, 0.89, 0.9, 0.99, 1.0], 1.0, 2),
        # None is: the cheapest that nine in ten of the draws keep in which any can, though another is a little more probable.
        ([0.5, 0.62, 0.64, 0.7, 0.7], 0.7, 2),
        # None reaches that either: the most probable, and of equals the cheapest.
        ([0.1, 0.3, 0.3, 0.2, 0.3], 0.7, 1),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0, 0),
    ],
)
def test_the_closest_design_by_hand(met, possible, best):
    assert closest(OBJECTIVE, np.array(met), 0.9, possible) == best
