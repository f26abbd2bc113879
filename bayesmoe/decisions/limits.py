"""Which limits keep a design from being recommended, and the least that would have to be allowed instead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.planning.limits import BUDGET, Limit, limit_named
from bayesmoe.planning.scenario import Scenario

_LOSS = ("limits.loss_nats", "tolerance.loss_nats")


class LimitOutcome(NamedTuple):
    """How one limit does for one design.

    Attributes
    ----------
    limit : Limit
        The limit.
    p_kept : float
        Share of draws in which the design keeps it.
    p_costs_alone : float
        Share of draws in which it breaks this limit and no other.
    needed : float
        Value of this limit at which the design would keep all of them with the scenario's probability, the others as they are; NaN where no
        value would do.
    """

    limit: Limit
    p_kept: float
    p_costs_alone: float
    needed: float


def limits_of_design(plan: xr.Dataset, scenario: Scenario, problem: str, num_experts: int) -> tuple[LimitOutcome, ...]:
    """Limits of the best design of an expert count, those that cost most alone first; empty where the plan has none to say.

    With ``needed`` as an order statistic: the least value x for which every other limit and ``needed <= x`` hold together in the scenario's
    share of draws.
    """
    if "limit" not in plan:
        return ()
    part = plan[["limit_asked", "limit_kept", "limit_needed"]].sel(problem=problem, num_experts=num_experts)
    part = part.sel(limit=part["limit_asked"].values)
    limits = [limit_named(str(key), scenario) for key in part["limit"].values]
    kept, needed = part["limit_kept"].values, part["limit_needed"].values.astype(float)
    # A larger budget is another way to keep the loss.
    of_loss = next((at for at, limit in enumerate(limits) if limit.key in _LOSS), None)
    found = []
    for at, limit in enumerate(limits):
        relaxed = of_loss if limit.key == BUDGET and of_loss is not None else at
        others = np.delete(kept, relaxed, axis=0).all(axis=0)
        enough = np.where(kept[relaxed], limit.given, needed[at])
        alone = float((others & ~kept[at]).mean()) if relaxed == at else 0.0
        least = smallest_relaxation(enough, others, scenario.tolerance.probability, at_least=limit.at_least)
        found.append(LimitOutcome(limit, float(kept[at].mean()), alone, least))
    return tuple(sorted(found, key=lambda one: -one.p_costs_alone))


def smallest_relaxation(needed: np.ndarray, others: np.ndarray, probability: float, *, at_least: bool = False) -> float:
    """Value of a limit under which it and all others hold together with a probability; NaN where none would do.

    Parameters
    ----------
    needed : array, shape (S,)
        Value at which each draw keeps it; infinite or NaN where none does.
    others : array of bool, shape (S,)
        Whether each draw keeps all others.
    probability : float
        Share of draws.
    at_least : bool
        Whether the limit is the least allowed, so that a lower value relaxes it.
    """
    sign = -1.0 if at_least else 1.0
    values = np.sort(np.where(others & np.isfinite(needed), sign * needed, np.inf))
    found = values[max(int(np.ceil(probability * len(values))) - 1, 0)]
    return sign * float(found) if np.isfinite(found) else float("nan")
