"""Rows of the report: each problem's recommended design, the best design of every other count, and the runs to train next."""

from __future__ import annotations

from typing import Any

import xarray as xr

from bayesmoe.decisions.decision import Decision
from bayesmoe.decisions.outcome import Band, DesignOutcome, PerDrawOptimum
from bayesmoe.decisions.text import facts, headline
from bayesmoe.reporting import advice_text, plan_text
from bayesmoe.units import band, experts, percent, short

_RUNS = 5


def section(decision: Decision) -> dict[str, Any]:
    """What the report says of a problem."""
    changes = plan_text.without_laws(decision), advice_text.break_even(decision), advice_text.worth_knowing(decision)
    return {
        **card(decision),
        "text": plan_text.per_draw(decision),
        "changes": [line for line in changes if line],
        "settings": advice_text.settings(decision),
        "rows": [_per_draw_row(one, decision) for one in decision.optima],
    }


def card(decision: Decision) -> dict[str, Any]:
    """What is said of the recommended design and of the best design of every other count."""
    return {
        "title": decision.problem.title,
        "headline": headline(decision),
        "facts": facts(decision),
        "shape": "" if decision.shape is None else plan_text.shape_text(decision.shape),
        "cost": "Total USD" if decision.closest.lifetime_usd is not None else "Serving, USD/M tokens",
        "fixed": [_design_row(one, decision) for one in decision.designs],
    }


def next_run_rows(found: xr.Dataset) -> dict[str, Any]:
    """The best candidate runs as rows of a table, with a sentence above."""
    rows = []
    for number in range(min(_RUNS, found.sizes["run"])):
        run = found.isel(run=number)
        rows.append(
            {
                "experts": experts(int(run["num_experts"])),
                "n_dense": short(float(run["n_dense"])),
                "tokens": short(float(run["tokens"])),
                "flop": f"{float(run['train_flop']):.2g}",
                "cost": f"USD {short(float(run['train_usd']))}",
                "worth": f"USD {short(float(run['evsi_usd']))} ± {short(float(run['evsi_se_usd']))}, {run['verdict'].item()}",
            }
        )
    return {"said": advice_text.best_run(found), "rows": rows}


def _design_row(outcome: DesignOutcome, decision: Decision) -> dict[str, Any]:
    design, sure = outcome.design, outcome.meets_probability
    return {
        "experts": experts(design.num_experts),
        "chosen": design == decision.closest.design,
        "near": design.num_experts in decision.near_optimal,
        "n_dense": short(design.n_dense, 3),
        "tokens": short(design.tokens, 3),
        "met": percent(outcome.p_feasible),
        "sure": sure,
        "loss": band(*outcome.loss),
        "loss_difference": _difference(outcome, decision, outcome.loss_difference, large=False),
        "cost_difference": _difference(outcome, decision, outcome.cost_difference, large=outcome.lifetime_usd is not None),
    }


def _difference(outcome: DesignOutcome, decision: Decision, values: Band, *, large: bool) -> str:
    """A difference to the closest design with its band; a dash for that design itself."""
    if outcome.design == decision.closest.design:
        return "–"
    return band(*values, large=large)


def _per_draw_row(optimum: PerDrawOptimum, decision: Decision) -> dict[str, Any]:
    bands = optimum.bands
    return {
        "experts": experts(optimum.num_experts),
        "chosen": optimum.num_experts == decision.per_draw_num_experts,
        "near": optimum.near_optimal,
        "n_dense": band(*bands["n_dense"], large=True),
        "tokens": band(*bands["tokens"], large=True),
        "ratio": band(*bands["over_training_ratio"]),
        "loss": band(*bands["loss"]),
        "serving": band(*bands["serving_usd_per_million_tokens"]),
        "feasible": percent(optimum.p_feasible),
        "best": percent(optimum.p_best),
        "regret": plan_text.regret(decision.problem.objective, optimum.expected_regret),
    }
