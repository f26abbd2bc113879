"""How answers change with the training budget: plans at several of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayesmoe.curves.by_size import DRAWS
from bayesmoe.decisions.risk import risk
from bayesmoe.planning.planner import UNITS, plan
from bayesmoe.planning.scenario import Scenario

_REPORTED = (
    "n_dense",
    "tokens",
    "loss",
    "serving_usd_per_million_tokens",
    "over_training_ratio",
    "size_ratio",
    "p_feasible",
)


def plans_by_budget(
    fit: xr.DataTree,
    scenario: Scenario,
    *,
    budgets_flop: Sequence[float],
    allow_failed: bool = False,
    draws: int | None = DRAWS,
) -> xr.Dataset:
    """The scenario's problems at several training budgets, the thresholds of each set by the baseline's loss optimum on the same budget.

    Parameters
    ----------
    fit, scenario : DataTree, Scenario
        A fit; the scenario, of which only the budget changes.
    budgets_flop : sequence of float
        Training FLOP.
    allow_failed, draws
        As ``allow_failed`` and ``sketch`` of :func:`bayesmoe.planning.planner.plan`.

    Returns
    -------
    Dataset
        By ``problem``, ``num_experts`` and ``train_flop``, at each ``quantile``, as of :func:`bayesmoe.decisions.risk.risk`: ``n_dense``,
        ``tokens``, ``loss``, ``serving_usd_per_million_tokens``, ``over_training_ratio`` and ``size_ratio``; ``p_feasible``, and ``sure`` where that is at least the scenario's probability.
    """
    risks: list[xr.Dataset] = []
    for flop in budgets_flop:
        own = scenario.training
        others = {"budget_usd": None, "budget_gpu_hours": None, "days": own.most_days}
        training = dataclasses.replace(own, budget_flop=float(flop), **others)
        on_budget = plan(fit, dataclasses.replace(scenario, training=training), allow_failed=allow_failed, sketch=draws)
        risks.append(risk(on_budget)[list(_REPORTED)].drop_attrs(deep=False))
        risks[-1]["sure"] = risks[-1]["p_feasible"] >= scenario.tolerance.probability
    joined = xr.concat(risks, xr.DataArray(np.asarray(budgets_flop, float), dims="train_flop", name="train_flop"))
    for name in _REPORTED[:-1]:
        joined[name].attrs = {"units": UNITS[name]}
    return joined
