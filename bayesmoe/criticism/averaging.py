"""Weights of laws by how well they forecast larger runs from smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.criticism.forward import axes_of
from bayesmoe.criticism.misfit import log_densities, misfit
from bayesmoe.criticism.scores import log_score
from bayesmoe.laws import law_named

_PER_CUT = 3.0
_PRIOR = 1.0
_ITERATIONS = 2000
_SCORE_DRAWS = 800
_EXPERT_LAWS = ("clark", "clark-unsaturated", "clark-bilinear", "yun", "house", "house-unsaturated", "ludziejewski", "wang")
_DENSE_LAWS = ("kaplan", "chinchilla", "nested", "gadre")


@dataclass(frozen=True)
class Average:
    """What forward validation says of several laws.

    Attributes
    ----------
    weights : dict of float
        Weight of each law, with sum 1.
    misfits : dict of Dataset
        Each law's :func:`bayesmoe.criticism.misfit.misfit`.
    scores : DataFrame
        Mean log score in nats a run, by cut and law.
    """

    weights: dict[str, float]
    misfits: dict[str, xr.Dataset]
    scores: pd.DataFrame


def average_of(forward: dict[str, dict[str, xr.Dataset]], axes: Sequence[str], *, seed: int) -> Average:
    """Weights and misfits of laws from their forecasts at cuts of a table.

    For its weight, a law forecasts with the prior of its misfit: with what these same cuts taught, it would be judged by what it has
    seen.

    Parameters
    ----------
    forward : dict of dict of Dataset
        By law and cut; see :func:`bayesmoe.criticism.forward.forward_forecasts`.
    axes : sequence of str
        Axes of reach.
    seed : int
        Seed.
    """
    names = list(forward)
    common = [cut for cut in forward[names[0]] if all(cut in forward[name] for name in names)]
    own = misfit([], axes, seed=seed)
    found = []
    for cut in common:
        densities = [log_densities(forward[name][cut], own, draws=_SCORE_DRAWS, seed=seed) for name in names]
        found.append(np.stack([log_score(density) for density in densities]))
    even = np.full(len(names), 1.0 / len(names))
    weights = stacking_weights(found) if found else even
    return Average(
        dict(zip(names, weights.tolist(), strict=True)),
        {name: misfit(list(forward[name].values()), axes, seed=seed) for name in names},
        pd.DataFrame([each.mean(axis=1) for each in found], index=pd.Index(common, name="cut"), columns=names),
    )


def default_laws(frame: pd.DataFrame, size: str) -> tuple[str, ...]:
    """Laws that a table can tell something about, by what varies in it.

    Laws with experts where their number varies, else laws of size and tokens. Laws without tokens only where tokens do not vary.

    Parameters
    ----------
    frame : DataFrame
        Runs.
    size : str
        Column of size.
    """
    axes = axes_of(frame, size)
    names = _EXPERT_LAWS if "num_experts" in axes else _DENSE_LAWS
    if "tokens" in axes:
        return tuple(name for name in names if "tokens" in law_named(name).covariates)
    return tuple(name for name in names if name not in ("house-unsaturated", "ludziejewski", "wang"))


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
