"""The first page: what to sign, how sure that is, what else is as good, what would change it, and what to train next."""

from __future__ import annotations

from typing import Any

import xarray as xr

from bayesmoe.decisions.break_even import break_even
from bayesmoe.decisions.hyperparameters import hyperparameters
from bayesmoe.decisions.risk import without_each_law
from bayesmoe.decisions.value_of_information import evppi
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.reporting import advice_text, plan_text, text
from bayesmoe.units import short

_RUNS = 5


def decisions(plan: xr.Dataset, risk: xr.Dataset) -> list[dict[str, Any]]:
    """What the page says of each problem, in the plan's order."""
    scenario = PlanInfo.read(plan).scenario
    worth, changes, settings = evppi(plan), break_even(plan), hyperparameters(plan, risk)
    without = without_each_law(plan)
    found = []
    for problem in map(str, risk["problem"].values):
        part = risk.sel(problem=problem)
        told = [
            plan_text.dropped(int(part["recommended"]), {law: other.sel(problem=problem) for law, other in without.items()}),
            advice_text.turns(problem, changes),
            advice_text.worth_knowing(problem, float(part.get("evpi_usd", float("nan"))), worth),
        ]
        found.append(
            {
                **card(problem, part, scenario),
                "text": plan_text.decision(problem, part, scenario),
                "changes": [line for line in told if line],
                "settings": advice_text.settings(problem, settings),
                "rows": [
                    _row(part.sel(num_experts=count), part, problem_named(problem).objective)
                    for count in part["num_experts"].values
                ],
            }
        )
    return found


def card(problem: str, part: xr.Dataset, scenario: Scenario) -> dict[str, Any]:
    """What is said of the choice to sign and of the best size of every other count, from a problem's risk."""
    return {
        "title": plan_text.TITLES[problem],
        "headline": plan_text.headline(problem, part, scenario),
        "facts": plan_text.facts(problem, part, scenario),
        "shape": _shape(part, scenario),
        "fixed": [_fixed(part.sel(num_experts=count), part) for count in part["num_experts"].values],
    }


def next_run_rows(found: xr.Dataset) -> dict[str, Any]:
    """The best candidate runs as rows of a table, with a sentence above."""
    rows = []
    for number in range(min(_RUNS, found.sizes["run"])):
        run = found.isel(run=number)
        rows.append(
            {
                "experts": text.experts(int(run["num_experts"])),
                "n_dense": short(float(run["n_dense"])),
                "tokens": short(float(run["tokens"])),
                "flop": f"{float(run['train_flop']):.2g}",
                "cost": f"USD {short(float(run['train_usd']))}",
                "worth": f"USD {short(float(run['evsi_usd']))} ± {short(float(run['evsi_se_usd']))}",
            }
        )
    return {"said": advice_text.best_run(found), "rows": rows}


def _shape(part: xr.Dataset, scenario: Scenario) -> str:
    choice = int(part["recommended"])
    if not choice:
        return ""
    row = part.sel(num_experts=choice)
    size, top_k, granularity = (float(row[f"design_{name}"]) for name in ("n_dense", "top_k", "granularity"))
    return plan_text.shape(scenario.architecture.shape(size, choice, round(top_k), granularity))


def _fixed(row: xr.Dataset, part: xr.Dataset) -> dict[str, Any]:
    count, sure = int(row["num_experts"]), bool(row["design_meets_probability"])
    regret = f"USD {short(float(row['design_regret_usd']))}" if "design_regret_usd" in row and sure else "–"
    return {
        "experts": text.experts(count),
        "chosen": count == int(part["recommended"]),
        "near": bool(row["near_optimal"]),
        "n_dense": short(float(row["design_n_dense"]), 3),
        "tokens": short(float(row["design_tokens"]), 3),
        "met": text.percent(float(row["design_p_feasible"])),
        "sure": sure,
        "loss": text.band_of(row["design_loss"]),
        "serving": text.band_of(row["design_serving_usd_per_million_tokens"]),
        "regret": regret,
    }


def _row(row: xr.Dataset, part: xr.Dataset, objective: str) -> dict[str, Any]:
    count = int(row["num_experts"])
    return {
        "experts": text.experts(count),
        "chosen": count == int(part["per_draw_choice"]),
        "near": bool(row["near_optimal"]),
        "n_dense": text.band_of(row["n_dense"], large=True),
        "tokens": text.band_of(row["tokens"], large=True),
        "ratio": text.band_of(row["over_training_ratio"]),
        "loss": text.band_of(row["loss"]),
        "serving": text.band_of(row["serving_usd_per_million_tokens"]),
        "feasible": text.percent(float(row["p_feasible"])),
        "best": text.percent(float(row["p_best"])),
        "regret": plan_text.regret(objective, float(row["expected_regret"])),
    }
