"""Priors of a spec in force on a law's coordinates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from bayesmoe.errors import InputError, nearest
from bayesmoe.inference.spec import PriorSpec
from bayesmoe.laws import Coordinate, Law


def coordinates_of(law: Law, priors: Mapping[str, PriorSpec]) -> tuple[Coordinate, ...]:
    """Coordinates of a law with the spec's priors in force.

    Raises
    ------
    InputError
        A prior names no coordinate of the law, or its median lies outside the coordinate's support.
    """
    names = [coordinate.name for coordinate in law.coordinates]
    for name in priors:
        if name not in names:
            raise InputError(
                f"is not a coordinate of the law {law.name!r}", column=f"law.priors.{name}", hint=nearest(name, names)
            )
    return tuple(_with_prior(c, priors[c.name]) if c.name in priors else c for c in law.coordinates)


def _with_prior(coordinate: Coordinate, prior: PriorSpec) -> Coordinate:
    mean = float(coordinate.to_real(prior.median))
    if not math.isfinite(mean):
        raise InputError(
            f"must lie inside the support ({coordinate.support})",
            column=f"law.priors.{coordinate.name}.median",
            value=prior.median,
        )
    spread = coordinate.spread if prior.group_spread is None else prior.group_spread
    return dataclasses.replace(coordinate, mean=mean, sd=prior.sd, spread=spread)
