"""Learn the prior of discrepancy across labs: how far laws fitted to the smaller runs of a table missed its larger ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bayesmoe.forecasting.discrepancy import conjugate, evidence_of
from bayesmoe.forecasting.discrepancy_prior import KINDS, DiscrepancyPrior, LearnedFrom, kind_of
from bayesmoe.forecasting.forward_validation import distance_axes, forward_forecasts
from bayesmoe.forecasting.weights import MOST_RHAT, average_of, laws_of, size_of
from bayesmoe.inference.ensemble import correlation_factor
from bayesmoe.inference.extrapolation import is_axis, parts_of_distance
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.spec import FitSpec
from bayesmoe.runs import RunTable

_CENTER = {kind: 0.07 if is_axis(kind) else 0.035 for kind in KINDS}
_CENTER_LOG_SD = 1.0
"""Where a kind's scale is believed to lie before any table is seen, and within which log-sd."""

_LOG_SD, _LOG_SD_LOG_SD = 0.6, 0.4
_CORRELATION = 0.3
_DRAWS, _EVALUATIONS = 500, 400


@dataclass(frozen=True)
class TableMisses:
    """How far laws fitted to parts of one table missed its larger runs.

    Attributes
    ----------
    table : LearnedFrom
        Which table.
    parts : tuple of str
        Parts of its extrapolation distance.
    evidence : dict of list
        By law, one pair a split, see :func:`bayesmoe.forecasting.discrepancy.evidence_of`.
    weights : dict of float
        Weight of each law in the table's average.
    """

    table: LearnedFrom
    parts: tuple[str, ...]
    evidence: dict[str, list[tuple[np.ndarray, np.ndarray]]]
    weights: dict[str, float]


def misses_of(
    spec: FitSpec, table: RunTable, lab: str, *, on_progress: Callable[[str], None] = lambda line: None
) -> TableMisses:
    """Fit the laws of a spec's average to parts of a table, and keep how far they missed the rest.

    Parameters
    ----------
    spec : FitSpec
        Groups, size, seed, and the laws of its ``average``.
    table : RunTable
        All runs.
    lab : str
        Whose they are.
    on_progress : callable
        Called with a line per fit.
    """
    size = size_of(spec, table.frame)
    axes, forward = distance_axes(table.frame, size), {}
    for name in laws_of(spec, table.frame):
        refits = Refits(with_law(spec, name, size), table)
        everything = np.ones(len(refits.frame), dtype=bool)
        forward[name] = forward_forecasts(refits, everything, size, on_progress=on_progress)
    start = DiscrepancyPrior(scale=_CENTER, log_sd=_LOG_SD, correlation=_CORRELATION)
    evidence = {
        name: [evidence_of(each) for each in splits.values() if each["rhat"] <= MOST_RHAT]
        for name, splits in forward.items()
    }
    origin = LearnedFrom(lab=lab, table=spec.name or table.origin, sha256=table.sha256 or "", runs=len(table.frame))
    weights = average_of(forward, axes, seed=spec.sampler.seed, prior=start).weights
    return TableMisses(origin, parts_of_distance(axes), evidence, weights)


def learned_prior(tables: Sequence[TableMisses], *, seed: int = 0) -> DiscrepancyPrior:
    """The prior under which the misses of all labs are likeliest: each lab counts as one, its tables as parts of it.

    ``sum_lab mean_table sum_k w_k ln p(misses of law k | scale, log_sd) + ln p(scale, log_sd)``

    Laws count by their weight in their table's average: a law that carries no forecast has little say in how far those that do are doubted.

    Parameters
    ----------
    tables : sequence of TableMisses
        Of :func:`misses_of`.
    seed : int
        Seed of the draws of scales, common to all values tried.
    """
    labs: Mapping[str, list[TableMisses]] = {
        lab: [one for one in tables if one.table.lab == lab] for lab in dict.fromkeys(one.table.lab for one in tables)
    }
    center = np.log([*_CENTER.values(), _LOG_SD])
    spread = np.array([_CENTER_LOG_SD] * len(KINDS) + [_LOG_SD_LOG_SD])

    def surprise(position: np.ndarray) -> float:
        scale: dict[str, float] = dict(zip(KINDS, np.exp(position[:-1]).tolist(), strict=True))
        evidence = sum(
            np.mean([_evidence(one, scale, float(np.exp(position[-1])), seed) for one in of_lab]) for of_lab in labs.values()
        )
        return float(0.5 * (((position - center) / spread) ** 2).sum() - evidence)

    simplex = np.vstack([center, center + 0.6 * np.diag(spread)])
    options = {"maxfev": _EVALUATIONS, "initial_simplex": simplex, "xatol": 0.02, "fatol": 0.05}
    found = minimize(surprise, center, method="Nelder-Mead", options=options).x
    return DiscrepancyPrior(
        scale={kind: float(f"{value:.3g}") for kind, value in zip(KINDS, np.exp(found[:-1]), strict=True)},
        log_sd=float(f"{np.exp(found[-1]):.3g}"),
        correlation=_CORRELATION,
        learned_from=tuple(one.table for one in tables),
    )


def _evidence(one: TableMisses, scale: dict[str, float], log_sd: float, seed: int) -> float:
    """Log evidence of a table's misses, nats, its laws by weight."""
    rng = np.random.default_rng(seed)
    median = np.array([scale[kind_of(part)] for part in one.parts])
    drawn = median * np.exp(log_sd * rng.standard_normal((_DRAWS, len(one.parts))))
    factor = drawn[:, :, None] * correlation_factor(_CORRELATION, one.parts)
    total = 0.0
    for law, splits in one.evidence.items():
        log_weight = conjugate(splits, factor)[2]
        total += one.weights[law] * float(np.logaddexp.reduce(log_weight) - np.log(_DRAWS))
    return total
