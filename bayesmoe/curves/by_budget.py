"""How answers change with the training budget: loss optima along budgets, and plans at several of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.curves.by_size import DRAWS, of_counts, over_laws
from bayesmoe.decisions.recommendation import bands
from bayesmoe.decisions.risk import risk
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import UNITS, plan
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface

_SERVING = "serving_usd_per_million_tokens"
_REPORTED = ("n_dense", "tokens", "loss", _SERVING, "over_training_ratio", "size_ratio", "p_feasible")


def trade_offs(
    fit: xr.DataTree,
    scenario: Scenario,
    *,
    budgets_flop: Sequence[float],
    losses: Sequence[float],
    draws: int | None = DRAWS,
) -> xr.Dataset:
    """Loss, serving cost and training FLOP of loss-optimal models, each against the other.

    Parameters
    ----------
    fit, scenario, draws
        As of :func:`bayesmoe.curves.by_size.loss_by_tokens`; the scenario's fleet is read too, its budget is not.
    budgets_flop, losses : sequence of float
        Training FLOP, rising; nats per token.

    Returns
    -------
    Dataset
        By ``num_experts`` and ``train_flop``, at each ``quantile``: ``loss``, the lowest on that budget, nats per token, and
        ``serving_usd_per_million_tokens`` there. By ``num_experts`` and ``asked_loss``: ``serving_at_loss``, what serving the loss-optimal
        model of that loss costs, straight in logarithms between budgets. Costs are NaN where fewer than nine draws of ten have one.
    """
    laws = surfaces(fit, of_counts(scenario), elsewhere=True, draws=draws)
    budgets, asked = np.asarray(budgets_flop, float), np.asarray(losses, float)

    def along_budgets(surface: DesignSurface) -> Any:
        def on(flop: Any) -> Any:
            of_budget = surface.on_budget(flop)
            ln_size = of_budget.loss_optimal()
            return of_budget.loss(ln_size), of_budget.serving(ln_size).usd_per_million_tokens

        return tuple(jnp.moveaxis(values, 0, -1) for values in jax.lax.map(on, jnp.asarray(budgets)))

    loss, cost = over_laws(along_budgets, laws)
    cost = np.where(np.isfinite(cost), cost, np.nan)
    curves = zip(loss.reshape(-1, len(budgets)), cost.reshape(-1, len(budgets)), strict=True)
    at_loss = np.stack([_along(*curve, asked) for curve in curves]).reshape(*loss.shape[:2], len(asked))
    for values in (cost, at_loss):
        values[:, np.isfinite(values).mean(axis=0) < _ENOUGH] = np.nan
    dims = ("sample", "num_experts")
    quantiles = bands(
        xr.Dataset(
            {
                "loss": ((*dims, "train_flop"), loss),
                _SERVING: ((*dims, "train_flop"), cost),
                "serving_at_loss": ((*dims, "asked_loss"), at_loss),
            },
            coords={"num_experts": list(scenario.choices.counts), "train_flop": budgets, "asked_loss": asked},
        )
    )
    for name, unit in (("loss", "loss"), (_SERVING, _SERVING), ("serving_at_loss", _SERVING)):
        quantiles[name].attrs = {"units": QUANTITIES[unit]}
    return quantiles


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


_ENOUGH = 0.9


def _along(loss: np.ndarray, cost: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Cost where the loss, falling along budgets, is what is asked."""
    order = np.argsort(loss)
    return np.exp(np.interp(asked, loss[order], np.log(cost[order]), left=np.nan, right=np.nan))
