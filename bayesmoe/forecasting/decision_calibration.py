"""Was the band on what is decided right: differences of the loss between expert counts, and which count is best at a price."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.forecasting.scores import LEVELS, crps, inside
from bayesmoe.runs.levels import levels

_PRICES = 25
_LEAST_CHANCE = 1e-3
"""Probability below which a log score counts no lower: a thousand draws cannot tell."""

_ROUNDING = 1e-9


def curves_of_experts(frame: pd.DataFrame, size: str) -> list[np.ndarray]:
    """Runs that differ in their expert count, of one group, size and tokens: one array of rows a curve, by rising count, at least two each.

    Sizes and tokens within 8% count as one.
    """
    if "num_experts" not in frame or frame["num_experts"].isna().any():
        return []
    keys: dict[str, object] = {"group": frame["group"].astype(str) if "group" in frame else ""}
    keys |= {
        name: levels(frame[name].to_numpy(float)) for name in (size, "tokens") if name in frame and frame[name].notna().all()
    }
    places = pd.DataFrame({"row": np.arange(len(frame)), "count": frame["num_experts"].to_numpy(float), **keys})
    curves = []
    for _, one in places.groupby(list(keys)):
        single = one.drop_duplicates("count").sort_values("count")
        if len(single) > 1:
            curves.append(single["row"].to_numpy())
    return curves


def decision_calibration(
    draws: np.ndarray, observed: np.ndarray, experts: np.ndarray, curves: list[np.ndarray]
) -> xr.Dataset:
    """What draws of losses without noise said of expert counts, against the losses that came.

    Differences: ``ln L(E') - ln L(E)`` of neighboring counts of a curve. The best count: of 25 prices c, the count of a curve with the
    lowest ``ln L + c log2 E``, for c from nothing to the most that a doubling is expected to bring.

    Parameters
    ----------
    draws : array, shape (draw, n)
        Losses without noise, nats per token.
    observed, experts : array, shape (n,)
        Losses that came, and expert counts.
    curves : list of array of int
        Of :func:`curves_of_experts`.

    Returns
    -------
    Dataset
        ``coverage`` by ``level``, ``crps``, ``predicted_sd`` and ``error`` (root mean square) of the differences, dimensionless, and how many there are
        (``differences``). Of the best count: ``stated``, the mean probability of the count that was chosen, and ``right``, the share of choices
        that were best; ``slope``, of being best on the stated probability over all counts (1: dependable); ``log_score`` of the best count
        in nats; ``regret_stated`` and ``regret_suffered``, mean excess of ``ln L + c log2 E`` over the best.

    Notes
    -----
    Observed differences hold the noise of two runs, and the best count is that of runs that were trained once.
    """
    ln, truth = np.log(draws), np.log(observed)
    pairs = np.array([pair for curve in curves for pair in pairwise(curve)])
    predicted, came = ln[:, pairs[:, 1]] - ln[:, pairs[:, 0]], truth[pairs[:, 1]] - truth[pairs[:, 0]]
    choices = [_choices(ln[:, curve], truth[curve], np.log2(experts[curve])) for curve in curves]
    chance, best = (np.concatenate([one[name].ravel() for one in choices]) for name in ("chance", "best"))
    scalars = ("stated", "right", "log_score", "regret_stated", "regret_suffered")
    return xr.Dataset(
        {
            "coverage": ("level", [float(inside(predicted, came, level).mean()) for level in LEVELS]),
            "crps": float(crps(predicted, came).mean()),
            "predicted_sd": float(predicted.std(axis=0).mean()),
            "error": float(np.sqrt(((np.median(predicted, axis=0) - came) ** 2).mean())),
            "differences": len(pairs),
            "slope": _slope(chance, best),
            **{name: float(np.mean([one[name] for one in choices])) for name in scalars},
        },
        coords={"level": list(LEVELS)},
    )


def choice_percentiles(chance: np.ndarray, best: np.ndarray, *, seed: int) -> np.ndarray:
    """Probability of all alternatives that were given more than the best one, and of a share of the best by lot; shape (n,).

    Of forecasts that are right it is uniform: the best alternative lies in the set of the most probable ones of a level, the last of them
    taken in by lot, where the percentile is at most the level.

    Parameters
    ----------
    chance : array, shape (n, alternative)
        Stated probability of being best.
    best : array of int, shape (n,)
        Which was.
    seed : int
        Seed of the lots.
    """
    of_best = np.take_along_axis(chance, best[:, None], axis=1)
    order = np.arange(chance.shape[1])
    ahead = (chance > of_best) | ((chance == of_best) & (order < best[:, None]))
    lots = np.random.default_rng(seed).random(len(best))
    return (chance * ahead).sum(axis=1) + lots * of_best[:, 0]


def choice_calibration(chance: np.ndarray, best: np.ndarray, chosen: np.ndarray) -> xr.Dataset:
    """What was said of which alternative is best, against which was.

    Parameters
    ----------
    chance : array, shape (n, alternative)
        Stated probability of being best.
    best, chosen : array of int, shape (n,)
        The alternative that was best, and the one that was chosen.

    Returns
    -------
    Dataset
        ``stated``, ``right``, ``slope`` and ``log_score`` as in :func:`decision_calibration`; ``set_size`` by ``level``, the mean number of
        alternatives in the smallest set of that probability.
    """
    rows = np.arange(len(best))
    was_best = np.arange(chance.shape[1]) == best[:, None]
    ordered = np.cumsum(-np.sort(-chance, axis=1), axis=1)
    sizes = [float(1 + (ordered < level - _ROUNDING).sum(axis=1).mean()) for level in LEVELS]
    return xr.Dataset(
        {
            "stated": float(chance[rows, chosen].mean()),
            "right": float((chosen == best).mean()),
            "slope": _slope(chance, was_best),
            "log_score": float(np.log(np.maximum(chance[rows, best], _LEAST_CHANCE)).mean()),
            "set_size": ("level", sizes),
        },
        coords={"level": list(LEVELS)},
    )


def _slope(chance: np.ndarray, best: np.ndarray) -> float:
    """Slope of being best on the stated probability, over all alternatives."""
    return float(np.polyfit(chance.ravel(), best.ravel().astype(float), 1)[0])


def _choices(ln: np.ndarray, truth: np.ndarray, doubling: np.ndarray) -> dict[str, np.ndarray]:
    """Of one curve of C counts at P prices: the probability of being best and whether it was, shape (P, C), and scores of shape (P,)."""
    gain = -np.diff(np.median(ln, axis=0)) / np.diff(doubling)
    paid = np.linspace(0.0, max(float(gain.max()), 0.0), _PRICES)[:, None] * doubling
    cost, actual = ln[:, None, :] + paid, truth + paid
    chance = (cost.argmin(axis=2)[:, :, None] == np.arange(len(doubling))).mean(axis=0)
    chosen, right, prices = cost.mean(axis=0).argmin(axis=1), actual.argmin(axis=1), np.arange(_PRICES)
    return {
        "chance": chance,
        "best": np.arange(len(doubling)) == right[:, None],
        "stated": chance[prices, chosen],
        "right": chosen == right,
        "log_score": np.log(np.maximum(chance[prices, right], _LEAST_CHANCE)),
        "regret_stated": (cost[:, prices, chosen] - cost.min(axis=2)).mean(axis=0),
        "regret_suffered": actual[prices, chosen] - actual.min(axis=1),
    }
