"""A decision in words: its headline and its facts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bayesmoe.decisions.gate import AT_LARGEST, LEAST_SIZE, MOST_AT_LARGEST, TOO_SMALL
from bayesmoe.planning.distance_grid import LARGEST, SMALLEST
from bayesmoe.planning.limits import BUDGET
from bayesmoe.units import band, experts, percent, short, significant

if TYPE_CHECKING:
    import xarray as xr

    from bayesmoe.decisions.decision import Decision
    from bayesmoe.decisions.outcome import DesignOutcome
    from bayesmoe.planning.scenario import LimitsSpec

_DOUBTFUL = 0.5
ALL_TOKENS = 0.999
"""Share of the tokens that there are from which a design takes all."""

LIMIT = "Limit: "
"""How the labels of limits begin."""

_TAIL = {"q95": "the 95% quantile", "cvar95": "the mean of the worst 5%", "worst": "the worst draw"}


def headline(decision: Decision) -> str:
    """The recommended design in one line, or why there is none and which comes closest."""
    if (design := decision.recommended) is not None:
        others = [experts(count) for count in decision.tied if count != design.num_experts]
        tied = f" Tied within Monte Carlo error: {', '.join(others)}." if others else ""
        return f"Recommended: {design}.{tied}"
    best = decision.closest
    if decision.extrapolation.get("n_dense", 1.0) < LEAST_SIZE:
        return (
            f"No recommendation: the best design, {best.design}, is less than {LEAST_SIZE:g} times the size of the largest run. "
            f"{TOO_SMALL.capitalize()}."
        )
    line = (
        f"No recommendation: no design meets the goal ({decision.goal}) in {percent(decision.threshold)} of draws. "
        f"The closest, {best.design}, does in {percent(best.p_feasible)}."
    )
    if best.training.reason:
        line += f" The cluster does not train it: {best.training.reason}."
    elif decision.p_optimum_inside < _DOUBTFUL:
        line += (
            f" The lowest loss on the budget lies between {short(SMALLEST)} and {short(LARGEST)} parameters in "
            f"{percent(decision.p_optimum_inside)} of draws: check the budget and its unit."
        )
    return line


def data_limit(tokens: float, limits: LimitsSpec) -> str | None:
    """How often a design passes over limited data, in words; None where it takes a part of them or nothing limits them."""
    if limits.unique_tokens is None or tokens < ALL_TOKENS * min(limits.unique_tokens, limits.most_tokens):
        return None
    passes = tokens / limits.unique_tokens
    all_of_them = f"all {short(limits.unique_tokens)} tokens that there are"
    times = all_of_them if 1.0 / ALL_TOKENS > passes >= ALL_TOKENS else f"{significant(passes, 2)} times {all_of_them}"
    return f"{times}: the data limit binds" if tokens >= ALL_TOKENS * limits.most_tokens else times


def facts(decision: Decision) -> dict[str, str]:
    """What holds for the recommended design, or for the closest, by label."""
    outcome, design = decision.closest, decision.closest.design
    optimum = decision.optimum(design.num_experts)
    known = {
        "Goal": f"{decision.goal}: met in {percent(outcome.p_feasible)} of draws (threshold {percent(decision.threshold)})",
        "Loss": f"{band(*outcome.loss)} nats per token{served_loss(decision)}",
        "Serving": f"USD {band(*outcome.serving_usd_per_million_tokens)} per million output tokens",
        "Training": f"USD {band(*outcome.train_usd, large=True)}",
        **_on_cluster(decision, outcome),
        **_total(outcome),
        "Over-training": f"{band(*optimum.bands['over_training_ratio'])} times the loss-optimal tokens, each draw with its own size",
        "Best count": f"in {percent(optimum.p_best)} of draws, each with its own size",
    }
    if decision.extrapolation:
        known["Extrapolation"] = ", ".join(
            f"{name} {significant(value, 2)}x" for name, value in decision.extrapolation.items()
        )
        known["Extrapolation"] += " the largest run"
    if (data := data_limit(design.tokens, decision.scenario.limits)) is not None:
        known["Data"] = data
    if caution := decision.capability_caution:
        known["Reasoning"] = caution
    if decision.recommended is None:
        return {**known, **_limits(outcome)}
    known["Tail risk"] = _tail_risk(decision)
    if decision.p_best_is_largest > MOST_AT_LARGEST:
        known["Counts compared"] = (
            f"the largest, {experts(max(one.num_experts for one in decision.optima))}, is the best in {percent(decision.p_best_is_largest)} of draws: "
            f"more experts may be better still; {AT_LARGEST[decision.counts_end]}"
        )
    if (
        decision.scenario.value.usd_per_nat is not None
        and decision.evpi_usd is not None
        and math.isfinite(decision.evpi_usd)
    ):
        known["Expected opportunity loss"] = (
            f"USD {short(outcome.regret_usd or 0.0)} of deciding now, with a nat per token worth USD "
            f"{short(decision.scenario.value.usd_per_nat)}, as the scenario says"
        )
    return known


def served_loss(decision: Decision) -> str:
    """What of the loss comes from serving in fewer bits than in training, to append; nothing where nothing does."""
    added = decision.closest.quantization_loss
    if added is None:
        return ""
    return f", {band(*added)} of them from quantizing to {decision.scenario.serving.precision} after training"


def _on_cluster(decision: Decision, outcome: DesignOutcome) -> dict[str, str]:
    """What training takes of the scenario's cluster, in which layout, and the MFU of each count; nothing without a cluster."""
    spec, run = decision.scenario.training, outcome.training
    if run.days is None:
        return {}
    said = {
        "Cluster": f"{band(*run.days)} days on {spec.cluster_gpus:,} {spec.accelerator}, {band(*run.gpu_hours, large=True)} GPU-hours"
    }
    if run.kwh is not None:
        said["Cluster"] += f", {band(*run.kwh, large=True)} kWh"
    if not spec.by_layout:
        return said
    said["Layout"] = run.layout or run.reason
    rates = [
        f"{experts(one.design.num_experts)} {percent(one.training.mfu.median)}"
        for one in decision.designs
        if math.isfinite(one.training.mfu.median)
    ]
    return {**said, "MFU": ", ".join(rates)} if rates else said


