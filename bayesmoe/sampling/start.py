"""Where chains start: modes found from prior draws, and the curvature there as a first mass matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.linalg
from scipy.optimize import minimize

CLIMBS = 16
"""Fewest climbs of a start: a mode that takes one climb in six is missed by all of them once in twenty times."""

LIKE = 20.0
"""How many nats below the best mode met another one may lie and still be worth a chain."""

_OVERDISPERSION = (2.0, 1.0, 0.5, 0.0)
_SPREAD_SD = 0.3
_STEP = 1e-4
_WALL = 1e15
# Squared distance, in units of the curvature, from which two modes are different places whatever lies between.
_ELSEWHERE = 100.0


class Start(NamedTuple):
    """Starting positions, shape (chains, dimension); the best mode met, shape (dimension,); and the inverse curvature there."""

    positions: np.ndarray
    mode: np.ndarray
    covariance: np.ndarray


def overdispersed_starts(
    log_density: Callable[..., Any],
    arguments: tuple[Any, ...],
    prior_draws: np.ndarray,
    *,
    chains: int,
    held: np.ndarray,
    seed: int,
) -> Start:
    """Climb from each prior draw to a mode, and scatter chains around modes far apart, twice as wide as the curvature says.

    The first chain has the best mode; each further one the highest mode, at most 20 nats lower, that lies elsewhere: ten standard
    deviations of the curvature from those taken. So a second mode that any climb met has a chain, and is seen as a large R-hat.
    Where scattering leaves the region of finite density, the chain starts nearer.

    While climbing, some entries are held near the prior's middle: where a between-group spread or the noise's degrees of freedom go
    to zero the density grows without bound, and that is not where its mass is.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` of a position of shape (dimension,) on the unconstrained space.
    arguments : tuple
        Data.
    prior_draws : array, shape (climbs, dimension)
        Unconstrained prior draws.
    chains : int
        Chains to start.
    held : array of bool, shape (dimension,)
        Entries along which the density has peaks without mass.
    seed : int
        Seed of the scatter.
    """
    objective = Objective(log_density, arguments, held=held, middle=np.median(prior_draws, axis=0))
    climbs = [objective.climb(start) for start in np.where(held, objective.middle, prior_draws)]
    heights = np.array([objective(mode)[0] for mode in climbs])
    best = climbs[int(heights.argmin())]
    covariance = inverse_curvature(objective, best)
    scale = np.linalg.cholesky(covariance)
    modes = _far_apart(best, np.stack(climbs), heights - heights.min(), scale, chains)
    scatter = np.random.default_rng(seed).standard_normal((chains, best.size)) @ scale.T

    tried = (
        [middle + factor * away for middle in (mode, best) for factor in _OVERDISPERSION]
        for mode, away in zip(modes, scatter, strict=True)
    )
    positions = [next((position for position in candidates if objective.finite(position)), best) for candidates in tried]
    return Start(np.stack(positions), best, covariance)


@lru_cache(maxsize=16)
def _value_and_gradient(log_density: Callable[..., Any]) -> Callable[..., Any]:
    """Kept, so that every attempt and approximation of one fit traces it once."""
    return jax.jit(jax.value_and_grad(lambda v, data: -log_density(v, *data)))


class Objective:
    """Negative log density with its gradient, as SciPy's minimisers ask for it; where it is not finite, a flat wall.

    Parameters
    ----------
    log_density, arguments
        As in :func:`overdispersed_starts`.
    held : array of bool, shape (dimension,), optional
        Entries kept near ``middle``.
    middle : array, shape (dimension,), optional
        Where.
    """

    def __init__(
        self,
        log_density: Callable[..., Any],
        arguments: tuple[Any, ...],
        *,
        held: np.ndarray | float = 0.0,
        middle: np.ndarray | float = 0.0,
    ) -> None:
        self._value_and_gradient = _value_and_gradient(log_density)
        self._arguments = jax.device_put(arguments)
        self._held = held
        self.middle = middle

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at a position of shape (dimension,)."""
        value, gradient = self._value_and_gradient(vector, self._arguments)
        away = self._held * (vector - self.middle) / _SPREAD_SD
        total, slope = float(value) + 0.5 * float(away @ away), np.asarray(gradient, dtype=float) + away / _SPREAD_SD
        if not (np.isfinite(total) and np.isfinite(slope).all()):
            return _WALL, np.zeros_like(vector)
        return total, slope

    def finite(self, vector: np.ndarray) -> bool:
        """Whether there is a density there."""
        return self(vector)[0] < _WALL

    def climb(self, start: np.ndarray) -> np.ndarray:
        """The mode reached from there; entries held stay where they are.

        A dense quasi-Newton method: with ten pairs of memory L-BFGS needed four times the evaluations on hierarchical densities,
        and often ended nats below the mode.
        """
        free = np.broadcast_to(np.asarray(self._held, dtype=float) == 0.0, start.shape)

        def along_free(some: np.ndarray) -> tuple[float, np.ndarray]:
            vector = start.copy()
            vector[free] = some
            value, gradient = self(vector)
            return value, gradient[free]

        reached = start.copy()
        options = {"maxiter": 500, "gtol": 1e-2}
        reached[free] = minimize(along_free, start[free], jac=True, method="BFGS", options=options).x
        return reached


def _far_apart(best: np.ndarray, modes: np.ndarray, deficits: np.ndarray, scale: np.ndarray, count: int) -> list[np.ndarray]:
    """The best mode, then each time the highest mode that is elsewhere, and when all places are taken the furthest one.

    ``deficits`` are nats below the best, ``scale`` is the Cholesky factor of the covariance that distance is measured in.
    """
    chosen = [best]
    nearest = np.full(len(modes), _ELSEWHERE)
    while len(chosen) < count:
        away = scipy.linalg.solve_triangular(scale, (modes - chosen[-1]).T, lower=True)
        nearest = np.minimum(nearest, (away**2).sum(axis=0))
        chosen.append(modes[int(np.where(deficits <= LIKE, nearest - deficits, -np.inf).argmax())])
    return chosen


def inverse_curvature(objective: Callable[[np.ndarray], tuple[float, np.ndarray]], mode: np.ndarray) -> np.ndarray:
    """Inverse of the Hessian by central differences of the gradient, its eigenvalues kept positive and at most one."""
    columns = []
    for i in range(mode.size):
        step = np.zeros_like(mode)
        step[i] = _STEP
        columns.append((objective(mode + step)[1] - objective(mode - step)[1]) / (2 * _STEP))
    hessian = np.array(columns)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return (vectors / np.clip(np.abs(values), 1.0, 1e12)) @ vectors.T
