"""Where chains start: modes found from prior draws, and the curvature there as a first mass matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

_OVERDISPERSION = 2.0
_SPREAD_SD = 0.3
_STEP = 1e-4


class Start(NamedTuple):
    """Starting positions with a leading chain axis, and a covariance of shape (dimension, dimension)."""

    positions: Any
    covariance: np.ndarray


def overdispersed_starts(
    log_density: Callable[..., Any], arguments: tuple[Any, ...], prior_draws: Any, *, spreads: tuple[str, ...], seed: int
) -> Start:
    """Climb from each prior draw to a mode and scatter the chain around it, twice as wide as the curvature says.

    Each chain climbs from its own draw, so that a second mode is met by some chains and seen as a large R-hat. While
    climbing, between-group spreads are held near their start: a hierarchical density grows without bound where a spread
    goes to zero, and that is not where its mass is.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` on the unconstrained space.
    arguments : tuple
        Data.
    prior_draws : pytree
        Unconstrained prior draws with a leading chain axis.
    spreads : tuple of str
        Names of the between-group spreads in a position.
    seed : int
        Seed of the scatter.
    """
    chains = len(jax.tree.leaves(prior_draws)[0])
    draws = [jax.tree.map(lambda leaf, c=c: leaf[c], prior_draws) for c in range(chains)]
    _, unravel = ravel_pytree(draws[0])
    value_and_gradient = jax.jit(jax.value_and_grad(lambda v, data: -log_density(unravel(v), *data)))
    flat = [np.asarray(ravel_pytree(draw)[0], dtype=float) for draw in draws]
    held = np.asarray(
        ravel_pytree({name: np.full(np.shape(leaf), float(name in spreads)) for name, leaf in draws[0].items()})[0]
    )
    middle = np.median(flat, axis=0)

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_gradient(vector, arguments)
        away = held * (vector - middle) / _SPREAD_SD
        total = float(value) + 0.5 * float(away @ away)
        if not np.isfinite(total):
            return 1e15, np.zeros_like(vector)
        return total, np.asarray(gradient, dtype=float) + away / _SPREAD_SD

    starts = [np.where(held > 0, middle, vector) for vector in flat]
    climbs = [minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}) for start in starts]
    best = min(climbs, key=lambda climb: climb.fun).x
    covariance = _inverse_curvature(objective, best)
    scatter = np.random.default_rng(seed).standard_normal((chains, best.size)) @ np.linalg.cholesky(covariance).T
    positions = [unravel(climb.x + _OVERDISPERSION * jump) for climb, jump in zip(climbs, scatter, strict=True)]
    return Start(jax.tree.map(lambda *leaves: np.stack(leaves), *positions), covariance)


def _inverse_curvature(objective: Callable[[np.ndarray], tuple[float, np.ndarray]], mode: np.ndarray) -> np.ndarray:
    """Inverse of the Hessian by central differences of the gradient, its eigenvalues kept positive and at most one."""
    columns = []
    for i in range(mode.size):
        step = np.zeros_like(mode)
        step[i] = _STEP
        columns.append((objective(mode + step)[1] - objective(mode - step)[1]) / (2 * _STEP))
    hessian = np.array(columns)
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return (vectors / np.clip(np.abs(values), 1.0, 1e12)) @ vectors.T
