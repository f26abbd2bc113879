"""Flat positions and the sites they stand for."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import law_of, load_table


@pytest.fixture(scope="module")
def arranged(small_spec):
    """Density, data and losses of the embedded runs."""
    law = law_of(small_spec.law)
    table = load_table(small_spec.data, small_spec.groups, law.response)
    frame, structure, data = arrange(table, law, coordinates_of(law, small_spec.law.priors), small_spec)
    return LogDensity(structure), data, jnp.asarray(frame["loss"].to_numpy(float))


def test_positions_and_sites_are_inverses(arranged) -> None:
    density, data, loss = arranged
    size = sum(int(np.prod(shape)) for shape in density.shapes(data, loss).values())
    position = 0.3 * np.random.default_rng(0).standard_normal((1, 5, size))
    sites = density.sites(position, data, loss)
    free = {name: jnp.asarray(sites[name][0]) for name in density.shapes(data, loss)}
    np.testing.assert_allclose(density.unconstrained(free, data, loss), position[0], rtol=1e-8, atol=1e-9)


def test_densities_of_one_structure_are_one(arranged) -> None:
    density, _, _ = arranged
    twin = LogDensity(dataclasses.replace(density.structure))
    assert twin == density
    assert hash(twin) == hash(density)


def test_the_gradient_is_finite_at_the_middle_of_the_prior(arranged) -> None:
    density, data, loss = arranged
    size = density.unbounded(data, loss).size
    assert density.unbounded(data, loss).sum() == 1, "the noise has degrees of freedom, and runs are not grouped"
    assert np.isfinite(jax.jit(jax.grad(density))(jnp.zeros(size), data, loss)).all()


def test_responses_scatter_around_the_law(arranged) -> None:
    density, data, loss = arranged
    position = np.zeros((1, 400, density.unbounded(data, loss).size))
    drawn = density.responses(position, data, loss, np.random.default_rng(0))
    assert drawn.shape == (1, 400, len(loss))
    sites = density.sites(position[:, :1], data, loss)
    scale, df = (float(sites[name].ravel()[0]) for name in ("noise_scale", "noise_df"))
    low, middle, high = np.quantile(drawn[0], [0.25, 0.5, 0.75], axis=0)
    # The middle of all runs' quartile spreads, relative to the loss, is Student's to within a fifth with 400 draws a run.
    assert np.median((high - low) / np.abs(middle)) == pytest.approx(2 * scale * stats.t.ppf(0.75, df), rel=0.2)
