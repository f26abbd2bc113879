"""Does the law describe the runs, and do the runs describe the law: structure in residuals, noise beside that of seeds, and the design."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayesmoe.inference.gate import Check
from bayesmoe.inference.noise import replicates
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Law
from bayesmoe.runs.levels import levels

_AXES = ("n_dense", "n_active", "n_total", "tokens", "num_experts")
_ROUNDING = 1e-9
_BINS = 6
_RUNS_A_CELL = 2.0
_LEVEL = 0.01
_MOST_STRUCTURE = 0.25
_MOST_NOISE, _MOST_OVER_SEEDS = 4.0, 3.0
_LEAST_REPLICATES = 3
_CLUMPS = -1.0
_LEAST_LEVELS = 3
_MOST_INFLATION = 10.0
STRUCTURE, NOISE = "residual structure", "noise over seeds"
OF_HEAVIEST = (STRUCTURE, NOISE)
"""Checks that an average takes from its heaviest law: what a light law misses hardly moves it."""

_NO_SETTING = ("group_of_run", "seed", "run")

_NOT_DESCRIBED = (
    "the law misses these runs by more than noise, all to one side: look at the residuals, fit a law that reads what they share, or "
    "group by it"
)
_NOT_SEEDS = (
    "runs that should be alike differ by more than seeds do: look for what the table does not say, such as tokenizer, corpus, schedule or "
    "epochs, and select or group by it"
)
_TWO_LEVELS = (
    "two levels show a slope and no bend, so that saturation is its prior: add runs at a level in between or beyond"
)
_ONE_WITH_ANOTHER = (
    "these runs cannot tell its effect from that of what it follows: add runs that vary one and not the other"
)


def adequacy(fit: xr.DataTree) -> list[Check]:
    """Compute what the gate of a law asks of its residuals and of its runs.

    Structure: the standardized residuals of runs in one cell (of two axes that the law reads, of a setting that it does not read) lie to one
    side; F-test of cell means. Noise: against the prior of seed noise, and against replicates where there are three pairs. Design: the
    least number of levels of what the law reads, and the largest variance inflation ``1/(1 - R^2)`` of one axis by the others.

    Parameters
    ----------
    fit : DataTree
        A fit of one law.

    Returns
    -------
    list of Check
        PASS needs structure below a quarter of the residual variance or not significant at 1% over all cells asked, so that a law
        that is right is sent to REVIEW in at most one of a hundred tables; noise at most four times its prior's median and three times that of
        replicates; three levels; inflation at most ten. All else is REVIEW.
    """
    info, runs = FitInfo.read(fit), fit["constant_data"].dataset
    read = _axes(info.law, runs)
    residual = _residuals(fit, info.response)
    if not read or len(residual) < 2 * _LEAST_LEVELS:
        return []
    return [_structure(residual, read, _settings(info.law, runs)), _noise(fit, info, residual), *_design(read)]


def _residuals(fit: xr.DataTree, response: str) -> np.ndarray:
    """Residuals of the log response in units of the predictive standard deviation, shape (n,)."""
    observed = fit["observed_data"].dataset[response].values
    predicted = fit["posterior_predictive"].dataset[response].values.reshape(-1, len(observed))
    usable = np.log(np.where(predicted > 0, predicted, np.nan))
    return (np.log(observed) - np.nanmean(usable, axis=0)) / np.nanstd(usable, axis=0)


def _axes(law: Law, runs: Any) -> dict[str, np.ndarray]:
    """Covariates of size, tokens and experts that a law reads and that vary."""
    values = {name: runs[name].values.astype(float) for name in _AXES if name in law.covariates and name in runs}
    return {name: value for name, value in values.items() if len(np.unique(levels(value))) > 1}


def _settings(law: Law, runs: Any) -> dict[str, np.ndarray]:
    """Columns of the runs that a law does not read and that vary."""
    names = [str(name) for name, value in runs.data_vars.items() if value.dims == ("run",)]
    unread = [name for name in names if name not in (*law.covariates, *_NO_SETTING)]
    return {name: runs[name].values for name in unread if len(np.unique(runs[name].values)) > 1}


def _cells(values: np.ndarray) -> np.ndarray:
    """Number of the level, or of the sixth of the runs, that a value belongs to; shape (n,)."""
    number = np.unique(values, return_inverse=True)[1]
    if values.dtype.kind not in "fiu":
        return number
    known = levels(values) if np.all(values > 0) else number
    if len(np.unique(known)) <= _BINS + 2:
        return known
    return np.searchsorted(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]), values)


def _structure(residual: np.ndarray, axes: Mapping[str, np.ndarray], settings: Mapping[str, np.ndarray]) -> Check:
    places = {name: _cells(values) for name, values in axes.items()}
    asked = places | {f"{a} x {b}": places[a] * len(residual) + places[b] for a, b in combinations(places, 2)}
    asked |= {name: _cells(values) for name, values in settings.items()}
    found = {name: _explained(residual, cells) for name, cells in asked.items()}
    significant = {name: share for name, (share, chance) in found.items() if chance < _LEVEL / len(found)}
    over = {name: share for name, share in significant.items() if share > _MOST_STRUCTURE}
    ranked = over or significant or {name: share for name, (share, _) in found.items()}
    where = max(ranked, key=lambda name: ranked[name])
    rule = f"at most {_MOST_STRUCTURE:g} of the residual variance, or chance"
    return Check.of(STRUCTURE, max(ranked[where], 0.0), where, rule, not over, True, _NOT_DESCRIBED)


def _explained(residual: np.ndarray, cells: np.ndarray) -> tuple[float, float]:
    """Adjusted share of the variance between cells, and the probability of as much by chance; (0, 1) where cells hold too few runs."""
    _, cell, count = np.unique(cells, return_inverse=True, return_counts=True)
    runs, number = len(residual), len(count)
    if number < 2 or runs < _RUNS_A_CELL * number:
        return 0.0, 1.0
    mean = np.bincount(cell, residual) / count
    within, total = ((residual - mean[cell]) ** 2).sum(), ((residual - residual.mean()) ** 2).sum()
    of_noise, between = max(within / (runs - number), _ROUNDING), (total - within) / (number - 1)
    share = 1.0 - of_noise / max(total / (runs - 1), _ROUNDING)
    return float(share), float(stats.f.sf(between / of_noise, number - 1, runs - number))


def _noise(fit: xr.DataTree, info: FitInfo, residual: np.ndarray) -> Check:
    """The fitted noise over the usual noise of seeds, or over that of the table's own replicates if that is more times too large."""
    noise = float(np.median(fit["posterior"].dataset["noise_scale"].values))
    usual = info.law.noise_median
    # Two clumps of equal size have an excess kurtosis of -2, a normal sample's has a standard error of sqrt(24/n).
    by_chance = float(stats.norm.ppf(_LEVEL)) * np.sqrt(24.0 / len(residual))
    clumps = bool(stats.kurtosis(residual) < min(_CLUMPS, by_chance))
    where = "residuals in two clumps" if clumps else "prior of seed noise"
    rule = f"at most {_MOST_NOISE:g}x"
    times, most = noise / usual, _MOST_NOISE
    of_seeds = _seed_noise(fit, info.response)
    if of_seeds is not None and noise / of_seeds / _MOST_OVER_SEEDS > times / most:
        times, most, where, rule = noise / of_seeds, _MOST_OVER_SEEDS, "replicates", f"at most {_MOST_OVER_SEEDS:g}x"
    return Check.of(NOISE, times, where, rule, times <= most and not clumps, True, _NOT_SEEDS)


