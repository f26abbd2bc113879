"""Weights of laws by how well they forecast larger runs from smaller ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_PER_CUT = 3.0
_PRIOR = 1.0
_ITERATIONS = 2000


def stacking_weights(log_scores: Sequence[np.ndarray]) -> np.ndarray:
    """Weights that maximise the forecast score of the mixture, and a little evenness.

    ``sum_c 3 mean_(i in c) ln sum_k w_k p_k(y_i) + sum_k ln w_k``

    Runs of one cut miss together, so that a cut of any length counts as three runs; the last term, a Dirichlet prior of 2, keeps a law
    that did a little worse at a few cuts in the average.

    Parameters
    ----------
    log_scores : sequence of array, shape (law, run)
        Log predictive densities of the runs that each cut asked for, in nats.

    Returns
    -------
    array, shape (law,)
        Positive, with sum 1. Even where there is no cut.

    Raises
    ------
    ValueError
        There is neither cut nor law.

    References
    ----------
    Yao et al. 2018, arXiv:1704.02030, Eq. 4 (stacking of predictive distributions); here on forward validation.
    """
    if not log_scores:
        raise ValueError("stacking needs at least one cut")
    laws = len(log_scores[0])
    share = [np.exp(score - score.max(axis=0)) for score in log_scores]
    weight = np.full(laws, 1.0 / laws)
    # Expectation-maximisation: every step raises the objective, which is concave.
    for _ in range(_ITERATIONS):
        before = weight
        owned = [(weight[:, None] * each / (weight @ each)).mean(axis=1) for each in share]
        weight = _PER_CUT * np.sum(owned, axis=0) + _PRIOR
        weight = weight / weight.sum()
        if np.abs(weight - before).max() < 1e-8:
            break
    return weight


def mixed(draws: Sequence[np.ndarray], weights: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Draws of the mixture: each law's share of ``count``, taken from its draws of shape (draw, n); shape (count, n)."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(count, weights)
    return np.concatenate([each[rng.integers(len(each), size=size)] for each, size in zip(draws, counts, strict=True)])
