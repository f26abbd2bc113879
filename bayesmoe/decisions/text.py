"""A decision in words: its headline and its facts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bayesmoe.decisions.gate import MOST_AT_LARGEST
from bayesmoe.planning.distance_grid import LARGEST, SMALLEST
from bayesmoe.units import band, experts, percent, short

if TYPE_CHECKING:
    from bayesmoe.decisions.decision import Decision, DesignOutcome

_DOUBTFUL = 0.5
_TAIL = {"q95": "the 95% quantile", "cvar95": "the mean of the worst 5%", "worst": "the worst draw"}


def headline(decision: Decision) -> str:
    """The recommended design in one line, or why there is none."""
    design, threshold = decision.recommended, percent(decision.threshold)
    if design is not None:
        return f"Recommended: {design}."
    best = decision.most_probable
    line = (
        f"No recommendation: no design meets the goal ({decision.goal}) in {threshold} of draws; the most probable, "
        f"{experts(best.design.num_experts)}, does in {percent(best.p_feasible)}."
    )
    if decision.p_optimum_inside < _DOUBTFUL:
        line += (
            f" The lowest loss on the budget lies between {short(SMALLEST)} and {short(LARGEST)} parameters in "
            f"{percent(decision.p_optimum_inside)} of draws: check the budget and its unit."
        )
    return line


def facts(decision: Decision) -> dict[str, str]:
    """What holds for the recommended design, by label; empty where there is none."""
    outcome = decision.outcome
    if outcome is None:
        return {}
    optimum = decision.optimum(outcome.design.num_experts)
    known = {
        "Goal": f"{decision.goal}: met in {percent(outcome.p_feasible)} of draws (threshold {percent(decision.threshold)})",
        "Loss": f"{band(*outcome.loss)} nats per token",
        "Serving": f"USD {band(*outcome.serving_usd_per_million_tokens)} per million output tokens",
        "Training": f"USD {band(*outcome.train_usd, large=True)}",
        "Over-training": f"{band(*optimum.bands['over_training_ratio'])} times the loss-optimal tokens, each draw with its own size",
        "Best count": f"in {percent(optimum.p_best)} of draws, each with its own size",
        "Tail risk": _tail_risk(decision, outcome),
    }
    if decision.p_best_is_largest > MOST_AT_LARGEST:
        known["Counts compared"] = (
            f"the largest, {experts(max(one.num_experts for one in decision.optima))}, is the best in {percent(decision.p_best_is_largest)} of draws: "
            "more experts may be better still; add larger counts to choices.num_experts"
        )
    if decision.evpi_usd is not None and math.isfinite(decision.evpi_usd):
        source = (
            "as the scenario says"
            if decision.scenario.value.usd_per_nat is not None
            else "what training compute buys it for, or what keeping the threshold implies"
        )
        known["Expected opportunity loss"] = (
            f"USD {short(outcome.regret_usd or 0.0)} of deciding now, with a nat per token worth USD "
            f"{short(decision.usd_per_nat or 0.0)} ({source})"
        )
    return known


def _tail_risk(decision: Decision, outcome: DesignOutcome) -> str:
    own = outcome.design.num_experts
    counts = {name: decision.recommended_by_measure[measure] for measure, name in _TAIL.items()}
    others = [f"{experts(count)} would be best by {name}" for name, count in counts.items() if count not in (own, None)]
    return "; ".join(others) or f"{experts(own)} is also best by {', '.join(list(_TAIL.values())[:2])} and {_TAIL['worst']}"
