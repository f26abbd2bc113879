"""Models that no honest gate passes: two modes of like mass, and a law with a coordinate too many."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import pytest
from seeds import seeded

from bayesmoe.criticism.gate import check
from bayesmoe.fitting import fit_spec
from bayesmoe.laws.base import Coordinate
from bayesmoe.laws.forms.chinchilla import Chinchilla


@dataclasses.dataclass(frozen=True)
class TwoModes(Chinchilla):
    """Chinchilla's law whose size slope depends on the square of a coordinate: two modes, mirror images."""

    name = "two-modes"
    coordinates = (
        *(c for c in Chinchilla.coordinates if c.name != "slope_size"),
        Coordinate("x", "real", 0.0, 1.0, 0.1, "dense", "1", "sign does not matter"),
    )

    def to_paper(self, coordinates, reference):
        return super().to_paper({**coordinates, "slope_size": 0.02 * jnp.exp(coordinates["x"] ** 2)}, reference)


@dataclasses.dataclass(frozen=True)
class OneTooMany(Chinchilla):
    """Chinchilla's law with a second factor on the loss: only the product of the two acts."""

    name = "one-too-many"
    coordinates = (*Chinchilla.coordinates, Coordinate("factor", "positive", 0.0, 0.3, 0.1, "dense", "1", "a second factor"))

    def to_paper(self, coordinates, reference):
        loss = coordinates["factor"] * coordinates["loss_reference"]
        return super().to_paper({**coordinates, "loss_reference": loss}, reference)


def gate_of(small_spec, law: str, seed: int, **sampler):
    """Gate of a fit of that law to the embedded runs."""
    own = dataclasses.replace(small_spec.law, name=f"{__name__}:{law}", options={}, priors={}, size=None)
    how = dataclasses.replace(small_spec.sampler, seed=seeded(seed), retries=2, **sampler)
    return check(fit_spec(dataclasses.replace(small_spec, law=own, sampler=how)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_two_modes_fail(small_spec, seed) -> None:
    """Sixteen climbs all meet the same of two like modes with probability 1/32768; only then does the fit not say so."""
    gate = gate_of(small_spec, "TwoModes", seed)
    assert gate.verdict == "FAIL"
    assert {found.name for found in gate.checks if found.verdict == "FAIL"} & {"R-hat", "attempts"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_coordinate_too_many_fails(small_spec, seed) -> None:
    gate = gate_of(small_spec, "OneTooMany", seed)
    failed = [found for found in gate.checks if found.verdict == "FAIL"]
    assert [found.name for found in failed] == ["law identified"]
    assert "factor" in failed[0].where
