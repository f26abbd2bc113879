"""What knowing more is worth: of everything (EVPI), of one number (EVPPI), and of runs not yet trained (EVSI), in money.

All three are ``min_o E[J_o] - E[ min_o E[J_o | what is known] ]``: by how much the expected cost of the best option falls when the choice may
follow what is known. The inner expectation is a regression of the options' costs on what is known, over the posterior's draws (Strong,
Oakley and Brennan 2014, for EVPPI; Strong et al. 2015, for EVSI): no second layer of draws is needed. The regression chooses, and the draws that
it was not fitted to say what the choice saved, so that an estimate is too low rather than too high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from bayesmoe.decisions.total_cost import money

_DEGREE, _FOLDS, _OPTIONS = 4, 5, 24


class Worth(NamedTuple):
    """An estimated value of information.

    Attributes
    ----------
    usd : float
        At least 0 and at most the EVPI.
    se_usd : float
        Standard error over draws.
    """

    usd: float
    se_usd: float


class Stakes(NamedTuple):
    """What options cost beside the one that is best now; draws in which nothing is known are left out.

    Attributes
    ----------
    excess : array, shape (S, O)
        USD above the option of least expected cost: 0 in its own column.
    kept : array of int, shape (S,)
        Samples of the plan that these are.
    """

    excess: np.ndarray
    kept: np.ndarray

    @property
    def evpi_usd(self) -> float:
        """Value of knowing which draw is true: ``min_o E[J_o] - E[min_o J_o]``."""
        return float(-self.excess.min(axis=1).mean()) if len(self.kept) else 0.0


def stakes(total: xr.DataArray) -> Stakes:
    """Stakes of a problem from what its options cost, USD by ``option`` and ``sample``.

    Options that are the best of no draw, or of next to none, are left out: they carry noise and no value.
    """
    values = total.transpose("sample", "option").values
    kept = np.flatnonzero(np.isfinite(values).all(axis=1))
    values = values[kept]
    if not len(kept):
        return Stakes(np.zeros((0, 1)), kept)
    best = int(values.mean(axis=0).argmin())
    wins = np.bincount(values.argmin(axis=1), minlength=values.shape[1])
    others = [int(o) for o in np.argsort(-wins)[:_OPTIONS] if o != best and wins[o] > 0]
    return Stakes(values[:, [best, *others]] - values[:, [best]], kept)


def perfect(of: Stakes, known: np.ndarray) -> Worth:
    """Value of knowing one number (EVPPI), from its draws; of samples in which it is NaN nothing is learned.

    Parameters
    ----------
    of : Stakes
        S draws.
    known : array, shape (S,)
        The number in each draw.
    """
    has = np.isfinite(known)
    if has.sum() < 2 * _DEGREE or np.ptp(known[has]) == 0:
        return Worth(0.0, 0.0)
    part = Stakes(of.excess[has], of.kept[has])
    found = _learned(part, basis([normal_scores(known[has])], _DEGREE), of.evpi_usd / has.mean())
    return Worth(found.usd * has.mean(), found.se_usd * has.mean())


def which(of: Stakes, labels: np.ndarray) -> Worth:
    """Value of knowing which of a few things holds, such as the law, from its label in each draw."""
    names = np.unique(labels)
    if len(names) < 2:
        return Worth(0.0, 0.0)
    return _learned(of, (labels[:, None] == names[:-1]).astype(float), of.evpi_usd)


def sample(of: Stakes, runs: np.ndarray) -> Worth:
    """Value of training runs (EVSI), from one simulated outcome of each in every draw.

    Parameters
    ----------
    of : Stakes
        S draws.
    runs : array, shape (S, k)
        Outcomes of k runs: losses with their noise, under the draw's law.
    """
    columns = [normal_scores(column) for column in np.asarray(runs, dtype=float).T]
    return _learned(of, basis(columns, _DEGREE if len(columns) == 1 else 2), of.evpi_usd)


def together(worth: Iterable[Worth]) -> Worth:
    """What the same knowledge is worth to several decisions: the sum; so is the error at most, as they share their draws."""
    each = list(worth)
    return Worth(sum(one.usd for one in each), sum(one.se_usd for one in each))


def batches(worth_of: Callable[[list[int]], Worth], cost_usd: Sequence[float], size: int) -> list[tuple[int, Worth]]:
    """Runs to train together, added one by one where each adds most for what it costs.

    Parameters
    ----------
    worth_of : callable
        What some of n candidate runs, by number, are worth together.
    cost_usd : sequence of float
        What each costs.
    size : int
        Runs in the batch.

    Returns
    -------
    list of (int, Worth)
        Number of each added run, and what the batch up to it is worth. Knowing more is never worth less, so neither is a larger batch.
    """
    chosen: list[tuple[int, Worth]] = []
    for _ in range(min(size, len(cost_usd))):
        taken = [number for number, _ in chosen]
        left = [number for number in range(len(cost_usd)) if number not in taken]
        worth = {number: worth_of([*taken, number]) for number in left}
        best = max(left, key=lambda number: worth[number].usd - cost_usd[number])
        least = chosen[-1][1].usd if chosen else 0.0
        chosen.append((best, Worth(max(worth[best].usd, least), worth[best].se_usd)))
    return chosen


def evppi(plan: xr.Dataset) -> xr.Dataset:
    """Value of knowing each uncertain number of a plan, and which law holds; empty where the plan knows no money.

    Returns
    -------
    Dataset
        ``evppi_usd`` and ``evppi_se_usd`` by ``problem`` and ``input``, the plan's inputs and ``law``. Numbers that come as a pair, such as a coefficient and its
        exponent, tell the same twice: their values do not add up.
    """
    known = money(plan)
    if known is None:
        return xr.Dataset()
    laws, values = plan["law"].values, plan["input_value"].values
    names = [*map(str, plan["input"].values), "law"]
    rows = []
    for problem in plan["problem"].values:
        of = stakes(known.total.sel(problem=problem))
        rows.append([*(perfect(of, column[of.kept]) for column in values), which(of, laws[of.kept])])
    table = np.array([[(one.usd, one.se_usd) for one in row] for row in rows])
    coords = {"problem": plan["problem"].values, "input": names}
    dims = ("problem", "input")
    return xr.Dataset(
        {
            "evppi_usd": (dims, table[..., 0], {"units": "USD"}),
            "evppi_se_usd": (dims, table[..., 1], {"units": "USD"}),
        },
        coords=coords,
    )


def _learned(of: Stakes, features: np.ndarray, most: float) -> Worth:
    """What choosing by a regression saves in draws that it was not fitted to.

    A rule that learned nothing chooses what is best now, and saves nothing; one that took noise for knowledge loses, which counts as 0.
    """
    count = len(features)
    if count <= 2 * _FOLDS * (features.shape[1] + 1):
        return Worth(0.0, 0.0)
    design = np.column_stack([np.ones(count), features])
    # The normal equations of all folds but one are a difference of sums: few features of one scale, so that squaring them loses nothing.
    parts = [np.arange(number, count, _FOLDS) for number in range(_FOLDS)]
    products = [(design[part].T @ design[part], design[part].T @ of.excess[part]) for part in parts]
    gram, moments = (np.sum(each, axis=0) for each in zip(*products, strict=True))
    saved = np.empty(count)
    for part, (own_gram, own_moments) in zip(parts, products, strict=True):
        weights = np.linalg.lstsq(gram - own_gram, moments - own_moments)[0]
        saved[part] = -of.excess[part, (design[part] @ weights).argmin(axis=1)]
    usd = float(np.clip(saved.mean(), 0.0, max(most, 0.0)))
    return Worth(usd, float(saved.std() / np.sqrt(count)))


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal scores of ranks: what is known enters by its order, whatever its scale and tails."""
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return special.ndtri((ranks + 0.5) / len(values))


def basis(columns: list[np.ndarray], degree: int) -> np.ndarray:
    """Powers of each column, and products of pairs."""
    powers = [special.eval_hermitenorm(power, column) for column in columns for power in range(1, degree + 1)]
    pairs = [a * b for i, a in enumerate(columns) for b in columns[:i]]
    return np.column_stack([*powers, *pairs])
