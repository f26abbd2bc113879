"""Approximations: right where the density is nearly Gaussian, and Pareto's k says where it is not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.sampling.approximate import laplace, pathfinder
from bayesmoe.sampling.start import overdispersed_starts

DRAWS = 2000
METHODS = [laplace, pathfinder]


def drawn(method, log_density, dimension: int, seed: int = 0):
    """Draws of a density by a method, started as a fit starts it."""
    prior = np.random.default_rng(seed).normal(size=(4, dimension))
    start = overdispersed_starts(log_density, (), prior, chains=len(prior), held=np.zeros(dimension, dtype=bool), seed=seed)
    return method(log_density, (), start, jax.random.key(seed), draws=DRAWS)


def correlated(position):
    """A Gaussian with sds 1 and 2, correlation 0.9, around (1, -2)."""
    away = position - jnp.array([1.0, -2.0])
    precision = jnp.linalg.inv(jnp.array([[1.0, 1.8], [1.8, 4.0]]))
    return -0.5 * away @ precision @ away


@pytest.mark.parametrize("method", METHODS)
def test_a_gaussian_is_met_exactly(method) -> None:
    """Means within 5 Monte Carlo errors at the weights' effective size, sds within a tenth; k is small."""
    found = drawn(method, correlated, 2)
    draws, size = found.position[0], found.stats["importance_ess"][0, 0]
    assert found.position.shape == (1, DRAWS, 2)
    assert found.pareto_k < 0.5
    assert size > 500
    sds = np.array([1.0, 2.0])
    assert (np.abs(draws.mean(0) - [1.0, -2.0]) < 5 * sds * np.sqrt(1 / size + 1 / DRAWS)).all()
    np.testing.assert_allclose(draws.std(0), sds, rtol=0.1)
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(0.9, abs=0.03)


def test_a_skewed_density_is_corrected_by_its_weights() -> None:
    """ln of a Gamma(3) variable: a plain Laplace approximation misses its mean, digamma(3) = 0.9228, by 0.18."""
    found = drawn(laplace, lambda position: 3.0 * position[0] - jnp.exp(position[0]), 1)
    assert found.pareto_k < 0.7
    assert found.position.mean() == pytest.approx(0.9228, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_funnel_is_seen(method) -> None:
    """Neal's funnel: no Gaussian covers both its neck and its mouth."""

    def funnel(position):
        v, x = position[0], position[1:]
        return -0.5 * (v / 3.0) ** 2 - 0.5 * jnp.sum(x**2) * jnp.exp(-v) - 0.5 * len(x) * v

    assert drawn(method, funnel, 6).pareto_k > 0.7


def test_same_key_same_draws() -> None:
    first, again = (drawn(laplace, correlated, 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.position, again.position)
