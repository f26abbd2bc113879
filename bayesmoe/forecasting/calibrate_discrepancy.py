"""Learn the prior of discrepancy across labs: under which prior were the larger runs of public tables forecast best from the smaller?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bayesmoe.errors import InputError
from bayesmoe.forecasting.backtest import Forecasts, asked_of, forecasts_of
from bayesmoe.forecasting.discrepancy import Evidence, conjugate, evidence_of, log_density
from bayesmoe.forecasting.discrepancy_prior import KINDS, DiscrepancyPrior, LearnedFrom, kind_of
from bayesmoe.forecasting.hold_outs import far_masks
from bayesmoe.forecasting.weights import MOST_RHAT, average_of
from bayesmoe.inference.ensemble import correlation_factor
from bayesmoe.inference.extrapolation import is_axis, parts_of_distance
from bayesmoe.inference.spec import FitSpec
from bayesmoe.progress import Progress
from bayesmoe.runs import RunTable

_CENTER = {kind: 0.07 if is_axis(kind) else 0.035 for kind in KINDS}
_CENTER_LOG_SD = 1.0
"""Where a kind's scale is believed to lie before any table is seen, and within which log-sd."""

_LOG_SD, _LOG_SD_LOG_SD = 0.6, 0.4
_CORRELATION = 0.3
_DRAWS, _EVALUATIONS = 200, 600


@dataclass(frozen=True)
class Misses:
    """How far laws fitted to the smaller runs of a table missed its larger runs.

    Attributes
    ----------
    table : LearnedFrom
        Which table.
    parts : tuple of str
        Parts of its extrapolation distance.
    inside : dict of list of Evidence
        By law, one a split inside the smaller runs.
    beyond : dict of Evidence
        By law, of the larger runs.
    weights : dict of float
        Weight of each law in the average of the smaller runs.
    """

    table: LearnedFrom
    parts: tuple[str, ...]
    inside: dict[str, list[Evidence]]
    beyond: dict[str, Evidence]
    weights: dict[str, float]


def misses_of(forecasts: Forecasts, table: LearnedFrom, *, seed: int = 0) -> Misses:
    """What the laws of a hold-out missed, inside the runs seen and beyond them."""
    start = DiscrepancyPrior(scale=_CENTER, log_sd=_LOG_SD, correlation=_CORRELATION)
    inside = {
        law: [evidence_of(each) for each in splits.values() if each["rhat"] <= MOST_RHAT]
        for law, splits in forecasts.forward.items()
    }
    beyond = {law: evidence_of(asked) for law, asked in asked_of(forecasts).items()}
    weights = average_of(forecasts.forward, forecasts.axes, seed=seed, prior=start).weights
    return Misses(table, parts_of_distance(forecasts.axes), inside, beyond, weights)


def misses_of_table(
    spec: FitSpec, table: RunTable, lab: str, *, on_progress: Callable[[Progress], None] = lambda progress: None
) -> list[Misses]:
    """Fit the laws of a spec's average to a table below several shares of its largest compute, and keep how far they missed the rest.

    Parameters
    ----------
    spec : FitSpec
        Groups, size, seed, and the laws of its ``average``.
    table : RunTable
        All runs.
    lab : str
        Whose they are.
    on_progress : callable
        Called with progress.

    Raises
    ------
    InputError
        No share leaves enough runs on both sides.
    """
    origin = LearnedFrom(lab=lab, table=spec.name or table.origin, sha256=table.sha256 or "", runs=len(table.frame))
    if not (masks := far_masks(spec, table.frame)):
        hint = "give a sweep over at least a factor of three of training compute"
        raise InputError("has too few runs below or above a third of its largest compute", file=table.origin, hint=hint)
    found = []
    for name, held in masks.items():
        forecasts = forecasts_of(spec, table, held, on_progress=lambda progress, name=name: on_progress(progress.of(name)))
        found.append(misses_of(forecasts, origin, seed=spec.sampler.seed))
    return found


def learned_prior(misses: Sequence[Misses], *, seed: int = 0) -> DiscrepancyPrior:
    """The prior under which the averages' forecasts of larger runs were likeliest: each lab counts as one forecast.

    ``sum_lab mean_hold-out ln sum_k w_k p(larger runs | law k, its misses inside, scale, log_sd) + ln p(scale, log_sd)``

    What is scored is what is mixed: a law without weight has no say in how far those with weight are doubted, and a growth that holds within
    a table and not far beyond it is paid for.

    Parameters
    ----------
    misses : sequence of Misses
        Of :func:`misses_of`.
    seed : int
        Seed of the draws of scales, common to all values tried.
    """
    labs: Mapping[str, list[Misses]] = {
        lab: [one for one in misses if one.table.lab == lab] for lab in dict.fromkeys(one.table.lab for one in misses)
    }
    center = np.log([*_CENTER.values(), _LOG_SD])
    spread = np.array([_CENTER_LOG_SD] * len(KINDS) + [_LOG_SD_LOG_SD])

    def surprise(position: np.ndarray) -> float:
        scale: dict[str, float] = dict(zip(KINDS, np.exp(position[:-1]).tolist(), strict=True))
        score = sum(
            np.mean([_score(one, scale, float(np.exp(position[-1])), seed) for one in of_lab]) for of_lab in labs.values()
        )
        return float(0.5 * (((position - center) / spread) ** 2).sum() - score)

    simplex = np.vstack([center, center + 0.6 * np.diag(spread)])
    options = {"maxfev": _EVALUATIONS, "initial_simplex": simplex, "xatol": 0.02, "fatol": 0.02}
    found = minimize(surprise, center, method="Nelder-Mead", options=options).x
    return DiscrepancyPrior(
        scale={kind: float(f"{value:.3g}") for kind, value in zip(KINDS, np.exp(found[:-1]), strict=True)},
        log_sd=float(f"{np.exp(found[-1]):.3g}"),
        correlation=_CORRELATION,
        learned_from=tuple(dict.fromkeys(one.table for one in misses)),
    )


def _score(one: Misses, scale: dict[str, float], log_sd: float, seed: int) -> float:
    """Log density of the larger runs of a hold-out under the average, nats."""
    rng = np.random.default_rng(seed)
    median = np.array([scale[kind_of(part)] for part in one.parts])
    drawn = median * np.exp(log_sd * rng.standard_normal((_DRAWS, len(one.parts))))
    factor = drawn[:, :, None] * correlation_factor(_CORRELATION, one.parts)
    around = factor @ np.swapaxes(factor, 1, 2)
    of_law = []
    for law, evidence in one.beyond.items():
        center, covariance, log_weight = conjugate(one.inside[law], factor)
        each = log_weight + log_density(evidence, center, covariance + around)
        of_law.append(np.log(one.weights[law]) + np.logaddexp.reduce(each) - np.logaddexp.reduce(log_weight))
    return float(np.logaddexp.reduce(of_law))
