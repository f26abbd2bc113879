"""Weights of laws by how well they forecast larger runs from smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.forecasting.decision_calibration import curves_of_experts
from bayesmoe.forecasting.discrepancy import discrepancies_without_each, joint_log_density, predicted
from bayesmoe.forecasting.discrepancy_prior import DiscrepancyPrior, read_discrepancy_prior
from bayesmoe.forecasting.forward_validation import axes_of
from bayesmoe.forecasting.scores import inside
from bayesmoe.inference.extrapolation import EXPERTS
from bayesmoe.inference.gate import Forward
from bayesmoe.inference.spec import FitSpec
from bayesmoe.laws import default_average, law_named

_RUNS_OF_A_SPLIT = 3.0
_PRIOR = 0.1
_ITERATIONS, _BOOTSTRAPS = 500, 200
_DRAWS = 2000
_LEAST_JUDGED = 4
MOST_RHAT = 1.2
"""R-hat up to which the refit of a split is used."""

COVERED_LEVELS = (0.5, 0.8, 0.9)
"""Levels at which forward validation counts coverage."""


@dataclass(frozen=True)
class Average:
    """What forward validation says of several laws.

    Attributes
    ----------
    weights : dict of float
        Weight of each law, with sum 1: the mean over a Bayesian bootstrap of the splits.
    weight_sd : dict of float
        Its standard deviation over the bootstrap: how far a weight would move with other splits. NaN below two splits.
    discrepancies : dict of Dataset
        Each law's :func:`bayesmoe.forecasting.discrepancy.discrepancy`.
    scores : DataFrame
        Joint log score of a split's runs in nats a run, by split and law.
    forward : Forward
        How the average did: each split forecast with the weights and the discrepancy that the other splits give. Splits share runs: the same
        run may have been asked by another split.
    """

    weights: dict[str, float]
    weight_sd: dict[str, float]
    discrepancies: dict[str, xr.Dataset]
    scores: pd.DataFrame
    forward: Forward


def average_of(
    forward: dict[str, dict[str, xr.Dataset]],
    axes: Sequence[str],
    *,
    seed: int,
    prior: DiscrepancyPrior | None = None,
) -> Average:
    """Weights and discrepancies of laws from their forecasts at splits of a table.

    For its weight, a law forecasts the runs of a split together, with the discrepancy that the other splits teach: what is weighed is what is
    mixed. A law whose refit did not converge has no score there, and the split says nothing of it.

    Parameters
    ----------
    forward : dict of dict of Dataset
        By law and split; see :func:`bayesmoe.forecasting.forward_validation.forward_forecasts`.
    axes : sequence of str
        Axes of extrapolation.
    seed : int
        Seed.
    prior : DiscrepancyPrior, optional
        Prior of every law's discrepancy; the shipped one where it is not given.
    """
    names = list(forward)
    splits = list(dict.fromkeys(split for by_split in forward.values() for split in by_split))
    # A refit whose chains disagree forecasts nothing.
    usable = {
        name: {split: each for split, each in by_split.items() if each["rhat"] <= MOST_RHAT}
        for name, by_split in forward.items()
    }

    learned = {name: discrepancies_without_each(usable[name], axes, seed=seed, prior=prior) for name in names}
    held_out = {(name, split): of_others for name in names for split, of_others in learned[name][1].items()}
    joint = np.full((len(splits), len(names)), np.nan)
    for (name, split), of_others in held_out.items():
        each = usable[name][split]
        joint[splits.index(split), names.index(name)] = joint_log_density(each, of_others) / each.sizes["run"]
    scores = pd.DataFrame(joint, index=pd.Index(splits, name="split"), columns=names).dropna(how="all")
    weights, spread = bootstrapped_weights(scores.to_numpy(), seed=seed)
    return Average(
        dict(zip(names, weights.tolist(), strict=True)),
        dict(zip(names, spread.tolist(), strict=True)),
        {name: learned[name][0] for name in names},
        scores,
        _forward(usable, held_out, scores, seed=seed),
    )


def _forward(
    usable: dict[str, dict[str, xr.Dataset]],
    held_out: dict[tuple[str, str], xr.Dataset],
    scores: pd.DataFrame,
    *,
    seed: int,
) -> Forward:
    """How the average forecasts the splits, each with what the other splits say."""
    covered: dict[float, list[np.ndarray]] = {level: [] for level in COVERED_LEVELS}
    of_differences: dict[float, list[np.ndarray]] = {level: [] for level in COVERED_LEVELS}
    below = []
    for split in map(str, scores.index):
        known = [name for name in map(str, scores.columns) if split in usable[name]]
        others, _ = bootstrapped_weights(scores.drop(index=split)[known].dropna(how="all").to_numpy(), seed=seed)
        drawn = [predicted(usable[name][split], held_out[name, split], draws=_DRAWS, seed=seed) for name in known]
        draws, observed = mixed(drawn, others, count=_DRAWS, seed=seed), usable[known[0]][split]["observed"].values
        below.append((draws < observed).mean(axis=0))
        pairs = _neighbors(usable[known[0]][split])
        # Ratios: a draw whose noise took a loss below zero has no logarithm.
        gain, came = (each[..., pairs[:, 1]] / each[..., pairs[:, 0]] for each in (draws, observed))
        for level in COVERED_LEVELS:
            covered[level].append(inside(draws, observed, level))
            of_differences[level].append(inside(gain, came, level))
    return Forward(_shares(covered), _shares(of_differences), _mean(below))


def _shares(found: dict[float, list[np.ndarray]]) -> dict[str, float]:
    return {f"{level:g}": share for level, parts in found.items() if (share := _mean(parts)) is not None}


def _mean(found: list[np.ndarray]) -> float | None:
    values = np.concatenate([np.zeros(0), *found])
    return float(values.mean()) if len(values) >= _LEAST_JUDGED else None


def _neighbors(split: xr.Dataset) -> np.ndarray:
    """Pairs of runs asked that differ in their expert count alone, and lie next to each other in it; shape (pair, 2)."""
    covariates = split["ln_covariate"].transpose("axis", "run")
    frame = pd.DataFrame(np.exp(covariates.values.T), columns=covariates["axis"].values.astype(str))
    sizes = [name for name in map(str, frame.columns) if name not in ("tokens", EXPERTS)]
    curves = curves_of_experts(frame.assign(group=split["group_of_run"].values), sizes[0]) if sizes else []
    return np.array([pair for curve in curves for pair in pairwise(curve)], dtype=int).reshape(-1, 2)


def bootstrapped_weights(scores: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of :func:`stacking_weights` over a Bayesian bootstrap of the splits, shape (law,).

    A mixture whose weights are uncertain is the mixture with their mean. ``scores`` are log scores a run, shape (split, law); NaN where a law
    has none.
    """
    count, laws = scores.shape
    rng = np.random.default_rng(seed)
    if count < 2:
        return stacking_weights(scores, counts=np.ones(count)), np.full(laws, np.nan)
    drawn = stacking_weights(scores, counts=count * rng.dirichlet(np.ones(count), size=_BOOTSTRAPS))
    return drawn.mean(axis=0), drawn.std(axis=0)


