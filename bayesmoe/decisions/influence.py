"""Influence: what is recommended, and what it costs, where an uncertain input is low and where it is high."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmoe.decisions.recommendation import option_cost
from bayesmoe.decisions.sensitivity import SIDES
from bayesmoe.planning.store import PlanInfo

TENTH = 0.1
"""Share of the draws at either end of an input."""


def influence(plan: xr.Dataset) -> xr.Dataset:
    """Decide anew on the draws in which an input lies in its lowest tenth, and in its highest.

    Costs nothing but the draws that there are, and asks the law's parameters too. Inputs that are correlated in the posterior stay so here;
    :func:`bayesmoe.decisions.sensitivity.sensitivity` moves one number of the scenario and holds all others.

    Parameters
    ----------
    plan : Dataset
        A plan from :func:`bayesmoe.planning.planner.plan`.

    Returns
    -------
    Dataset
        As of :func:`bayesmoe.decisions.sensitivity.sensitivity`, without losses: ``value`` is the input's median within the tenth.

    Examples
    --------
    >>> bm.plots.tornado(influence(plan))  # doctest: +SKIP
    """
    scenario, values = PlanInfo.read(plan).scenario, plan["input_value"].values
    keys = [k for k, row in enumerate(values) if np.isfinite(row).all() and np.ptp(row) > 0]
    count, tenth = values.shape[1], max(1, round(TENTH * values.shape[1]))
    ranked = values[keys].argsort(axis=1, kind="stable")
    ends = np.stack([ranked[:, :tenth], ranked[:, -tenth:]], axis=1)
    within = np.zeros((len(keys), 2, count))
    np.put_along_axis(within, ends, 1.0 / tenth, axis=-1)
    weights = np.concatenate([np.full((1, count), 1.0 / count), within.reshape(-1, count)])
    cost, unit = option_cost(plan), "USD" if "lifetime_tokens" in plan else "USD per million output tokens"
    chosen, costs = [], []
    for name in plan["problem"].values:
        part = plan.sel(problem=name)
        option, probability = _recommended(part, weights, scenario.tolerance.probability)
        chosen.append(np.where(probability, part["option_num_experts"].values[option], 0))
        each = _mean(weights, cost.sel(problem=name).transpose("option", "sample").values)
        costs.append(np.where(probability, np.take_along_axis(each, option[:, None], axis=1)[:, 0], np.nan))
    shape = (len(plan["problem"]), len(keys), 2)
    counts, usd = np.array(chosen), np.array(costs)
    swing = np.abs(np.diff(np.nan_to_num(usd[0, 1:].reshape(shape[1:])), axis=1))[:, 0]
    order, dims = np.argsort(-swing, kind="stable"), ("problem", "input", "side")
    middles = np.median(np.take_along_axis(values[keys][:, None], ends, axis=-1), axis=-1)
    return xr.Dataset(
        {
            "value": (dims[1:], middles[order]),
            "recommended": (dims, counts[:, 1:].reshape(shape)[:, order]),
            "cost": (dims, usd[:, 1:].reshape(shape)[:, order]),
            "baseline_choice": ("problem", counts[:, 0]),
            "baseline_cost": ("problem", usd[:, 0]),
        },
        coords={
            "problem": plan["problem"].values,
            "input": plan["input"].values[keys][order],
            "side": list(SIDES),
        },
        attrs={"unit": unit, "scenario_name": scenario.name},
    )


def _recommended(part: xr.Dataset, weights: np.ndarray, probability: float) -> tuple[np.ndarray, np.ndarray]:
    """Option of lowest mean objective of those that meet the probability, by row of weights; and whether there is one."""
    objective, kept = (part[f"option_{name}"].transpose("option", "sample").values for name in ("objective", "feasible"))
    sure = weights @ kept.T.astype(float) >= probability - 1e-9
    ranked = np.where(sure, np.nan_to_num(_mean(weights, objective), nan=np.inf), np.inf)
    return ranked.argmin(axis=1), np.isfinite(ranked).any(axis=1)


def _mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted means of what is finite, shape (weights, option)."""
    known = np.isfinite(values)
    total, weight = weights @ np.where(known, values, 0.0).T, weights @ known.T.astype(float)
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
