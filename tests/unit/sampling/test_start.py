"""Where chains start, when a mode of a similar density is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.sampling.start import CLIMBS, FEW_CLIMBS, Objective, overdispersed_starts

FREE = np.zeros(1, dtype=bool)


def hill(position, data):
    """One normal around ``data``."""
    return -0.5 * jnp.sum((position - data) ** 2)


def two_hills(position, data):
    """Two narrow normals, at -10 and, a little higher, at 10: a climb ends at the nearer."""
    heights = jnp.stack([-0.5 * (position[0] + 10.0) ** 2, 1.0 - 0.5 * (position[0] - 10.0) ** 2])
    return jnp.max(heights) + 0.0 * data


@pytest.fixture
def climbs(monkeypatch):
    """Places that climbs start from."""
    begun = []
    climb = Objective.climb

    def counted(self, start):
        begun.append(float(start[0]))
        return climb(self, start)

    monkeypatch.setattr(Objective, "climb", counted)
    return begun


def start(density, draws, near=None):
    return overdispersed_starts(
        density, (jnp.asarray(2.0),), np.array(draws)[:, None], chains=2, held=FREE, seed=0, near=near
    )


def test_a_known_mode_saves_most_climbs(climbs) -> None:
    found = start(hill, np.linspace(-3.0, 3.0, CLIMBS), near=np.array([1.5]))
    assert climbs[0] == 1.5
    assert len(climbs) == 1 + FEW_CLIMBS
    assert found.mode == pytest.approx(2.0, abs=1e-3)


def test_a_second_mode_near_the_known_one_asks_for_all_climbs(climbs) -> None:
    draws = [-9.0, -8.0, 8.0, *np.linspace(-12.0, 12.0, CLIMBS - 3)]
    found = start(two_hills, draws, near=np.array([-9.5]))
    assert len(climbs) == 1 + CLIMBS
    assert found.mode == pytest.approx(10.0, abs=1e-3)


def test_a_mode_of_another_model_is_not_used(climbs) -> None:
    start(hill, np.linspace(-3.0, 3.0, CLIMBS), near=np.array([1.5, 2.5]))
    assert len(climbs) == CLIMBS
