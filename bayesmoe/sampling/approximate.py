"""Approximate posteriors in seconds: a Laplace or Pathfinder proposal, corrected by importance and judged by Pareto's k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.diagnostics import psis_weights
from blackjax.vi.pathfinder import approximate, sample

from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.start import Objective, Start, inverse_curvature

PROPOSALS_PER_DRAW = 4
_PROPOSAL_DF = 8.0
_PATHS = 8
_ELBO_SAMPLES = 25
_CLIMB = 60
_AWAY = 3.0


def laplace(log_density: Callable[..., Any], arguments: tuple[Any, ...], start: Start, key: Any, *, draws: int) -> Samples:
    """Draw from the curvature at the mode, then by importance from the density itself.

    ``q = Student_8(mode, (-H)^-1)``, H the Hessian of the log density at the mode; the tails are heavier than a normal's, so
    that the weights ``p/q`` stay bounded where the density is not quite as light. Draws are resampled by Pareto-smoothed
    weights.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` of a position of shape (dimension,) on the unconstrained space.
    arguments : tuple
        Data.
    start : Start
        Its mode is where the climb begins.
    key : PRNG key
        Source of randomness.
    draws : int
        Draws returned, as one chain; four times as many are proposed.

    Returns
    -------
    Samples
        With ``pareto_k``, and ``importance_ess`` among the stats.

    References
    ----------
    Vehtari et al. 2024, arXiv:1507.02646 (Pareto smoothing).
    """
    objective = Objective(log_density, arguments)
    mode = objective.climb(start.mode)
    seed = _seed(key)
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((PROPOSALS_PER_DRAW * draws, len(mode)))
    heavy = normal / np.sqrt(rng.chisquare(_PROPOSAL_DF, (len(normal), 1)) / _PROPOSAL_DF)
    proposed = mode + heavy @ np.linalg.cholesky(inverse_curvature(objective, mode)).T
    # Up to a constant, which normalized weights do not see.
    log_q = -0.5 * (_PROPOSAL_DF + len(mode)) * np.log1p(np.sum(heavy**2, axis=1) / _PROPOSAL_DF)
    log_p = jax.jit(jax.vmap(lambda v, data: log_density(v, *data), in_axes=(0, None)))(proposed, arguments)
    return _resampled(proposed, np.asarray(log_p), log_q, draws, seed)


def pathfinder(
    log_density: Callable[..., Any], arguments: tuple[Any, ...], start: Start, key: Any, *, draws: int
) -> Samples:
    """Draw along the paths of eight quasi-Newton climbs, then by importance from the density itself.

    Parameters and return value as in :func:`laplace`. The climbs run in the coordinates that the curvature at the best mode
    makes round, from around that mode and three of its widths away.

    References
    ----------
    Zhang et al. 2022, arXiv:2108.03782.
    """
    scale = np.linalg.cholesky(start.covariance)
    begin_key, climb_key, seed_key = jax.random.split(key, 3)
    begin = _AWAY * jax.random.normal(begin_key, (_PATHS, len(start.mode)))
    per_path = -(-PROPOSALS_PER_DRAW * draws // _PATHS)

    def run(key: Any, begin: Any, scale: Any, mode: Any, data: Any) -> Any:
        def density(round_position: Any) -> Any:
            found = log_density(mode + scale @ round_position, *data)
            return jnp.where(jnp.isfinite(found), found, -1e15)

        def path(arguments: tuple[Any, Any]) -> Any:
            path_key, sample_key = jax.random.split(arguments[0])
            state, _ = approximate(path_key, density, arguments[1], _ELBO_SAMPLES, maxiter=_CLIMB)
            proposed, log_q = sample(sample_key, state, per_path)
            return mode + proposed @ scale.T, jax.vmap(density)(proposed), log_q

        # One path after the other: side by side they would hold every step of every climb at once.
        return jax.lax.map(path, (jax.random.split(key, _PATHS), begin))

    found = jax.jit(run)(climb_key, begin, jnp.asarray(scale), jnp.asarray(start.mode), arguments)
    proposed, log_p, log_q = (np.asarray(leaf) for leaf in found)
    return _resampled(proposed.reshape(-1, proposed.shape[-1]), log_p.ravel(), log_q.ravel(), draws, _seed(seed_key))


def _seed(key: Any) -> int:
    return int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))


def _resampled(proposed: np.ndarray, log_p: np.ndarray, log_q: np.ndarray, draws: int, seed: int) -> Samples:
    """Draws by smoothed importance, with replacement, and how far the proposal can be trusted."""
    ratios = np.where(np.isfinite(log_p), log_p - log_q, -np.inf)
    log_weights, pareto_k = psis_weights(jnp.asarray(ratios))
    weights = np.exp(np.asarray(log_weights))
    weights /= weights.sum()
    index = np.random.default_rng([seed, 1]).choice(len(weights), draws, p=weights)
    found = {"lp": log_p[index][None], "importance_ess": np.full((1, draws), 1.0 / np.sum(weights**2))}
    return Samples(proposed[index][None], found, pareto_k=float(pareto_k))