def prior_of(spec: FitSpec) -> DiscrepancyPrior | None:
    """Prior of the discrepancy that a spec's average names; None for the shipped one."""
    named = spec.average.discrepancy if spec.average is not None else None
    return None if named is None else read_discrepancy_prior(named)


def laws_of(spec: FitSpec, frame: pd.DataFrame) -> tuple[str, ...]:
    """Laws that a spec's average is made of: those it names, else those that the table can tell something about.

    Raises
    ------
    InputError
        One of them predicts something else than losses, or priors are given of another.
    """
    names = (
        spec.average.laws if spec.average is not None and spec.average.laws else default_laws(frame, size_of(spec, frame))
    )
    for name in spec.average.priors if spec.average is not None else ():
        if name not in names:
            hint = f"this average is of {', '.join(names)}"
            raise InputError("has priors and is not averaged", column="average.priors", value=name, hint=hint)
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


def stacking_weights(scores: np.ndarray, *, counts: np.ndarray) -> np.ndarray:
    """Weights that maximize the forecast score of the mixture, and a little evenness; shape (..., law), positive, with sum 1.

    ``sum_c n_c ln sum_k w_k exp(3 s_ck) + 0.1 sum_k ln w_k``

    s_ck is the joint log score of the runs of split c under law k, in nats a run: errors within a split are correlated, and each counts as
    three runs. The last term, a Dirichlet prior of 1.1, keeps every law in the average.

    Parameters
    ----------
    scores : array, shape (split, law)
        Log scores; NaN where a law has none, which then stands at the mean of the others there. Without any split the weights are even.
    counts : array, shape (..., split)
        How often each split counts.

    References
    ----------
    Yao et al. 2018, arXiv:1704.02030, Eq. 4 (stacking of predictive distributions); here on forward validation.
    """
    laws = scores.shape[1]
    weight = np.full((*counts.shape[:-1], laws), 1.0 / laws)
    if not len(scores):
        return weight
    filled = np.where(np.isnan(scores), np.nanmean(scores, axis=1, keepdims=True), scores)
    density = np.exp(_RUNS_OF_A_SPLIT * (filled - filled.max(axis=1, keepdims=True)))
    moving = np.ones((*counts.shape[:-1], 1), dtype=bool)
    # Expectation-maximization: every step raises the objective, which is concave.
    for _ in range(_ITERATIONS):
        raised = weight * ((counts / (weight @ density.T)) @ density) + _PRIOR
        raised = np.where(moving, raised / raised.sum(axis=-1, keepdims=True), weight)
        moving &= np.abs(raised - weight).max(axis=-1, keepdims=True) >= 1e-7
        weight = raised
        if not moving.any():
            break
    return weight


def mixed(draws: Sequence[np.ndarray], weights: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Draws of the mixture: each law's share of ``count``, taken from its draws of shape (draw, n); shape (count, n)."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(count, weights)
    return np.concatenate([of_law[rng.integers(len(of_law), size=size)] for of_law, size in zip(draws, counts, strict=True)])
