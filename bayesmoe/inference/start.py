"""Where chains start: modes found from prior draws, and the curvature there as a first mass matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.optimize import minimize

_OVERDISPERSION = (2.0, 1.0, 0.5, 0.0)
_SPREAD_SD = 0.3
_STEP = 1e-4


class Start(NamedTuple):
    """Starting positions, shape (chains, dimension); the best mode met, shape (dimension,); and the inverse curvature there."""

    positions: np.ndarray
    mode: np.ndarray
    covariance: np.ndarray


def overdispersed_starts(
    log_density: Callable[..., Any], arguments: tuple[Any, ...], prior_draws: np.ndarray, *, held: np.ndarray, seed: int
) -> Start:
    """Climb from each prior draw to a mode and scatter the chain around it, twice as wide as the curvature says.

    Where that leaves the region of finite density, the chain starts nearer; a climb that found no finite density starts at the
    best mode of the others.

    Each chain climbs from its own draw, so that a second mode is met by some chains and seen as a large R-hat. While
    climbing, between-group spreads are held near their start: a hierarchical density grows without bound where a spread
    goes to zero, and that is not where its mass is.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` of a position of shape (dimension,) on the unconstrained space.
    arguments : tuple
        Data.
    prior_draws : array, shape (chains, dimension)
        Unconstrained prior draws.
    held : array of bool, shape (dimension,)
        Entries that are between-group spreads.
    seed : int
        Seed of the scatter.
    """
    value_and_gradient = jax.jit(jax.value_and_grad(lambda v, data: -log_density(v, *data)))
    middle = np.median(prior_draws, axis=0)

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_gradient(vector, arguments)
        away = held * (vector - middle) / _SPREAD_SD
        total = float(value) + 0.5 * float(away @ away)
        if not np.isfinite(total):
            return 1e15, np.zeros_like(vector)
        return total, np.asarray(gradient, dtype=float) + away / _SPREAD_SD

    starts = np.where(held, middle, prior_draws)
    climbs = [minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}) for start in starts]
    best = min(climbs, key=lambda climb: climb.fun).x
    covariance = inverse_curvature(objective, best)
    scatter = np.random.default_rng(seed).standard_normal(prior_draws.shape) @ np.linalg.cholesky(covariance).T

    def finite(position: np.ndarray) -> bool:
        return bool(np.isfinite(np.asarray(value_and_gradient(position, arguments)[0])))

    tried = (
        [middle + factor * away for middle in (climb.x, best) for factor in _OVERDISPERSION]
        for climb, away in zip(climbs, scatter, strict=True)
    )
    positions = [next((position for position in candidates if finite(position)), best) for candidates in tried]
    return Start(np.stack(positions), best, covariance)


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
