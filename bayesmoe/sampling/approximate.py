"""Approximate posteriors in seconds: Laplace or Pathfinder with Pareto-smoothed importance resampling."""

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
_MAX_ITERATIONS = 60
_START_SD = 3.0


def laplace(log_density: Callable[..., Any], arguments: tuple[Any, ...], start: Start, key: Any, *, draws: int) -> Samples:
    """Draw from a Laplace approximation with importance resampling, one chain.

    ``q = Student_8(mode, (-H)^-1)``, H the Hessian of the log density at the mode; tails heavier than a normal's keep
    the weights ``p/q`` bounded. Four times as many proposals as draws are resampled by Pareto-smoothed importance weights.

    Parameters
    ----------
    log_density, arguments, key
        As in :func:`bayesmoe.sampling.chains.sample`.
    start : Start
        Its mode is the initial value of the optimizer.

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
    """Draw with multi-path Pathfinder (eight paths) and importance resampling.

    Parameters and return value as in :func:`laplace`. Paths run in coordinates whitened by the inverse Hessian at the best mode,
    and start three standard deviations from it.

    References
    ----------
    Zhang et al. 2022, arXiv:2108.03782.
    """
    scale = np.linalg.cholesky(start.covariance)
    begin_key, climb_key, seed_key = jax.random.split(key, 3)
    begin = _START_SD * jax.random.normal(begin_key, (_PATHS, len(start.mode)))
    per_path = -(-PROPOSALS_PER_DRAW * draws // _PATHS)

    def run(key: Any, begin: Any, scale: Any, mode: Any, data: Any) -> Any:
        def density(white: Any) -> Any:
            value = log_density(mode + scale @ white, *data)
            return jnp.where(jnp.isfinite(value), value, -1e15)

        def path(arguments: tuple[Any, Any]) -> Any:
            path_key, sample_key = jax.random.split(arguments[0])
            state, _ = approximate(path_key, density, arguments[1], _ELBO_SAMPLES, maxiter=_MAX_ITERATIONS)
            proposed, log_q = sample(sample_key, state, per_path)
            return mode + proposed @ scale.T, jax.vmap(density)(proposed), log_q

        # Sequential: a vmap would hold every iterate of every path in memory.
        return jax.lax.map(path, (jax.random.split(key, _PATHS), begin))

    paths = jax.jit(run)(climb_key, begin, jnp.asarray(scale), jnp.asarray(start.mode), arguments)
    proposed, log_p, log_q = (np.asarray(leaf) for leaf in paths)
    return _resampled(proposed.reshape(-1, proposed.shape[-1]), log_p.ravel(), log_q.ravel(), draws, _seed(seed_key))


def _seed(key: Any) -> int:
    return int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))


def _resampled(proposed: np.ndarray, log_p: np.ndarray, log_q: np.ndarray, draws: int, seed: int) -> Samples:
    """Resample by Pareto-smoothed importance weights, with replacement."""
    ratios = np.where(np.isfinite(log_p), log_p - log_q, -np.inf)
    log_weights, pareto_k = psis_weights(jnp.asarray(ratios))
    weights = np.exp(np.asarray(log_weights))
    weights /= weights.sum()
    index = np.random.default_rng([seed, 1]).choice(len(weights), draws, p=weights)
    stats = {"lp": log_p[index][None], "importance_ess": np.full((1, draws), 1.0 / np.sum(weights**2))}
    return Samples(proposed[index][None], stats, pareto_k=float(pareto_k))
