"""What people do today: least Huber loss from many starts, and a bootstrap over runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.optimize import minimize

from bayesmoe.laws import Law, reference_run

HUBER_DELTA = 1e-3
"""Where the loss on ln L turns from square to linear, as Hoffmann et al. have it."""

_STARTS, _RESAMPLES = 24, 100


class Bootstrap(NamedTuple):
    """Point fits of a law to resampled runs.

    Attributes
    ----------
    expected : array, shape (resample, n)
        Predicted losses of all runs, nats per token.
    residual_sd : float
        Of ln loss over the runs fitted, under the best point fit.
    moved : float
        Share of resamples whose optimizer ended elsewhere than where it began. Small: the band is narrow because nothing was
        fitted anew, as happens where an optimizer stops at once on its tolerance.
    """

    expected: np.ndarray
    residual_sd: float
    moved: float


def huber_bootstrap(law: Law, frame: pd.DataFrame, seen: np.ndarray, *, seed: int, resamples: int = _RESAMPLES) -> Bootstrap:
    """Least Huber loss on ln L from a spread of starts, then the same over runs drawn with replacement.

    ``min_theta sum_i Huber_delta( ln y_i - ln L_theta,g(i) )``

    Every parameter is shared but the level of the loss, of which each group has its own. The optimizer is L-BFGS, in the law's own
    coordinates, which is kinder than the papers' own parameters.

    Parameters
    ----------
    law, frame : Law, DataFrame
        The law, and all runs with its covariates and ``loss``; ``group`` if they are grouped.
    seen : array of bool, shape (n,)
        Runs to fit; all are predicted.
    seed, resamples : int
        Seed of starts and resamples; bootstrap resamples.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, section 3.3; Besiroglu et al. 2024, arXiv:2404.10102 (bootstrap, and a fit whose optimizer
    had stopped early).
    """
    ln_loss, ln_expected, fit = _point_fit(law, frame, seen)
    size, groups = len(law.coordinates), frame["group"].nunique() if "group" in frame else 1
    rng = np.random.default_rng(seed)
    starts = np.concatenate([rng.uniform(-2.0, 2.0, (_STARTS, size)), np.zeros((_STARTS, groups))], axis=1)
    best = min((fit(start, seen.astype(float)) for start in starts), key=lambda optimum: optimum.fun).x
    rows, predict = np.flatnonzero(seen), jax.jit(ln_expected)
    expected, moved = [], []
    for _ in range(resamples):
        weight = np.bincount(rng.choice(rows, len(rows)), minlength=len(seen)).astype(float)
        theta = fit(best, weight).x
        expected.append(np.exp(np.asarray(predict(theta))))
        moved.append(np.abs(theta - best).max() > 1e-6)
    residual = np.asarray(ln_loss - predict(best))[seen]
    return Bootstrap(np.stack(expected), float(residual.std()), float(np.mean(moved)))


def _point_fit(law: Law, frame: pd.DataFrame, seen: np.ndarray) -> tuple[Any, Any, Any]:
    """ln losses of all runs, their expectation given parameters, and the optimizer ``fit(start, weight)``."""
    coordinates, reference = law.coordinates, jax.tree.map(jnp.asarray, reference_run(frame[seen], law))
    codes = pd.factorize(frame["group"])[0] if "group" in frame else np.zeros(len(frame), dtype=int)
    runs = {name: jnp.asarray(frame[name].to_numpy(float)) for name in law.covariates}
    ln_loss, group = jnp.log(jnp.asarray(frame[law.response].to_numpy(float))), jnp.asarray(codes)
    size = len(coordinates)

    def ln_expected(theta: Any) -> Any:
        values = {c.name: c.to_support(c.mean + c.sd * theta[i]) for i, c in enumerate(coordinates)}
        p = law.to_paper(values, reference)
        return jnp.log(jax.vmap(law.loss, in_axes=(None, 0))(p, runs)) + theta[size:][group]

    def objective(theta: Any, weight: Any) -> Any:
        away = jnp.abs(ln_loss - ln_expected(theta))
        huber = jnp.where(away < HUBER_DELTA, 0.5 * away**2, HUBER_DELTA * (away - 0.5 * HUBER_DELTA))
        # The levels of groups are identified against the law's own by their sum.
        return (weight * huber).sum() / HUBER_DELTA**2 + theta[size:].mean() ** 2

    value_and_gradient = jax.jit(jax.value_and_grad(objective))

    def fit(start: np.ndarray, weight: np.ndarray) -> Any:
        def finite(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = value_and_gradient(theta, weight)
            good = np.isfinite(value) and np.isfinite(np.asarray(gradient)).all()
            return (float(value), np.asarray(gradient, dtype=float)) if good else (1e15, np.zeros_like(theta))

        return minimize(finite, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})

    return ln_loss, ln_expected, fit


def with_residuals(bootstrap: Bootstrap, *, draws: int, seed: int) -> np.ndarray:
    """The bootstrap as a forecast: its predictions with normal residuals; shape (draw, n), nats per token."""
    rng = np.random.default_rng(seed)
    expected = bootstrap.expected[rng.integers(len(bootstrap.expected), size=draws)]
    return expected * np.exp(bootstrap.residual_sd * rng.standard_normal(expected.shape))