def _seed_noise(fit: xr.DataTree, response: str) -> float | None:
    """Standard deviation of ln response between replicates; None where fewer than three runs repeat another."""
    runs = fit["constant_data"].dataset
    frame = pd.DataFrame({str(name): value.values for name, value in runs.data_vars.items() if value.dims == ("run",)})
    ln = pd.Series(np.log(fit["observed_data"].dataset[response].values))
    number = replicates(frame)
    repeated = int(len(number) - number.nunique())
    if repeated < _LEAST_REPLICATES:
        return None
    return float(np.sqrt(((ln - ln.groupby(number).transform("mean")) ** 2).sum() / repeated)) or None


def _design(axes: Mapping[str, np.ndarray]) -> list[Check]:
    count = {name: len(np.unique(levels(value))) for name, value in axes.items()}
    few = min(count, key=lambda name: count[name])
    enough = count[few] >= _LEAST_LEVELS
    checks = [Check.of("levels", float(count[few]), few, f"at least {_LEAST_LEVELS}", enough, True, _TWO_LEVELS)]
    if len(axes) > 1:
        inflation = {name: _inflation(name, axes) for name in axes}
        where = max(inflation, key=lambda name: inflation[name])
        rule, apart = f"at most {_MOST_INFLATION:g}", inflation[where] <= _MOST_INFLATION
        checks.append(Check.of("axis inflation", inflation[where], where, rule, apart, True, _ONE_WITH_ANOTHER))
    return checks


def _inflation(name: str, axes: Mapping[str, np.ndarray]) -> float:
    ln = {axis: np.log(value) for axis, value in axes.items()}
    others = np.column_stack([np.ones_like(ln[name]), *(value for axis, value in ln.items() if axis != name)])
    left = ln[name] - others @ np.linalg.lstsq(others, ln[name], rcond=None)[0]
    return float(np.var(ln[name]) / max(float(np.var(left)), _ROUNDING))
