"""Prose on plans: what to sign, what each draw would choose, and the end of the demo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from bayesmoe.architecture import Shape
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import LARGEST, SMALLEST
from bayesmoe.reporting.text import band_of, experts, listed, percent
from bayesmoe.units import short

TITLES = {
    "cheapest_serving": "Cheapest serving at bounded loss",
    "lowest_loss": "Lowest loss at bounded serving cost",
    "loss_optimal": "Lowest loss on the training budget",
    "lifetime_cost": "Cheapest life at a loss target",
    "lifetime_flop": "Fewest lifetime FLOP at a loss target",
    "memory_limited": "Lowest loss that fits a memory",
    "equal_resources": "Lowest loss at equal parameters, compute and data",
    "fixed_hardware": "Lowest loss that the fleet serves in time",
    "efficiency_leverage": "Most efficiency leverage over dense",
}
UNITS = {
    "loss": "nats",
    "serving_usd_per_million_tokens": "USD per M tokens",
    "lifetime_usd": "USD",
    "lifetime_flop": "FLOP",
}
"""Short unit of each objective."""

_DOUBTFUL = 0.5

FIXED_NOTE = (
    "To sign, one size must do whatever turns out true: it keeps its constraints with the asked-for probability and has the lowest expected "
    "objective of those that do. The bands by expert count let every draw choose its own size instead; the two differ, and what knowing "
    "the truth would be worth is the difference."
)


def goal(problem: str, scenario: Scenario) -> str:
    """What a model must be, after "is"."""
    limits, base = scenario.limits, scenario.choices.baseline_num_experts
    bar = f"the loss-optimal {base}-expert model" if base > 1 else "the loss-optimal dense model"
    if problem in ("cheapest_serving", "lifetime_cost", "lifetime_flop"):
        return f"as good as {bar}" if limits.loss_nats is None else f"at or below {limits.loss_nats:g} nats per token"
    if problem == "lowest_loss":
        most = limits.serving_usd_per_million_tokens
        return (
            f"no dearer to serve than {bar}"
            if most is None
            else f"served for at most USD {most:g} per million output tokens"
        )
    if problem == "memory_limited" and limits.memory_bytes is not None:
        cached = f" with {short(limits.cached_tokens)} tokens cached" if limits.cached_tokens else ""
        return f"within {short(limits.memory_bytes)} bytes{cached}"
    if problem == "fixed_hardware":
        return "served by the fleet within its targets"
    return "within its limits"


def headline(problem: str, part: xr.Dataset, scenario: Scenario) -> str:
    """The choice to sign in one line.

    Parameters
    ----------
    problem : str
        Its name.
    part : Dataset
        The plan's risk for that problem.
    scenario : Scenario
        What was asked.
    """
    choice = int(part["recommended"])
    sure = percent(scenario.tolerance.probability)
    if choice:
        row = part.sel(num_experts=choice)
        return (
            f"To sign: {experts(choice)}, {short(float(row['design_n_dense']), 3)} backbone parameters, "
            f"{short(float(row['design_tokens']), 3)} tokens."
        )
    surest = int(part["design_p_feasible"].idxmax("num_experts"))
    chance = percent(float(part["design_p_feasible"].sel(num_experts=surest)))
    asked = goal(problem, scenario)
    said = f"Nothing to sign: no single size meets the aim ({asked}) in {sure} of draws; the surest, {experts(surest)}, does in {chance}."
    inside = float(part["p_optimum_inside"].max())
    if inside < _DOUBTFUL:
        said += (
            f" The lowest loss on the budget lies between {short(SMALLEST)} and {short(LARGEST)} parameters in {percent(inside)} of draws: "
            "check the budget and its unit."
        )
    return said


def facts(problem: str, part: xr.Dataset, scenario: Scenario) -> dict[str, str]:
    """What holds for the choice to sign, by label; empty where there is none."""
    choice = int(part["recommended"])
    if not choice:
        return {}
    row = part.sel(num_experts=choice)
    found = {
        "Aim": f"{goal(problem, scenario)}: met in {percent(float(row['design_p_feasible']))} of draws, asked for in {percent(scenario.tolerance.probability)}",
        "Loss": f"{band_of(row['design_loss'])} nats per token",
        "Serving": f"USD {band_of(row['design_serving_usd_per_million_tokens'])} per million output tokens",
        "Training": f"USD {band_of(row['design_train_usd'], large=True)}",
        "Best count": f"in {percent(float(row['p_best']))} of draws, were each free to choose its size",
    }
    names = {"q95": "the 95% quantile", "cvar95": "the mean of the worst twentieth", "worst": "the worst draw"}
    others = {name: int(part["recommended_by_measure"].sel(measure=measure)) for measure, name in names.items()}
    apart = {name: count for name, count in others.items() if count not in (choice, 0)}
    found["Tail"] = (
        "; ".join(f"{experts(count)} would win by {name}" for name, count in apart.items())
        if apart
        else f"{experts(choice)} wins by {names['q95']}, {names['cvar95']} and {names['worst']} too"
    )
    if "evpi_usd" in row and math.isfinite(float(row["evpi_usd"])):
        source = (
            "as the scenario says"
            if scenario.value.usd_per_nat is not None
            else "which is what training buys it for, or what keeping the bar implies"
        )
        found["Not knowing"] = (
            f"costs USD {short(float(row['design_regret_usd']))} in expectation, with a nat per token worth USD "
            f"{short(float(row['usd_per_nat']))}, {source}"
        )
    return found


def signed(problem: str, part: xr.Dataset, scenario: Scenario) -> str:
    """The choice to sign with its facts, for a terminal."""
    lines = [f"{label}: {said}" for label, said in facts(problem, part, scenario).items()]
    return "\n  ".join([headline(problem, part, scenario), *lines])


def dropped(choice: int, without: Mapping[str, xr.Dataset]) -> str:
    """What the count to sign would be without each law; nothing where there is one law."""
    if not without:
        return ""
    others = {law: int(part["recommended"]) for law, part in without.items()}
    changed = {law: count for law, count in others.items() if count != choice}
    if not changed:
        return "Dropping any one law leaves the count to sign as it is."
    said = ", ".join(f"without {law}: {experts(count) if count else 'nothing to sign'}" for law, count in changed.items())
    return f"The count rests on the laws: {said}."


def decision(problem: str, part: xr.Dataset, scenario: Scenario) -> str:
    """What each draw would choose for itself, in one paragraph.

    Parameters
    ----------
    problem : str
        Its name.
    part : Dataset
        The plan's risk for that problem.
    scenario : Scenario
        What was asked.
    """
    choice, asked = int(part["per_draw_choice"]), goal(problem, scenario)
    if choice == 0:
        chances = ", ".join(
            f"{experts(int(e))} {percent(float(part['p_feasible'].sel(num_experts=e)))}" for e in part["num_experts"].values
        )
        return f"No expert count meets the aim ({asked}) with the asked-for probability. Chance of meeting it: {chances}."
    row = part.sel(num_experts=choice)
    near = [int(e) for e in part["num_experts"].values[part["near_optimal"].values]]
    others = [e for e in near if e != choice]
    alternatives = (
        f" Equally good within the tolerance: {listed(others)}." if others else " No other count is within the tolerance."
    )
    return (
        f"{experts(choice).capitalize()}, {band_of(row['n_dense'], large=True)} backbone parameters "
        f"({short(float(row['n_total'].sel(quantile=0.5)))} in all), {band_of(row['tokens'], large=True)} tokens, over-trained "
        f"{band_of(row['over_training_ratio'])} times; {asked} in {percent(float(row['p_feasible']))} of draws. Loss "
        f"{band_of(row['loss'])} nats per token, serving USD {band_of(row['serving_usd_per_million_tokens'])} per million output "
        f"tokens, training USD {band_of(row['train_usd'], large=True)}.{_leverage(row)} Best of all counts in "
        f"{percent(float(row['p_best']))} of draws.{alternatives}"
    )


def _leverage(row: xr.Dataset) -> str:
    if "efficiency_leverage" not in row or not math.isfinite(float(row["efficiency_leverage"].sel(quantile=0.5))):
        return ""
    return f" A dense model needs {band_of(row['efficiency_leverage'])} times the compute for that loss."


def regret(problem_objective: str, value: float) -> str:
    """An expected regret with its unit; a dash where it is not known."""
    if not math.isfinite(value):
        return "–"
    if problem_objective == "loss":
        return f"{value:.3f} nats"
    if problem_objective == "serving_usd_per_million_tokens":
        return f"USD {value:.3f} per M"
    return f"{'USD ' if problem_objective == 'lifetime_usd' else ''}{short(value)}"


def budget(scenario: Scenario) -> str:
    """The training budget in its own unit."""
    training = scenario.training
    return (
        f"{training.budget_flop:.3g} FLOP"
        if training.budget_flop is not None
        else f"USD {short(training.budget_usd or 0.0)}"
    )


def shape(found: Shape) -> str:
    """A shape of the chosen size, to start a training configuration from."""
    parts = [f"{found.num_layers} layers of width {found.d_model:,}", f"{found.attention.num_heads} heads"]
    if found.d_ff is not None and found.num_moe_layers < found.num_layers:
        parts.append(f"feed-forward width {found.d_ff:,}")
    if found.experts is not None:
        shared = f" and {found.experts.d_shared:,} shared" if found.experts.d_shared else ""
        parts.append(
            f"{found.experts.num_experts} experts of width {found.experts.d_expert:,}{shared}, {found.experts.top_k} a token, in "
            f"{found.num_moe_layers} of the layers"
        )
    return f"A shape of that size: {', '.join(parts)} ({short(found.n_dense)} backbone, {short(found.n_total)} in all)."


def brief(part: xr.Dataset) -> str:
    """A choice in a few words, for a table of plans."""
    choice = int(part["per_draw_choice"])
    if not choice:
        return "none meets the constraint"
    row = part.sel(num_experts=choice)
    return f"{experts(choice)}, backbone {band_of(row['n_dense'], large=True)}, tokens {band_of(row['tokens'], large=True)}"


def ten_lines(summary: xr.Dataset, document: dict[str, Any], note: str, report: str) -> list[str]:
    """The end of the demo: ten lines on which a planner can act.

    Parameters
    ----------
    summary : Dataset
        Risk of the plan.
    document : dict
        The plan as JSON.
    note : str
        How far the choice lies beyond the runs.
    report : str
        Where the report lies.
    """
    lines = [
        f"{document['data_origin']}{' (SIMULATED)' if document['data_simulated'] else ''}: law {document['law']}, "
        f"gate {document['gate']}, budget {document['budget_flop']:.3g} FLOP, {document['draws']} draws"
    ]
    for name, problem in document["problems"].items():
        part = summary.sel(problem=name)
        choice = problem["recommended_num_experts"]
        if choice is None:
            lines += [
                f"{TITLES[name]}: no expert count meets the constraint",
                "  loosen the budget or the constraint",
                "",
                "",
            ]
            continue
        row = part.sel(num_experts=choice)
        lines += [
            f"{TITLES[name]}: train {experts(choice)}",
            f"  backbone {short(float(row['design_n_dense']), 3)} (own choice of each draw {band_of(row['n_dense'], large=True)}), tokens "
            f"{short(float(row['design_tokens']), 3)}, over-training {band_of(row['over_training_ratio'])}×",
            f"  loss {band_of(row['design_loss'])} nats, serving USD {band_of(row['design_serving_usd_per_million_tokens'])} per M tokens",
            f"  best in {percent(float(row['p_best']))} of draws, constraint met in {percent(float(row['design_p_feasible']))}; "
            f"near-optimal: {listed(problem['near_optimal_num_experts'])}",
        ]
    return [*lines[:9], f"{note} Report: {report}"]


def compared(summaries: Mapping[str, xr.Dataset]) -> str:
    """What each of several scenarios would sign, as a table.

    Parameters
    ----------
    summaries : mapping of Dataset
        Risk of each plan by the scenario's name.
    """
    lines, width = [], max(map(len, summaries))
    for problem in dict.fromkeys(str(name) for one in summaries.values() for name in one["problem"].values):
        lines.append(f"{TITLES[problem]}:")
        for name, summary in summaries.items():
            if problem not in summary["problem"].values:
                lines.append(f"  {name:<{width}}  not asked")
                continue
            part = summary.sel(problem=problem)
            choice = int(part["recommended"])
            if not choice:
                lines.append(f"  {name:<{width}}  nothing to sign")
                continue
            row = part.sel(num_experts=choice)
            lines.append(
                f"  {name:<{width}}  {experts(choice)}, backbone {short(float(row['design_n_dense']), 3)}, tokens "
                f"{short(float(row['design_tokens']), 3)}, loss {band_of(row['design_loss'])}, serving USD "
                f"{band_of(row['design_serving_usd_per_million_tokens'])} per M, constraints met in {percent(float(row['design_p_feasible']))}"
            )
    return "\n".join(lines)
