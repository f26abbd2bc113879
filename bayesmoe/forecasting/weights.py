"""Weights of laws by how well they forecast larger runs from smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesmoe.errors import InputError
from bayesmoe.forecasting.discrepancy import DISCREPANCY_PRIOR, DiscrepancyPrior, discrepancy, log_densities, predicted
from bayesmoe.forecasting.forward_validation import axes_of
from bayesmoe.forecasting.scores import inside, log_score
from bayesmoe.inference.spec import FitSpec
from bayesmoe.laws import default_average, law_named

_PER_CUT = 3.0
_PRIOR = 0.1
_ITERATIONS = 2000
_SCORE_DRAWS = 800
_DRAWS = 2000
_MOST_RHAT = 1.2


@dataclass(frozen=True)
class Average:
    """What forward validation says of several laws.

    Attributes
    ----------
    weights : dict of float
        Weight of each law, with sum 1.
    weight_sd : dict of float
        How far a weight would move with another choice of splits: its jackknife standard error over splits. NaN below two splits.
    discrepancies : dict of Dataset
        Each law's :func:`bayesmoe.forecasting.discrepancy.discrepancy`.
    scores : DataFrame
        Mean log score in nats a run, by split and law.
    coverage : float
        Share of the runs asked that lay in the average's 90% band, each split forecast with the weights that the other splits give and the
        prior of the discrepancy. NaN without splits.
    forward_score : float
        Mean log score of those forecasts in nats a run, each split counting alike. NaN without splits.
    """

    weights: dict[str, float]
    weight_sd: dict[str, float]
    discrepancies: dict[str, xr.Dataset]
    scores: pd.DataFrame
    coverage: float
    forward_score: float


def average_of(
    forward: dict[str, dict[str, xr.Dataset]],
    axes: Sequence[str],
    *,
    seed: int,
    discrepancy_prior: DiscrepancyPrior = DISCREPANCY_PRIOR,
) -> Average:
    """Weights and discrepancies of laws from their forecasts at splits of a table.

    For its weight, a law forecasts with the prior of its discrepancy: with what these same splits taught, it would be judged by what it has
    seen. A split at which some law's refit did not converge says nothing.

    Parameters
    ----------
    forward : dict of dict of Dataset
        By law and split; see :func:`bayesmoe.forecasting.forward_validation.forward_forecasts`.
    axes : sequence of str
        Axes of extrapolation.
    seed : int
        Seed.
    discrepancy_prior : DiscrepancyPrior
        Prior of every law's discrepancy.
    """
    names = list(forward)
    # A refit whose chains disagree forecasts nothing.
    forward = {
        name: {split: each for split, each in splits.items() if each["rhat"] <= _MOST_RHAT}
        for name, splits in forward.items()
    }
    common = [split for split in forward[names[0]] if all(split in forward[name] for name in names)]
    prior = discrepancy([], axes, seed=seed, prior=discrepancy_prior)
    log_scores = []
    for split in common:
        densities = [log_densities(forward[name][split], prior, draws=_SCORE_DRAWS, seed=seed) for name in names]
        log_scores.append(np.stack([log_score(density) for density in densities]))
    weights = stacking_weights(log_scores, laws=len(names))
    without = [stacking_weights(log_scores[:i] + log_scores[i + 1 :], laws=len(names)) for i in range(len(log_scores))]
    covered: list[np.ndarray] = []
    for split, others in zip(common, without, strict=True):
        of_split = [forward[name][split] for name in names]
        draws = mixed(
            [predicted(each, prior, draws=_SCORE_DRAWS, seed=seed) for each in of_split], others, count=_DRAWS, seed=seed
        )
        covered.append(inside(draws, of_split[0]["observed"].values, 0.9))
    mixtures = [np.mean(logsumexp(each, axis=0, b=w[:, None])) for each, w in zip(log_scores, without, strict=True)]
    return Average(
        dict(zip(names, weights.tolist(), strict=True)),
        dict(zip(names, _jackknife_sd(without, len(names)).tolist(), strict=True)),
        {name: discrepancy(list(forward[name].values()), axes, seed=seed, prior=discrepancy_prior) for name in names},
        pd.DataFrame([each.mean(axis=1) for each in log_scores], index=pd.Index(common, name="split"), columns=names),
        float(np.concatenate(covered).mean()) if covered else float("nan"),
        float(np.mean(mixtures)) if mixtures else float("nan"),
    )


def _jackknife_sd(without: list[np.ndarray], laws: int) -> np.ndarray:
    count = len(without)
    if count < 2:
        return np.full(laws, np.nan)
    return np.std(without, axis=0) * np.sqrt(count - 1)


def laws_of(spec: FitSpec, frame: pd.DataFrame) -> tuple[str, ...]:
    """Laws that a spec's average is made of: those it names, else those that the table can tell something about.

    Raises
    ------
    InputError
        One of them predicts something else than losses.
    """
    names = (
        spec.average.laws if spec.average is not None and spec.average.laws else default_laws(frame, size_of(spec, frame))
    )
    for name in names:
        if (response := law_named(name).response) != "loss":
            raise InputError(f"predicts {response}, not loss", column="law", value=name, hint="leave it out of the average")
    return names


def default_laws(frame: pd.DataFrame, size: str) -> tuple[str, ...]:
    """Laws that a table can tell something about, by what varies in it; see :func:`bayesmoe.laws.default_average`."""
    return tuple(law.name for law in default_average(axes_of(frame, size)))


def size_of(spec: FitSpec, frame: pd.DataFrame) -> Any:
    """Column of size that all laws of an average read: the spec's own, or ``n_dense`` where every run has it, else ``n_active``."""
    if spec.law.size is not None:
        return spec.law.size
    return "n_dense" if "n_dense" in frame and frame["n_dense"].notna().all() else "n_active"


def stacking_weights(log_scores: Sequence[np.ndarray], *, laws: int) -> np.ndarray:
    """Weights that maximize the forecast score of the mixture, and a little evenness; shape (law,), positive, with sum 1.

    ``sum_c 3 mean_(i in c) ln sum_k w_k p_k(y_i) + 0.1 sum_k ln w_k``

    Errors within a split are correlated: each split has an effective sample size of three runs; the last term, a Dirichlet prior of 1.1, keeps
    every law in the average. ``log_scores`` holds for each split the log predictive densities of the runs held out, in nats, shape
    (law, run); without any split the weights are even.

    References
    ----------
    Yao et al. 2018, arXiv:1704.02030, Eq. 4 (stacking of predictive distributions); here on forward validation.
    """
    share = [np.exp(score - score.max(axis=0)) for score in log_scores]
    weight = np.full(laws, 1.0 / laws)
    if not share:
        return weight
    # Expectation-maximisation: every step raises the objective, which is concave.
    for _ in range(_ITERATIONS):
        before = weight
        owned = [(weight[:, None] * density / (weight @ density)).mean(axis=1) for density in share]
        weight = _PER_CUT * np.sum(owned, axis=0) + _PRIOR
        weight = weight / weight.sum()
        if np.abs(weight - before).max() < 1e-8:
            break
    return weight


def mixed(draws: Sequence[np.ndarray], weights: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Draws of the mixture: each law's share of ``count``, taken from its draws of shape (draw, n); shape (count, n)."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(count, weights)
    return np.concatenate([of_law[rng.integers(len(of_law), size=size)] for of_law, size in zip(draws, counts, strict=True)])
