"""Laws that cannot be learned are told from runs that teach nothing."""

from __future__ import annotations

import pytest

from bayesmoe.laws import all_laws, law_named
from bayesmoe.laws.base import Coordinate
from bayesmoe.laws.forms.chinchilla import Chinchilla
from bayesmoe.laws.identifiability import weakest_direction
from bayesmoe.laws.prior import typical_reference


class OneTooMany(Chinchilla):
    """Chinchilla's law with a second factor on the loss: only the product of the two acts."""

    name = "one-too-many"
    coordinates = (*Chinchilla.coordinates, Coordinate("factor", "positive", 0.0, 0.3, 0.1, "dense", "1", "a second factor"))

    def to_paper(self, coordinates, reference):
        factor = coordinates["factor"]
        return super().to_paper({**coordinates, "loss_reference": factor * coordinates["loss_reference"]}, reference)


def strength(law, spread: float = 10.0):
    reference = typical_reference(law)
    ranges = {name: (value, value * spread) if value >= 1 else (value, value) for name, value in reference.run.items()}
    return weakest_direction(law, law.coordinates, reference, ranges)


@pytest.mark.parametrize("law", [law for law in all_laws if typical_reference(law()) is not None], ids=lambda law: law.name)
@pytest.mark.few(8)
def test_every_law_of_the_catalog_can_be_learned(law) -> None:
    assert strength(law()).strength > 1e-5


def test_a_law_with_a_coordinate_too_many_is_named() -> None:
    found = strength(OneTooMany())
    assert found.strength < 1e-9
    assert set(found.coordinates) >= {"factor", "loss_reference"}


def test_runs_that_vary_nothing_do_not_make_a_law_unlearnable() -> None:
    assert strength(law_named("chinchilla"), spread=1.0).strength > 1e-3
