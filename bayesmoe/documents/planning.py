"""A plan as plain data for JSON: versioned, units in its keys; schema in ``docs/json.md``."""

from __future__ import annotations

from typing import Any

import xarray as xr

from bayesmoe.decisions.break_even import break_even
from bayesmoe.decisions.hyperparameters import hyperparameters
from bayesmoe.decisions.recommendation import MEASURES
from bayesmoe.decisions.risk import without_each_law
from bayesmoe.decisions.value_of_information import evppi
from bayesmoe.planning.planner import LEVERAGE, UNITS
from bayesmoe.planning.problems import Problem, problem_named
from bayesmoe.planning.store import PlanInfo
from bayesmoe.units import BAND, QUANTILES, finite_or_none

VERSION = 2
OBJECTIVE_UNITS = {
    "loss": "nats",
    "serving_usd_per_million_tokens": "usd_per_million_tokens",
    "lifetime_usd": "usd",
    "lifetime_flop": "flop",
}
"""Suffix of keys in the unit of an objective."""

_KEYS = {
    "n_dense": "n_dense_parameters",
    "n_active": "n_active_parameters",
    "n_total": "n_total_parameters",
    "loss": "loss_nats_per_token",
    "n_gpus": "n_gpus_per_replica",
    "batch": "batch_requests",
}


def as_document(plan: xr.Dataset, summary: xr.Dataset) -> dict[str, Any]:
    """The document of a plan.

    Parameters
    ----------
    plan, summary : Dataset
        A plan and its :func:`bayesmoe.decisions.risk.risk`.
    """
    scenario = PlanInfo.read(plan).scenario
    changes, worth, settings = break_even(plan), evppi(plan), hyperparameters(plan, summary)
    return {
        "schema": "bayesmoe.plan",
        "schema_version": VERSION,
        "bayesmoe_version": plan.attrs["bayesmoe_version"],
        "scenario_name": scenario.name,
        "budget_flop": scenario.training.budget_flop,
        "budget_usd": scenario.training.budget_usd,
        "baseline_num_experts": scenario.choices.baseline_num_experts,
        "law": plan.attrs["law"],
        "gate": plan.attrs["gate"],
        "method": plan.attrs["method"],
        "approximate": plan.attrs["method"] != "mcmc",
        "data_origin": plan.attrs["data_origin"],
        "data_sha256": plan.attrs["data_sha256"],
        "data_simulated": bool(plan.attrs["data_simulated"]),
        "draws": int(plan.sizes["sample"]),
        "band": list(BAND),
        "laws": {str(name): float((plan["law"] == name).mean()) for name in dict.fromkeys(plan["law"].values.tolist())},
        "without_each_law": {
            name: {str(p): _choice(other.sel(problem=p)) for p in other["problem"].values}
            for name, other in without_each_law(plan).items()
        },
        "problems": {
            str(name): _problem(problem_named(str(name)), summary.sel(problem=name))
            | _advice(str(name), changes, worth, settings)
            for name in plan["problem"].values
        },
    }


def _advice(name: str, changes: xr.Dataset, worth: xr.Dataset, settings: xr.Dataset) -> dict[str, Any]:
    """Break-even demand and value of knowing each number, where money is known, and hyperparameters of the literature."""
    papers = settings.sel(problem=name)
    found: dict[str, Any] = {
        "hyperparameters": {
            "learning_rate_log_sd": finite_or_none(papers["learning_rate_log_sd"]),
            "batch_tokens_log_sd": finite_or_none(papers["batch_tokens_log_sd"]),
            "by_paper": {
                str(paper): {key: _band(papers[key].sel(paper=paper)) for key in ("learning_rate", "batch_tokens")}
                for paper in papers["paper"].values
            },
        }
    }
    if not worth:
        return found
    own = worth["evppi_usd"].sel(problem=name)
    found["evppi_usd"] = {str(key): float(own.sel(input=key)) for key in own["input"].values}
    part = changes.sel(problem=name)
    found["num_experts_at_min_demand"] = int(part["num_experts_at_min_demand"]) or None
    found["break_even"] = [
        {
            "from_num_experts": int(one["from_num_experts"]),
            "to_num_experts": int(one["to_num_experts"]),
            "lifetime_tokens": float(one["break_even_tokens"]),
            "lifetime_tokens_band": _band(one["break_even_tokens_band"]),
        }
        for one in (part.isel(change=number) for number in range(part.sizes["change"]))
        if int(one["to_num_experts"])
    ]
    return found


def _problem(problem: Problem, part: xr.Dataset) -> dict[str, Any]:
    unit = OBJECTIVE_UNITS[problem.objective]
    money = {} if "evpi_usd" not in part else {name: finite_or_none(part[name]) for name in ("usd_per_nat", "evpi_usd")}
    return {
        "source": problem.source,
        "minimizes": problem.objective,
        "choice_num_experts": int(part["per_draw_choice"]) or None,
        "fixed_choice_num_experts": int(part["recommended"]) or None,
        "fixed_choice_by_measure": {
            name: int(part["recommended_by_measure"].sel(measure=name)) or None for name in MEASURES
        },
        "near_optimal_num_experts": [int(e) for e in part["num_experts"].values[part["near_optimal"].values]],
        "p_any_feasible": finite_or_none(part["p_any_feasible"]),
        **money,
        "num_experts": [_row(part.sel(num_experts=e), unit) for e in part["num_experts"].values],
    }


def _choice(part: xr.Dataset) -> dict[str, Any]:
    choice = int(part["per_draw_choice"])
    if not choice:
        return {"choice_num_experts": None}
    row = part.sel(num_experts=choice)
    names = ("n_dense", "tokens", "loss")
    return {"choice_num_experts": choice} | {_KEYS.get(name, name): _band(row[name]) for name in names}


def _row(part: xr.Dataset, unit: str) -> dict[str, Any]:
    return {
        "num_experts": int(part["num_experts"]),
        "p_feasible": finite_or_none(part["p_feasible"]),
        "p_best": finite_or_none(part["p_best"]),
        f"expected_regret_{unit}": finite_or_none(part["expected_regret"]),
        "near_optimal": bool(part["near_optimal"]),
        **{_KEYS.get(name, name): _band(part[name]) for name in (*UNITS, LEVERAGE) if name in part},
        "fixed": _fixed(part, unit),
    }


def _fixed(part: xr.Dataset, unit: str) -> dict[str, Any]:
    money = {}
    if "design_total_usd" in part:
        money = {
            "total_usd": _measures(part["design_total_usd"]),
            "expected_regret_usd": finite_or_none(part["design_regret_usd"]),
        }
    return {
        "n_dense_parameters": finite_or_none(part["design_n_dense"]),
        "tokens": finite_or_none(part["design_tokens"]),
        "top_k": int(part["design_top_k"]),
        "granularity": float(part["design_granularity"]),
        "p_met": finite_or_none(part["design_p_feasible"]),
        "sure": bool(part["design_meets_probability"]),
        f"objective_{unit}": _measures(part["design_objective"]),
        "loss_nats_per_token": _band(part["design_loss"]),
        "serving_usd_per_million_tokens": _band(part["design_serving_usd_per_million_tokens"]),
        "train_usd": _band(part["design_train_usd"]),
        **money,
    }


def _band(values: xr.DataArray) -> dict[str, float | None]:
    return {f"q{round(100 * q):02d}": finite_or_none(values.sel(quantile=q)) for q in QUANTILES}


def _measures(values: xr.DataArray) -> dict[str, float | None]:
    return {name: finite_or_none(values.sel(measure=name)) for name in MEASURES}
