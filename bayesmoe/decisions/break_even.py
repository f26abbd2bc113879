"""Break-even demand: how many tokens must be served before another expert count is the best."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmoe.decisions.total_cost import SERVING, money
from bayesmoe.planning.store import PlanInfo
from bayesmoe.units import QUANTILES, TOKENS_PER_MILLION

LEAST, MOST = 1e8, 1e18
"""Output tokens served in all between which demand is looked at."""

_FINE, _COARSE = 2001, 81


def break_even(plan: xr.Dataset) -> xr.Dataset:
    """Demands at which the best expert count changes.

    ``J_o(T) = train_usd + usd_per_nat loss + T serving``: the more is served, the more cheap serving is worth beside a low loss. Options are those
    that meet the probability; of each expert count, at each demand, the best.

    Returns
    -------
    Dataset
        By ``problem`` and ``change``, rising in demand: ``from_num_experts``, ``to_num_experts``, 0 where there is no such change;
        ``break_even_tokens``, where expected costs cross, and ``break_even_tokens_band`` by ``quantile``, where those of single draws do: 0 where the
        second count is the better at any demand, infinite where at none. ``num_experts_at_min_demand``: the best count at :data:`LEAST`. Empty where the plan
        knows no money.
    """
    known = money(plan)
    if known is None:
        return xr.Dataset()
    names = [str(name) for name in plan["problem"].values]
    found = [_changes(plan.sel(problem=name), float(known.usd_per_nat.sel(problem=name))) for name in names]
    most = max(len(changes) for changes, _ in found)
    table = np.zeros((len(names), most, 3))
    bands = np.full((len(names), most, len(QUANTILES)), np.nan)
    for row, (changes, _) in enumerate(found):
        for place, (before, after, tokens, band) in enumerate(changes):
            table[row, place], bands[row, place] = (before, after, tokens), band
    dims = ("problem", "change")
    return xr.Dataset(
        {
            "from_num_experts": (dims, table[..., 0].astype(int)),
            "to_num_experts": (dims, table[..., 1].astype(int)),
            "break_even_tokens": (dims, np.where(table[..., 1] > 0, table[..., 2], np.nan), {"units": "output tokens"}),
            "break_even_tokens_band": ((*dims, "quantile"), bands, {"units": "output tokens"}),
            "num_experts_at_min_demand": ("problem", np.array([least for _, least in found])),
        },
        coords={"problem": names, "quantile": list(QUANTILES)},
    )


def _changes(part: xr.Dataset, usd_per_nat: float) -> tuple[list[tuple[int, int, float, np.ndarray]], int]:
    """Changes of one problem as (from, to, tokens, band), and the best count at the least demand, 0 where no option is sure."""
    sure = part["option_feasible"].mean("sample").values >= PlanInfo.read(part).scenario.tolerance.probability
    if not sure.any():
        return [], 0
    part = part.isel(option=sure)
    counts = part["option_num_experts"].values
    before = part["option_train_usd"].astype(float) + usd_per_nat * part["option_loss"].astype(float)
    per_token = part[f"option_{SERVING}"].astype(float) / TOKENS_PER_MILLION
    start, slope = (each.where(np.isfinite(each)).mean("sample").values for each in (before, per_token))
    demand = np.geomspace(LEAST, MOST, _FINE)
    best = np.argmin(start[:, None] + slope[:, None] * demand, axis=0)
    changes = []
    for at in np.flatnonzero(counts[best[1:]] != counts[best[:-1]]):
        one, other = best[at], best[at + 1]
        tokens = (start[other] - start[one]) / (slope[one] - slope[other])
        own = _crossings(before.values, per_token.values, counts == counts[one], counts == counts[other])
        changes.append((int(counts[one]), int(counts[other]), float(tokens), _quantiles(own)))
    return changes, int(counts[best[0]])


def _crossings(before: np.ndarray, per_token: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Demand of each draw from which on the other count's best option is the better, shape (S,)."""
    demand = np.geomspace(LEAST, MOST, _COARSE)
    with np.errstate(invalid="ignore"):
        # Where neither can be had there is no gap, and no crossing.
        gap = np.stack(
            [_least(before, per_token, other, tokens) - _least(before, per_token, one, tokens) for tokens in demand]
        )
    worse = gap > 0
    last = np.where(worse.any(axis=0), len(demand) - 1 - worse[::-1].argmax(axis=0), -1)
    here = np.clip(last, 0, len(demand) - 2)
    draws = np.arange(gap.shape[1])
    with np.errstate(invalid="ignore"):
        share = gap[here, draws] / (gap[here, draws] - gap[here + 1, draws])
    between = np.exp(np.log(demand[here]) + np.clip(share, 0.0, 1.0) * np.log(demand[1] / demand[0]))
    return np.where(last < 0, 0.0, np.where(last == len(demand) - 1, np.inf, between))


def _least(before: np.ndarray, per_token: np.ndarray, options: np.ndarray, tokens: float) -> np.ndarray:
    return np.nanmin(np.where(options[:, None], before + tokens * per_token, np.inf), axis=0)


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Quantiles by order: between a number and infinity there is none."""
    return np.quantile(values, list(QUANTILES), method="inverted_cdf")