def on_throughput(found: xr.Dataset, problem: str) -> str:
    """How far the recommended count depends on that each architecture trains at its own rate, in a sentence; empty where it does not know.

    Parameters
    ----------
    found : Dataset
        Of :func:`bayesmoe.decisions.sensitivity.sensitivity`.
    problem : str
        Which problem.
    """
    if "constant_mfu_choice" not in found:
        return ""
    part, mfu = found.sel(problem=problem), percent(found.attrs["constant_mfu"])
    own, other = int(part["baseline_choice"]), int(part["constant_mfu_choice"])
    if own == other:
        return f"At one MFU of {mfu} for every count, {experts(own)} would be recommended as well." if own else ""
    said = f"{experts(other)} would be recommended" if other else "nothing would be recommended"
    return f"At one MFU of {mfu} for every count, {said}" + (f" instead of {experts(own)}." if own else ".")


def _total(outcome: DesignOutcome) -> dict[str, str]:
    if outcome.lifetime_usd is None:
        return {}
    return {"In all": f"USD {band(*outcome.lifetime_usd, large=True)} for training and serving the whole demand"}


def _limits(outcome: DesignOutcome) -> dict[str, str]:
    """Every limit that the closest design breaks, and what would do instead, by its label."""
    said = {}
    for one in outcome.limits:
        limit, enough = one.limit, f"{significant(one.needed, 3)} {one.limit.unit}".strip()
        label = f"{LIMIT}{limit.label}"
        if one.p_kept < 1.0:
            given = "" if math.isnan(limit.given) or limit.key == limit.label else f", {limit.key} = {limit.given:g}"
            relaxed = f"{enough} alone would do" if math.isfinite(one.needed) else "no other value of it alone would do"
            relaxed = "" if math.isnan(limit.given) else f"; {relaxed}"
            said[label] = (
                f"broken in {percent(1.0 - one.p_kept)} of draws, in {percent(one.p_costs_alone)} it alone{given}{relaxed}"
            )
        elif limit.key == BUDGET and math.isfinite(one.needed) and one.needed > limit.given:
            said[f"{LIMIT}training budget"] = f"{significant(one.needed, 2)} times the budget would do at this size"
    return said


def tail_change(decision: Decision) -> str:
    """Which other counts would be recommended by the tail of the objective; nothing where none would."""
    own = decision.recommended_num_experts
    counts = {name: decision.recommended_by_measure[measure] for measure, name in _TAIL.items()}
    measures = {count: [name for name, best in counts.items() if best == count] for count in counts.values()}
    return "; ".join(
        f"{experts(count)} would be best by {' and '.join(names)}"
        for count, names in measures.items()
        if count and count != own
    )


def _tail_risk(decision: Decision) -> str:
    own = experts(decision.closest.design.num_experts)
    return tail_change(decision) or f"{own} is also best by {', '.join(list(_TAIL.values())[:2])} and {_TAIL['worst']}"


def relaxation(decision: Decision) -> str:
    """The limit that keeps most from being recommended, and how little more would do; nothing where no limit would do alone."""
    for one in decision.closest.limits:
        if not math.isfinite(one.needed):
            continue
        if one.limit.key == BUDGET and one.needed > one.limit.given:
            return f"Raise the training budget {significant(one.needed, 2)} times, or loosen a limit, then plan again."
        if one.p_kept < 1.0:
            enough = f"{significant(one.needed, 3)} {one.limit.unit}".strip()
            given = "" if math.isnan(one.limit.given) else f" (now {one.limit.given:g})"
            return f"Loosen {one.limit.label} to {enough}{given}, then plan again."
    return ""
