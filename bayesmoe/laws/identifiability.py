"""Whether a law can be learned at all: coordinates that no table of runs, however rich, could tell apart."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.laws.base import Coordinate, Law, Reference

_RUNS = 400
_PLACES = 8
_BEYOND = 30.0
_SEED = 0


class WeakestDirection(NamedTuple):
    """The combination of coordinates that a law's response depends on least.

    Attributes
    ----------
    strength : float
        Response to it, over the response to the strongest combination; 0 where the law has one coordinate too many.
    coordinates : tuple of str
        The coordinates that make it up, largest part first.
    """

    strength: float
    coordinates: tuple[str, ...]


def weakest_direction(
    law: Law, coordinates: tuple[Coordinate, ...], reference: Reference, ranges: Mapping[str, tuple[float, float]]
) -> WeakestDirection:
    """Weakest direction of a law over an imagined table, far richer than the real one.

    ``J_ij = d ln L(run_i) / d z_j`` with z the coordinates in units of their priors; the strength is the smallest singular value of
    J over its largest, at the prior draw where that is largest. The imagined runs scatter over each covariate's ``ranges`` (smallest,
    largest) and 30 times beyond, independently of each other. It judges the law and not the runs: two coordinates that only ever
    act together have strength 0, one that these runs happen not to vary has not.
    """
    rng = np.random.default_rng(_SEED)
    run = {name: jnp.asarray(_scattered(*ranges[name], rng)) for name in law.covariates}
    places = np.concatenate([np.zeros((1, len(coordinates))), rng.standard_normal((_PLACES, len(coordinates)))])
    best = WeakestDirection(0.0, ())
    jacobian = _jacobian(law, coordinates)
    for matrix in np.asarray(jacobian(jnp.asarray(places), run, jax.tree.map(jnp.asarray, reference))):
        rows = matrix[np.isfinite(matrix).all(axis=1)]
        if len(rows) < len(coordinates):
            continue
        _, values, directions = np.linalg.svd(rows, full_matrices=False)
        parts = np.abs(directions[-1])
        names = tuple(coordinates[i].name for i in np.argsort(-parts) if parts[i] > 0.1)
        strength = float(values[-1] / values[0]) if values[0] > 0 else 0.0
        if not best.coordinates or strength > best.strength:
            best = WeakestDirection(strength, names)
    return best


@functools.lru_cache(maxsize=32)
def _jacobian(law: Law, coordinates: tuple[Coordinate, ...]) -> Callable[[Any, Any, Any], Any]:
    """``d ln L(run) / d z`` at places of shape (place, coordinate) and runs of shape (n,); compiled once a law."""

    def ln_response(z: Any, run: Any, reference: Reference) -> Any:
        values = {c.name: c.to_support(c.mean + c.sd * z[i]) for i, c in enumerate(coordinates)}
        return jnp.log(law.loss(law.to_paper(values, reference), run))

    of_runs = jax.vmap(jax.jacfwd(ln_response), in_axes=(None, 0, None))
    return jax.jit(jax.vmap(of_runs, in_axes=(0, None, None)))


def _scattered(low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Values around a covariate's range: shares stay between 0 and 1, counts at 1 and above, sizes anywhere on the log scale."""
    if high < 1.0:
        return rng.uniform(low / 2, (1 + high) / 2, _RUNS)
    if low <= 0:
        return rng.uniform(0.0, high * _BEYOND, _RUNS)
    floor = 1.0 if low >= 1.0 else 0.0
    return np.maximum(floor, np.exp(rng.uniform(np.log(low / _BEYOND), np.log(high * _BEYOND), _RUNS)))
