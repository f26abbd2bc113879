"""What the plots of a bare fit or plan draw; a statistic that is made already is taken as it is."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from bayesmoe.criticism.predictive import headline_names, predictive_check
from bayesmoe.decisions.risk import risk
from bayesmoe.decisions.total_cost import option_regret, required_money
from bayesmoe.inference.ensemble import heaviest
from bayesmoe.planning.store import PlanInfo


def risk_of(plan: xr.Dataset) -> xr.Dataset:
    """Risk of a plan (:func:`bayesmoe.decisions.risk.risk`)."""
    return plan if "p_best" in plan else risk(plan)


def of_problem(summary: xr.Dataset, problem: str | None) -> xr.Dataset:
    """Part of a statistic by ``problem``: that problem, or the goal of the scenario."""
    return summary.sel(problem=PlanInfo.read(summary).goal if problem is None else problem)


def regret_of(plan: xr.Dataset) -> xr.Dataset:
    """Regret of a plan's fixed designs (:func:`bayesmoe.decisions.total_cost.option_regret`)."""
    if "regret_usd" in plan:
        return plan
    required_money(plan)
    return option_regret(plan)


def predictive_of(fit: xr.DataTree | xr.Dataset) -> xr.Dataset:
    """How a fit meets its runs (:func:`bayesmoe.criticism.predictive.predictive_check`)."""
    return predictive_check(fit) if isinstance(fit, xr.DataTree) else fit


def shown_parameters(fit: xr.DataTree, names: Sequence[str] | None) -> tuple[xr.DataTree, list[str]]:
    """The fit of one law, that of the largest weight of an average, and its parameters to show."""
    shown = heaviest(fit)
    return shown, list(headline_names(shown) if names is None else names)
