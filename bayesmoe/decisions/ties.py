"""Which expert counts Monte Carlo error cannot tell from the recommended one."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmoe.planning.best_designs import finite_mean
from bayesmoe.planning.store import PlanInfo

_ERRORS = 2.0
"""Standard errors of Monte Carlo within which two numbers are one."""

_BLOCKS = 32


def tied_counts(plan: xr.Dataset, recommended: xr.DataArray) -> xr.DataArray:
    """Whether another run of the same posterior and plan may well recommend a count, by ``problem`` and ``num_experts``.

    The least objective of a count that its options may have lies among those whose probability reaches the scenario's within two standard
    errors; the recommendation holds for certain below the least objective of an option that reaches it by two standard errors. Counts whose
    least possible objective is not above that, by two standard errors of their difference, are tied. Standard errors are of the means of
    32 blocks of consecutive draws of each law, so that the correlation of a chain is in them.

    Parameters
    ----------
    plan : Dataset
        A plan.
    recommended : DataArray
        Recommended count by ``problem``, 0 where there is none; nothing is tied then.
    """
    counts, of_option = plan["num_experts"].values, plan["option_num_experts"].values
    laws, probability = plan["law"].values, PlanInfo.read(plan).scenario.tolerance.probability
    rows = np.zeros((plan.sizes["problem"], len(counts)), bool)
    for p, chosen in enumerate(recommended.values):
        if not chosen:
            continue
        objective, met = plan["option_objective"].values[p].astype(float), plan["option_feasible"].values[p]
        mean, share, error = finite_mean(objective), met.mean(axis=-1), _ERRORS * mean_error(met.astype(float), laws)
        possible, sure = (np.where(share + sign * error >= probability, mean, np.inf) for sign in (1.0, -1.0))
        own = np.flatnonzero((of_option == chosen) & (share >= probability) & np.isfinite(mean))
        best = own[np.argmin(mean[own])]
        highest = max(mean[best], min(sure.min(), np.nanmax(mean)) if np.isfinite(sure).any() else mean[best])
        for k, count in enumerate(counts):
            options = np.flatnonzero(of_option == count)
            least = options[np.argmin(possible[options])]
            if np.isfinite(possible[least]):
                both = np.isfinite(objective[least]) & np.isfinite(objective[best])
                apart = np.subtract(objective[least], objective[best], out=np.zeros(both.shape), where=both)
                rows[p, k] = mean[least] <= highest + _ERRORS * mean_error(apart[None], laws)[0]
        rows[p, list(counts).index(chosen)] = True
    return xr.DataArray(rows, dims=("problem", "num_experts"), coords={"problem": plan["problem"], "num_experts": counts})


def mean_error(values: np.ndarray, laws: np.ndarray) -> np.ndarray:
    """Standard error of the mean along the last axis, from blocks of consecutive draws of each law.

    Parameters
    ----------
    values : array, shape (..., S)
        Draws of the laws, one law after the other.
    laws : array of str, shape (S,)
        Law of each draw.
    """
    variance = np.zeros(values.shape[:-1])
    for law in dict.fromkeys(laws):
        own = values[..., laws == law]
        count = own.shape[-1]
        blocks = min(_BLOCKS, count // 2)
        if blocks < 2:
            continue
        each = count // blocks
        means = own[..., : each * blocks].reshape(*own.shape[:-1], blocks, each).mean(axis=-1)
        variance += (count / len(laws)) ** 2 * means.var(axis=-1, ddof=1) / blocks
    return np.sqrt(variance)
