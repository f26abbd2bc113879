"""How far each group of each coordinate is centered, from what its own runs say about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.inference.model import Data, Structure
from bayesmoe.laws.base import Coordinate, Law


def degrees_of_centering(structure: Structure, data: Data) -> dict[str, Any]:
    """Degree of centering of each pooled coordinate in each group, in [0, 1]; arrays of shape (groups,) by coordinate.

    ``lambda = 1 - s^2 / spread^2`` with s the standard deviation that the group's own runs leave to the coordinate, by the
    law's gradient at the prior medians and the prior noise, when its prior is the between-group spread. Centered where the
    data are strong, non-centered where they are weak, and in between otherwise: both extremes alone leave a funnel in a table
    where one group varies experts and another does not.
    """
    if not structure.pooled:
        return {}
    law, coordinates = structure.law, structure.coordinates
    medians = jnp.array([c.mean for c in coordinates])
    gradient = np.asarray(_gradient(law, coordinates)(medians, data.covariates, data.reference))
    spread = np.array([c.spread for c in coordinates])
    weight = np.asarray(data.weight)[: len(gradient), None]
    scaled = np.nan_to_num(gradient) * np.sqrt(weight) * spread / law.noise_median
    degrees = np.empty((len(structure.groups), len(coordinates)))
    for group in range(len(structure.groups)):
        of_group = scaled[np.asarray(data.group) == group]
        degrees[group] = 1.0 - np.diag(np.linalg.inv(of_group.T @ of_group + np.eye(len(coordinates))))
    degrees = np.clip(degrees, 0.0, 1.0)
    return {c.name: jnp.asarray(degrees[:, i]) for i, c in enumerate(coordinates) if c.name in structure.pooled}


@lru_cache(maxsize=64)
def _gradient(law: Law, coordinates: tuple[Coordinate, ...]) -> Callable[..., Any]:
    """Gradient of a run's log loss with respect to the coordinates, as a program that all parts of a table share."""

    def ln_loss(real: Any, run: Any, reference: Any) -> Any:
        values = {c.name: c.to_support(real[i]) for i, c in enumerate(coordinates)}
        return jnp.log(law.loss(law.to_paper(values, reference), run))

    return jax.jit(jax.vmap(jax.grad(ln_loss), in_axes=(None, 0, None)))
