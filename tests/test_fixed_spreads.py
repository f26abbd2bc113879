"""The normal approximation at given spreads: exact where the posterior is normal, and what counts for nothing teaches nothing."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist


def model(data):
    spread = numpyro.sample("spread", dist.HalfNormal(1.0))
    at = numpyro.sample("at", dist.Normal(0.0, spread))
    with numpyro.handlers.scale(scale=data["counts_as"]):
        numpyro.sample("y", dist.Normal(at, 1.0), obs=data["y"])


def test_a_normal_posterior_is_found_exactly(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "docs"))
    from fixed_spreads import Laplace

    data = {"y": jnp.array([1.0, 2.0, 3.0]), "counts_as": jnp.ones(3)}
    found = Laplace(model, data, {"spread": 2.0}, changing=("counts_as",))
    mode, root = found.fit()
    # Precision 3 of the points and 1/4 of the prior.
    np.testing.assert_allclose(mode, [6.0 / 3.25], rtol=1e-4)
    np.testing.assert_allclose(root @ root.T, [[1 / 3.25]], rtol=1e-4)
    mode, root = found.fit({"counts_as": jnp.array([1.0, 1.0, 1e-9])})
    np.testing.assert_allclose(mode, [3.0 / 2.25], rtol=1e-4)
    np.testing.assert_allclose(root @ root.T, [[1 / 2.25]], rtol=1e-4)
