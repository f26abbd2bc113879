"""Extrapolation distance: small among the runs seen, slope times distance beyond them, smooth, and different between expert counts."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.inference.extrapolation import extrapolation_distance, is_axis, parts_of_distance, runs_in_group

AXES = ("n_dense", "tokens", "num_experts")
GRID = np.stack(
    [
        one.ravel()
        for one in np.meshgrid(*(np.log(each) for each in ([1e8, 3e8, 1e9], [2e9, 2e10], [1, 8, 64])), indexing="ij")
    ]
)
SLOPE = np.array([0.06, 0.08, 0.03])[:, None] * np.ones(GRID.shape[1])


def distance(asked: np.ndarray, slope: np.ndarray = SLOPE) -> np.ndarray:
    """Distance of runs from the grid."""
    return extrapolation_distance(asked, GRID, slope, AXES)


def test_parts_are_the_axes_and_their_products_with_experts() -> None:
    assert parts_of_distance(AXES) == (*AXES, "n_dense x experts", "tokens x experts")
    assert parts_of_distance(AXES[:2]) == AXES[:2]
    assert [is_axis(part) for part in parts_of_distance(AXES)] == [True] * 3 + [False] * 2


def test_a_run_seen_is_hardly_away() -> None:
    beyond = distance(GRID + np.array([[np.log(30.0)], [0.0], [0.0]]))
    assert np.abs(distance(GRID)).max() < 0.05 * np.abs(beyond).max()


@pytest.mark.parametrize(("axis", "far"), [(0, 3.0), (1, 4.0), (2, 2.0), (0, -3.0)])
def test_beyond_the_runs_it_is_slope_times_distance_with_its_side(axis: int, far: float) -> None:
    edge = GRID[:, -1:] if far > 0 else GRID[:, :1]
    moved = edge.copy()
    moved[axis] += far
    found = distance(moved)[:, 0]
    assert found[axis] == pytest.approx(SLOPE[axis, 0] * far, rel=0.05)
    assert np.abs(np.delete(found[:3], axis)).max() < 0.01


def test_products_change_with_the_expert_count_and_axes_do_not() -> None:
    counts = GRID[2] == np.log(64.0)
    low, high = (
        distance(GRID[:, chosen] + np.array([[3.0], [0.0], [0.0]])).mean(axis=1) for chosen in (GRID[2] == 0.0, counts)
    )
    assert low[0] == pytest.approx(high[0], rel=0.02)
    assert high[3] > 0 > low[3]
    assert high[3] - low[3] == pytest.approx(high[0] * np.log(64.0) / 2.0, rel=0.05)


def test_it_has_no_jumps() -> None:
    """Along a line through the grid and far beyond, steps of a thousandth move no part by more than a few of its mean steps."""
    line = np.linspace(GRID.min(axis=1) - 1.0, GRID.max(axis=1) + 3.0, 4000).T
    steps = np.abs(np.diff(distance(line), axis=1))
    assert steps.max() < 0.002
    nearest = np.abs(line[:, :, None] - GRID[:, None, :]).sum(axis=0).argmin(axis=1)
    jumping = SLOPE[:, :1] * (line - GRID[:, nearest])
    assert np.abs(np.diff(jumping, axis=1)).max() > 10 * steps.max()


def test_what_a_law_does_not_read_has_no_distance() -> None:
    slope = SLOPE * np.array([[1.0], [0.0], [1.0]])
    away = distance(GRID + 5.0, slope)
    assert (away[0] > 0).all()
    np.testing.assert_array_equal(away[[1, 4]], 0.0)


def test_a_saturated_law_is_doubted_as_elsewhere() -> None:
    """A law that has nothing left to gain at the largest counts keeps the doubt of its mean slope there."""
    saturated = SLOPE * np.array([[1.0], [1.0], [0.0]]) + np.where(GRID[2] < 4, 0.045, 0.0) * np.array([[0.0], [0.0], [1.0]])
    asked = GRID[:, -1:] + np.array([[0.0], [0.0], [2.0]])
    assert distance(asked, saturated)[2, 0] == pytest.approx(0.03 * 2.0, rel=0.1)


def test_a_group_reaches_from_its_own_runs_and_those_that_all_share() -> None:
    groups = np.array(["a", "b", "", "b"])
    np.testing.assert_array_equal(runs_in_group(groups, "a"), [True, False, True, False])
    for unseen in ("new", None):
        assert runs_in_group(groups, unseen).all(), "no run of its own: from anywhere"
    assert runs_in_group(np.array(["", ""]), None).all()
