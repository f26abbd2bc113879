"""Bisection and unimodal minima against known answers, elementwise and at the ends of the bracket."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.planning.search import bisect, bracket_minimum, minimize_unimodal, refine


def ends(low, high):
    """A bracket as arrays."""
    return jnp.asarray(low, dtype=float), jnp.asarray(high, dtype=float)


def both_near(found, expected):
    """Assert that the last x that holds and the first that does not are the same number but for rounding."""
    for one in found:
        np.testing.assert_allclose(one, expected, rtol=1e-14)


def test_bisect_finds_each_elements_own_crossing():
    thresholds = np.array([[0.5, np.pi], [9.999, 7.0]])
    both_near(bisect(lambda x: x < thresholds, *ends(np.zeros((2, 2)), np.full((2, 2), 10.0))), thresholds)


def test_bisect_in_a_bracket_of_each_elements_own():
    both_near(bisect(lambda x: x**2 < 2.0, *ends([0.0, 1.0, -1.0], [10.0, 1.5, 2.0])), np.full(3, np.sqrt(2.0)))


@pytest.mark.parametrize(("threshold", "end"), [(0.0, 1.0), (5.0, 3.0)])
def test_bisect_stays_in_its_bracket(threshold, end):
    both_near(bisect(lambda x: x < threshold, *ends([1.0], [3.0])), [end])


def test_bisect_takes_the_unknown_as_false():
    both_near(bisect(lambda x: jnp.where(x < 2.5, 0.0, jnp.nan) <= 1.0, *ends([1.0], [3.0])), [2.5])


def test_bisect_returns_what_holds_and_what_does_not():
    """A serving cost jumps where one request less fits: a hair outside is not almost inside."""
    thresholds = np.random.default_rng(0).uniform(14.0, 32.0, 1000)
    last, first = bisect(lambda x: x <= thresholds, *ends(np.full(1000, 13.8), np.full(1000, 32.2)))
    assert (np.asarray(last) <= thresholds).all()
    assert (np.asarray(first) > thresholds).all()
    np.testing.assert_allclose(last, first, rtol=1e-15)


def test_bisect_compiles():
    both_near(jax.jit(lambda low, high: bisect(lambda x: jnp.exp(x) < 7.0, low, high))(*ends([0.0], [20.0])), np.log([7.0]))


@pytest.mark.parametrize(
    ("function", "minimum"),
    [
        pytest.param(lambda x: (x - 3.0) ** 2, 3.0, id="parabola"),
        pytest.param(lambda x: jnp.exp(x - 2.0) + jnp.exp(2.0 - 0.5 * x), (4.0 + np.log(0.5)) / 1.5, id="two exponentials"),
        pytest.param(lambda x: jnp.abs(x - 1.25), 1.25, id="kink"),
        pytest.param(lambda x: 1e-9 * (x - 4.5) ** 4, 4.5, id="flat"),
    ],
)
def test_minimum_of_a_known_function(function, minimum):
    found = minimize_unimodal(jax.vmap(jax.grad(function)), *ends([-10.0, 0.0], [10.0, 8.0]))
    # 42 halvings of a bracket of 20.
    np.testing.assert_allclose(found, minimum, rtol=0, atol=5e-12)


@pytest.mark.parametrize(("slope", "end"), [(-1.0, 8.0), (1.0, -2.0)])
def test_a_slope_of_one_sign_gives_the_nearer_end(slope, end):
    found = minimize_unimodal(lambda x: slope + 0.0 * x, *ends([-2.0], [8.0]))
    np.testing.assert_allclose(found, [end], rtol=0, atol=5e-12)


def test_of_two_valleys_the_lower_is_found():
    def two(x):
        return jnp.minimum((x + 3.0) ** 2 + 0.1, (x - 2.0) ** 2)

    low, high = bracket_minimum(jax.vmap(two), *ends([-10.0], [10.0]), 41)
    np.testing.assert_allclose(np.concatenate([low, high]), [1.5, 2.5])
    np.testing.assert_allclose(minimize_unimodal(jax.vmap(jax.grad(two)), low, high), 2.0, rtol=1e-12)


@pytest.mark.parametrize("off", [1e-9, -1e-9])
def test_a_limit_that_the_grids_best_point_meets_by_rounding_alone_is_found(off):
    """The grid was computed in single precision, where its point 3 was allowed; another point is allowed far away, and costs more."""
    grid = np.linspace(0.0, 10.0, 11)
    limit = grid[3] + off

    def value(x):
        return jnp.where(x >= limit, x, jnp.inf)

    found, least = refine(value, grid, jnp.array([3]), jnp.array([9.0]))
    np.testing.assert_allclose(found, limit, atol=2.5e-3)
    np.testing.assert_allclose(least, found)
    assert float(found[0]) >= limit
