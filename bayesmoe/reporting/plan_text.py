"""Prose on plans: the recommended design, what each draw would choose, and the end of the demo."""

from __future__ import annotations

import math
from collections.abc import Mapping

import xarray as xr

from bayesmoe.architecture import Shape
from bayesmoe.decisions.decision import Decision, Decisions
from bayesmoe.decisions.outcome import PerDrawOptimum
from bayesmoe.decisions.text import facts, headline
from bayesmoe.planning.problems import OBJECTIVES
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.terminal import table
from bayesmoe.units import band, experts, listed, percent, short

FIXED_NOTE = (
    "The recommended design is one size for all draws: it meets the goal with the required probability and has the lowest expected objective of "
    "those that do (here-and-now). The bands by expert count let every draw choose its own size instead (wait-and-see). The two differ, and "
    "the expected value of perfect information (EVPI) is the price of that difference."
)


def summary(decision: Decision) -> str:
    """The recommended design with its facts, for a terminal."""
    lines = [f"{label}: {fact}" for label, fact in facts(decision).items()]
    return "\n  ".join([f"{decision.problem.title}. {headline(decision)}", *lines])


def without_laws(decision: Decision) -> str:
    """What the recommended count would be without each law; nothing where there is one law."""
    others = {law: other.recommended_num_experts for law, other in decision.advice.without_law.items()}
    if not others:
        return ""
    changed = {law: count for law, count in others.items() if count != decision.recommended_num_experts}
    if not changed:
        return "Dropping any one law does not change the recommended count."
    said = ", ".join(f"without {law}: {experts(count) if count else 'no recommendation'}" for law, count in changed.items())
    return f"The count depends on the laws: {said}."


def per_draw(decision: Decision) -> str:
    """What each draw would choose for itself, in one paragraph."""
    count, goal = decision.per_draw_num_experts, decision.goal
    if count is None:
        chances = ", ".join(f"{experts(one.num_experts)} {percent(one.p_feasible)}" for one in decision.optima)
        return (
            f"No expert count meets the goal ({goal}) with the required probability. Probability of meeting it: {chances}."
        )
    own = decision.optimum(count)
    bands = own.bands
    others = [one for one in decision.near_optimal if one != count]
    alternatives = f"Near-optimal too: {listed(others)}." if others else "No other count is within the tolerance."
    return (
        f"{experts(count).capitalize()}, {band(*bands['n_dense'], large=True)} backbone parameters "
        f"({short(bands['n_total'].median)} in total), {band(*bands['tokens'], large=True)} tokens, over-trained "
        f"{band(*bands['over_training_ratio'])} times; {goal} in {percent(own.p_feasible)} of draws. Loss "
        f"{band(*bands['loss'])} nats per token, serving USD {band(*bands['serving_usd_per_million_tokens'])} per million output "
        f"tokens, training USD {band(*bands['train_usd'], large=True)}.{_leverage(own)} Best of all counts in "
        f"{percent(own.p_best)} of draws. {alternatives}"
    )


def _leverage(optimum: PerDrawOptimum) -> str:
    leverage = optimum.bands.get("efficiency_leverage")
    if leverage is None or not math.isfinite(leverage.median):
        return ""
    return f" A dense model needs {band(*leverage)} times the compute for that loss."


def regret(objective: str, value: float) -> str:
    """An expected regret with its unit; a dash where it is not known."""
    if not math.isfinite(value):
        return "–"
    known = OBJECTIVES[objective]
    return f"{known.prefix}{format(value, known.digits) if known.digits else short(value)}{known.suffix}"


def budget(scenario: Scenario) -> str:
    """The training budget in its own unit."""
    training = scenario.training
    if training.budget_flop is not None:
        return f"{training.budget_flop:.3g} FLOP".replace("e+", "e")
    if training.budget_usd is not None:
        return f"USD {short(training.budget_usd)}"
    if training.budget_gpu_hours is not None:
        return f"{short(training.budget_gpu_hours)} GPU-hours"
    return f"{training.days:g} days on {training.cluster_gpus:,} {training.accelerator}"


