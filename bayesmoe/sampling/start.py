"""Starting positions of chains: modes found from prior draws, with the inverse Hessian as the initial mass matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy.linalg
from scipy.optimize import minimize

CLIMBS = 16
"""Minimum restarts of the optimizer: a mode with 1/6 of the basin is missed with probability 5%."""

FEW_CLIMBS = 3
"""Restarts from prior draws beside known modes, where all of these end at one place."""

MODE_GAP_NATS = 20.0
"""Maximum log-density gap to the best mode for another mode to get a chain."""

_OVERDISPERSION = (2.0, 1.0, 0.5, 0.0)
_SPREAD_SD = 0.3
_STEP = 1e-4
_WALL = 1e15
# Two climbs that end so near each other in nats found one mode: a climb stops at a slope of a hundredth.
_SAME_NATS = 0.1
# Squared Mahalanobis distance from which two optima count as different modes.
_DISTINCT = 100.0


class Start(NamedTuple):
    """Starting positions, shape (chains, dimension); best mode, shape (dimension,); inverse Hessian at it."""

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
    near: np.ndarray | None = None,
) -> Start:
    """Optimize from each prior draw, and scatter chains around distinct modes with twice the Laplace standard deviation.

    The first chain starts at the best mode; each further one at the highest mode, at most 20 nats lower, that is ten standard
    deviations from those taken. A second mode that any restart found thus has a chain, and shows as a large R-hat. A position with
    non-finite density is moved towards the mode.

    While optimizing, some entries are held near the prior median: where a between-group scale or the noise's degrees of freedom go
    to zero the density is unbounded, away from its mass.

    Parameters
    ----------
    log_density, arguments
        As in :func:`bayesmoe.sampling.chains.sample`.
    prior_draws : array, shape (climbs, dimension)
        Unconstrained prior draws.
    chains, seed : int
        Chains to start; seed of the scatter.
    held : array of bool, shape (dimension,)
        Entries along which the density is unbounded.
    near : array, shape (dimension,), optional
        Mode of a similar density. Where a climb from it and a few from prior draws find one mode, the other prior draws are left out.
    """
    objective = Objective(log_density, arguments, held=held, center=np.median(prior_draws, axis=0))
    climbs = _climbs(objective, np.where(held, objective.center, prior_draws), near)
    heights = np.array([objective(mode)[0] for mode in climbs])
    best = climbs[int(heights.argmin())]
    covariance = inverse_curvature(objective, best)
    scale = np.linalg.cholesky(covariance)
    modes = _far_apart(best, np.stack(climbs), heights - heights.min(), scale, chains)
    scatter = np.random.default_rng(seed).standard_normal((chains, best.size)) @ scale.T

    candidates = (
        [center + factor * offset for center in (mode, best) for factor in _OVERDISPERSION]
        for mode, offset in zip(modes, scatter, strict=True)
    )
    positions = [next((position for position in nearing if objective.finite(position)), best) for nearing in candidates]
    return Start(np.stack(positions), best, covariance)


@lru_cache(maxsize=64)
def loss_and_gradient(log_density: Callable[..., Any]) -> Callable[..., Any]:
    """Negative log density and its gradient, as a program that every attempt, chain and approximation of one fit shares."""
    return jax.jit(jax.value_and_grad(lambda v, data: -log_density(v, *data)))


class Objective:
    """Negative log density and its gradient for SciPy's minimizers; a large constant where it is not finite.

    Entries ``held``, a mask of shape (dimension,), are kept near ``center``.
    """

    def __init__(
        self,
        log_density: Callable[..., Any],
        arguments: tuple[Any, ...],
        *,
        held: np.ndarray | float = 0.0,
        center: np.ndarray | float = 0.0,
    ) -> None:
        self._loss_and_gradient = loss_and_gradient(log_density)
        self._arguments = jax.device_put(arguments)
        self.held = held
        self.center = center

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return value and gradient at a position of shape (dimension,)."""
        value, gradient = self._loss_and_gradient(vector, self._arguments)
        away = self.held * (vector - self.center) / _SPREAD_SD
        total, slope = float(value) + 0.5 * float(away @ away), np.asarray(gradient, dtype=float) + away / _SPREAD_SD
        if not (np.isfinite(total) and np.isfinite(slope).all()):
            return _WALL, np.zeros_like(vector)
        return total, slope

    def finite(self, vector: np.ndarray) -> bool:
        """Return whether the density at a position is finite."""
        return self(vector)[0] < _WALL

    def climb(self, start: np.ndarray) -> np.ndarray:
        """Return the local optimum from a starting position; entries held do not move.

        BFGS: L-BFGS with ten pairs needed four times the evaluations on hierarchical densities and often stopped nats below
        the mode.
        """
        free = np.broadcast_to(np.asarray(self.held, dtype=float) == 0.0, start.shape)

        def along_free(some: np.ndarray) -> tuple[float, np.ndarray]:
            vector = start.copy()
            vector[free] = some
            value, gradient = self(vector)
            return value, gradient[free]

        optimum = start.copy()
        options = {"maxiter": 500, "gtol": 1e-2}
        optimum[free] = minimize(along_free, start[free], jac=True, method="BFGS", options=options).x
        return optimum


def _climbs(objective: Objective, starts: np.ndarray, near: np.ndarray | None) -> list[np.ndarray]:
    if near is None or near.shape != starts.shape[1:]:
        return [objective.climb(start) for start in starts]
    known = np.where(objective.held, objective.center, near)
    found = [objective.climb(start) for start in (known, *starts[:FEW_CLIMBS])]
    if np.ptp([objective(mode)[0] for mode in found]) < _SAME_NATS:
        return found
    return [*found, *(objective.climb(start) for start in starts[FEW_CLIMBS:])]


def _far_apart(best: np.ndarray, modes: np.ndarray, deficits: np.ndarray, scale: np.ndarray, count: int) -> list[np.ndarray]:
    """Select the best mode, then repeatedly the highest distinct mode, or the farthest one when none is left.

    ``deficits`` are nats below the best; ``scale`` is the Cholesky factor of the covariance of the Mahalanobis distance.
    """
    chosen = [best]
    nearest = np.full(len(modes), _DISTINCT)
    while len(chosen) < count:
        away = scipy.linalg.solve_triangular(scale, (modes - chosen[-1]).T, lower=True)
        nearest = np.minimum(nearest, (away**2).sum(axis=0))
        chosen.append(modes[int(np.where(deficits <= MODE_GAP_NATS, nearest - deficits, -np.inf).argmax())])
    return chosen


def inverse_curvature(objective: Callable[[np.ndarray], tuple[float, np.ndarray]], mode: np.ndarray) -> np.ndarray:
    """Invert the Hessian, by central differences of the gradient, with eigenvalues of the inverse clipped to (0, 1]."""
    columns = []
    for i in range(mode.size):
        step = np.zeros_like(mode)
        step[i] = _STEP
        columns.append((objective(mode + step)[1] - objective(mode - step)[1]) / (2 * _STEP))
    hessian = np.array(columns)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return (vectors / np.clip(np.abs(values), 1.0, 1e12)) @ vectors.T
