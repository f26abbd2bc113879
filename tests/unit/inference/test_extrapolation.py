"""Reach: zero where a run was seen, slope times distance elsewhere, and no less for a run further away."""

from __future__ import annotations

import numpy as np

from bayesmoe.inference.extrapolation import extrapolation_distance, runs_in_group

SEEN = np.log(np.array([[1e8, 1e9, 1e8], [1e9, 1e10, 1e10]]))
SLOPE = np.array([[0.06, 0.04, 0.06], [0.08, 0.05, 0.05]])


def test_a_run_seen_has_no_reach() -> None:
    np.testing.assert_array_equal(extrapolation_distance(SEEN, SEEN, SLOPE), 0.0)


def test_reach_is_slope_times_distance_from_the_run_that_is_nearest_by_it() -> None:
    asked = np.log(np.array([[1e10, 1e9], [1e10, 2e9]]))
    # The second is nearer to (1e8, 1e9) in logarithms along tokens, but the law falls steeply there.
    expected = [[0.04 * np.log(10), 0.0], [0.0, 0.05 * np.log(5)]]
    np.testing.assert_allclose(extrapolation_distance(asked, SEEN, SLOPE), expected, atol=1e-12)


def test_what_a_law_does_not_read_has_no_reach() -> None:
    away = extrapolation_distance(SEEN + 5.0, SEEN, np.array([[0.06, 0.04, 0.06], [0.0, 0.0, 0.0]]))
    assert (away[0] > 0).all()
    np.testing.assert_array_equal(away[1], 0.0)


def test_a_group_reaches_from_its_own_runs_and_those_that_all_share() -> None:
    groups = np.array(["a", "b", "", "b"])
    np.testing.assert_array_equal(runs_in_group(groups, "a"), [True, False, True, False])
    for unseen in ("new", None):
        assert runs_in_group(groups, unseen).all(), "no run of its own: from anywhere"
    assert runs_in_group(np.array(["", ""]), None).all()
