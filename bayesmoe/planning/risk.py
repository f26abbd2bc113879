"""Risk of a plan: bands, probability of being best, expected regret, and the near-optimal set."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.planning.plan import UNITS, scenario_of
from bayesmoe.planning.problems import all_problems
from bayesmoe.units import BAND, finite_or_none

QUANTILES = (BAND[0], 0.5, BAND[1])


def risk(plan: xr.Dataset) -> xr.Dataset:
    """Summarise a plan over its draws.

    Regret is that of an expert count with its size chosen anew in each draw: the objective less the lowest objective of any
    feasible expert count in the same draw. Bands and expectations of an expert count are over the draws where it is feasible;
    ``p_feasible`` says how many these are.

    Parameters
    ----------
    plan : Dataset
        A plan from :func:`bayesmoe.planning.plan.plan`.

    Returns
    -------
    Dataset
        By ``problem`` and ``num_experts``: the plan's quantities, and those at the loss optimum, at ``quantile`` 0.05, 0.5, 0.95; ``p_feasible``; ``p_best``
        (sums to the probability that any count is feasible); ``expected_objective``; ``expected_regret`` and
        ``regret_tolerance`` in the objective's unit; ``near_optimal``. By ``problem``: ``choice``, the expert count of lowest
        expected regret among those feasible with the scenario's probability, 0 when there is none; ``p_any_feasible``.
    """
    tolerance = scenario_of(plan).tolerance
    feasible = plan["feasible"]
    objective = xr.concat([plan[p.objective].sel(problem=p.name) for p in all_problems], "problem")
    least = objective.min("num_experts")
    regret = objective - least
    any_feasible = feasible.any("num_experts")
    filled = objective.fillna(np.inf)
    best = (filled == filled.min("num_experts")) & feasible
    # Ties share the draw.
    p_best = (best / best.sum("num_experts").clip(min=1)).mean("sample")
    p_feasible = feasible.mean("sample")
    expected = objective.mean("sample")
    expected_regret = regret.mean("sample")
    is_loss = xr.DataArray([p.objective == "loss" for p in all_problems], coords={"problem": plan["problem"]})
    allowed = xr.where(is_loss, tolerance.loss_nats, tolerance.cost_share * least.mean("sample"))
    sure = p_feasible >= tolerance.probability
    ranked = expected_regret.where(sure)
    choice = ranked.fillna(np.inf).idxmin("num_experts").where(sure.any("num_experts"), 0)
    near = sure & (ranked - ranked.min("num_experts") <= allowed)
    optimal = [str(name) for name in plan.data_vars if str(name).startswith("loss_optimal_")]
    with warnings.catch_warnings():
        # A count that no draw finds feasible has no band, and its NaN says so.
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        bands = plan[[*UNITS, *optimal]].quantile(list(QUANTILES), "sample", skipna=True)
    summary = bands.assign(
        p_feasible=p_feasible,
        p_best=p_best,
        expected_objective=expected,
        expected_regret=expected_regret,
        regret_tolerance=allowed,
        near_optimal=near,
        choice=choice.astype(int),
        p_any_feasible=any_feasible.mean("sample"),
    )
    for name in summary.data_vars:
        unit = UNITS.get(str(name).removeprefix("loss_optimal_"))
        summary[name].attrs = {"units": unit} if unit else {}
    return summary.assign_attrs(plan.attrs)


def times_beyond(fit: xr.DataTree, summary: xr.Dataset) -> dict[str, float]:
    """Times the largest run at which the choices of a plan lie, worst over problems, by column of the run table."""
    runs = fit["constant_data"].dataset
    trained = {str(name): float(values.max()) for name, values in runs.data_vars.items() if values.dtype.kind == "f"}
    # Sources count compute by rules of their own, so both sides are counted anew by one.
    trained.pop("train_flop", None)
    if {"n_active", "tokens"} <= set(trained):
        trained["train_flop"] = 6.0 * float((runs["n_active"] * runs["tokens"]).max())
    worst: dict[str, float] = {}
    for problem in summary["problem"].values:
        part = summary.sel(problem=problem, quantile=0.5)
        if not (choice := int(part["choice"])):
            continue
        row = part.sel(num_experts=choice)
        target = {name: float(row[name]) for name in ("n_dense", "n_active", "tokens")}
        target |= {"num_experts": float(choice), "train_flop": 6.0 * target["n_active"] * target["tokens"]}
        for name, value in target.items():
            if name in trained:
                worst[name] = max(value / trained[name], worst.get(name, 0.0))
    return worst


def without_each_law(plan: xr.Dataset) -> dict[str, xr.Dataset]:
    """Risk of a plan on an average of laws without each of them; empty for a plan on one law."""
    laws = plan["law"].values
    names = dict.fromkeys(map(str, laws))
    if len(names) < 2:
        return {}
    return {name: risk(plan.isel(sample=laws != name)) for name in names}


def as_document(plan: xr.Dataset, summary: xr.Dataset) -> dict[str, Any]:
    """The plan as plain data for JSON: versioned, units in its keys; schema in ``docs/json.md``.

    Parameters
    ----------
    plan, summary : Dataset
        A plan and its :func:`risk`.
    """
    scenario = scenario_of(plan)
    problems = {}
    for problem in all_problems:
        part = summary.sel(problem=problem.name)
        unit = "nats" if problem.objective == "loss" else "usd_per_million_tokens"
        choice = int(part["choice"])
        problems[problem.name] = {
            "source": problem.source,
            "minimises": problem.objective,
            "choice_num_experts": choice or None,
            "near_optimal_num_experts": [int(e) for e in part["num_experts"].values[part["near_optimal"].values]],
            "p_any_feasible": finite_or_none(part["p_any_feasible"]),
            "num_experts": [_row(part.sel(num_experts=e), unit) for e in scenario.choices.num_experts],
        }
    return {
        "schema": "bayesmoe.plan",
        "schema_version": 1,
        "bayesmoe_version": plan.attrs["bayesmoe_version"],
        "scenario_name": scenario.name,
        "budget_flop": scenario.training.budget_flop,
        "base_num_experts": scenario.choices.base_num_experts,
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
        "problems": problems,
    }


_JSON_KEYS = {
    "n_dense": "n_dense_parameters",
    "n_active": "n_active_parameters",
    "n_total": "n_total_parameters",
    "tokens": "tokens",
    "loss": "loss_nats_per_token",
    "serving_usd_per_million_tokens": "serving_usd_per_million_tokens",
    "n_gpus": "n_gpus_per_replica",
    "batch": "batch_requests",
    "train_flop": "train_flop",
    "train_usd": "train_usd",
    "over_training_ratio": "over_training_ratio",
    "size_ratio": "size_ratio",
}


def _choice(part: xr.Dataset) -> dict[str, Any]:
    choice = int(part["choice"])
    if not choice:
        return {"choice_num_experts": None}
    row = part.sel(num_experts=choice)
    return {"choice_num_experts": choice} | {
        _JSON_KEYS[name]: {f"q{int(q * 100):02d}": finite_or_none(row[name].sel(quantile=q)) for q in QUANTILES}
        for name in ("n_dense", "tokens", "loss")
    }


def _row(part: xr.Dataset, unit: str) -> dict[str, Any]:
    bands = {
        key: {f"q{int(q * 100):02d}": finite_or_none(part[name].sel(quantile=q)) for q in QUANTILES}
        for name, key in _JSON_KEYS.items()
    }
    return {
        "num_experts": int(part["num_experts"]),
        "p_feasible": finite_or_none(part["p_feasible"]),
        "p_best": finite_or_none(part["p_best"]),
        f"expected_regret_{unit}": finite_or_none(part["expected_regret"]),
        "near_optimal": bool(part["near_optimal"]),
        **bands,
    }