def shape_text(shape: Shape) -> str:
    """A shape of the recommended size, to start a training configuration from."""
    parts = [f"{shape.num_layers} layers of width {shape.d_model:,}", f"{shape.attention.num_heads} heads"]
    if shape.d_ff is not None and shape.num_moe_layers < shape.num_layers:
        parts.append(f"feed-forward width {shape.d_ff:,}")
    if shape.experts is not None:
        shared = f" and {shape.experts.d_shared:,} shared" if shape.experts.d_shared else ""
        parts.append(
            f"{shape.experts.num_experts} experts of width {shape.experts.d_expert:,}{shared}, {shape.experts.top_k} a token, in "
            f"{shape.num_moe_layers} of the layers"
        )
    return f"A shape of that size: {', '.join(parts)} ({short(shape.n_dense)} backbone, {short(shape.n_total)} in all)."


def brief(decision: Decision) -> str:
    """What each draw would choose in a few words, for a table of laws."""
    count = decision.per_draw_num_experts
    if count is None:
        return "none meets the constraint"
    bands = decision.optimum(count).bands
    return f"{experts(count)}, backbone {band(*bands['n_dense'], large=True)}, tokens {band(*bands['tokens'], large=True)}"


def ten_lines(plan: xr.Dataset, decisions: Decisions, note: str, report: str) -> list[str]:
    """The end of the demo: ten lines on which a planner can act.

    Parameters
    ----------
    plan : Dataset
        A plan.
    decisions : Decisions
        What was decided on it.
    note : str
        How far the choice extrapolates.
    report : str
        Where the report lies.
    """
    info = PlanInfo.read(plan)
    lines = [
        f"{info.data_origin}{' (SIMULATED)' if info.data_simulated else ''}: law {info.law}, gate {info.gate}, "
        f"budget {budget(info.scenario)}, {plan.sizes['sample']} draws"
    ]
    for decision in decisions:
        outcome, title = decision.outcome, decision.problem.title
        if outcome is None:
            lines += [f"{title}: no expert count meets the constraint", "  loosen the budget or the constraint", "", ""]
            continue
        design, optimum = outcome.design, decision.optimum(outcome.design.num_experts)
        lines += [
            f"{title}: train {experts(design.num_experts)}",
            f"  backbone {short(design.n_dense, 3)} (each draw's own choice {band(*optimum.bands['n_dense'], large=True)}), tokens "
            f"{short(design.tokens, 3)}, over-training {band(*optimum.bands['over_training_ratio'])}×",
            f"  loss {band(*outcome.loss)} nats, serving USD {band(*outcome.serving_usd_per_million_tokens)} per M tokens",
            f"  best in {percent(optimum.p_best)} of draws, constraint met in {percent(outcome.p_feasible)}; "
            f"near-optimal: {listed(decision.near_optimal)}",
        ]
    return [*lines[:9], f"{note} Report: {report}"]


def compared(decided: Mapping[str, Decisions]) -> str:
    """The recommendations of several scenarios side by side, by the scenario's name."""
    lines, heads = [], ("scenario", "experts", "backbone", "tokens", "loss, nats", "serving, USD/M", "P(met)")
    for problem in dict.fromkeys(one.problem for decisions in decided.values() for one in decisions):
        rows = [
            (name, *_compared(next((one for one in decisions if one.problem == problem), None)))
            for name, decisions in decided.items()
        ]
        lines += [f"{problem.title}:", table(heads, rows, text=2, indent=2)]
    return "\n".join(lines)


def _compared(decision: Decision | None) -> tuple[str, ...]:
    if decision is None or decision.outcome is None:
        return ("not asked" if decision is None else "no recommendation", *[""] * 5)
    outcome = decision.outcome
    return (
        experts(outcome.design.num_experts),
        short(outcome.design.n_dense, 3),
        short(outcome.design.tokens, 3),
        band(*outcome.loss),
        band(*outcome.serving_usd_per_million_tokens),
        percent(outcome.p_feasible),
    )
