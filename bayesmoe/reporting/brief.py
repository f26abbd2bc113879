"""A decision in thirty seconds: one sentence, and the five questions that are asked before compute is signed for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import xarray as xr

from bayesmoe.decisions.decision import Decision
from bayesmoe.decisions.outcome import Design
from bayesmoe.decisions.text import LIMIT, data_limit, facts, headline, relaxation, served_loss, tail_change
from bayesmoe.inference.gate import Gate
from bayesmoe.planning.problems import OBJECTIVES
from bayesmoe.reporting import advice_text, plan_text, text
from bayesmoe.units import band, experts, listed, percent, short, significant

_AXES = {
    "n_dense": "backbone",
    "n_active": "active parameters",
    "tokens": "tokens",
    "num_experts": "experts",
    "train_flop": "compute",
}


_SIMULATED = "the runs are simulated: nothing here is about real models"


_AXES_SAID = 2


class Brief(NamedTuple):
    """The answer on one screen.

    Attributes
    ----------
    sentence : str
        What to train and why, how sure, what it costs, what could go wrong, what to do next.
    answers : dict of str
        The same at length, by question.
    """

    sentence: str
    answers: dict[str, str]


def brief(
    decision: Decision,
    gate: Gate,
    *,
    others: Sequence[Decision] = (),
    next_runs: xr.Dataset | None = None,
    simulated: bool = False,
) -> Brief:
    """Answer the five questions.

    Parameters
    ----------
    decision : Decision
        That of the plan's goal.
    gate : Gate
        Of the plan (:func:`bayesmoe.decisions.gate.gate_of_plan`).
    others : sequence of Decision
        Those of the plan's other problems.
    next_runs : Dataset, optional
        Candidate runs, from :func:`bayesmoe.decisions.next_run.next_runs`.
    simulated : bool
        Whether the runs were simulated.
    """
    limits = facts(decision)
    risks, then = _risks(decision, gate, simulated=simulated), _next(decision, gate, next_runs)
    return Brief(
        _sentence(decision, gate, risks, then),
        {
            "What to train": _what(decision),
            "How sure": _how_sure(decision, others),
            "What it costs": _costs(decision),
            "What could go wrong": " ".join(f"{one[0].upper()}{one[1:]}." for one in risks) or "Nothing that was checked.",
            **{label: said for label, said in limits.items() if label.startswith(LIMIT)},
            "What next": then,
        },
    )


def _sentence(decision: Decision, gate: Gate, risks: list[str], then: str) -> str:
    outcome = decision.outcome
    if outcome is None:
        return headline(decision)
    least = OBJECTIVES[decision.problem.objective].least
    cost = outcome.lifetime_usd or outcome.train_usd
    said = (
        f"Train {named(outcome.design)} on {short(outcome.design.tokens, 3)} tokens: it {least} of all designs {decision.goal} "
        f"({percent(outcome.p_feasible)} of draws), for USD {band(*cost, large=True)} {'in all' if outcome.lifetime_usd else 'of training'}"
    )
    if gate.verdict == "FAIL":
        return f"Do not decide on these numbers: the gate FAILs. They say: {said[0].lower()}{said[1:]}."
    # That the runs are simulated is said above all else on a page.
    worst = next((one for one in risks if one != _SIMULATED), "")
    return f"{said}. {worst[0].upper()}{worst[1:]}. {then}" if worst else f"{said}. {then}"


def named(design: Design) -> str:
    """An architecture and its size: ``a 64-expert MoE (1.1B active of 18B parameters)``."""
    if design.num_experts == 1:
        return f"a dense model of {short(design.n_dense, 3)} parameters"
    return f"a {design.num_experts}-expert MoE ({short(design.n_active, 3)} active of {short(design.n_total, 3)} parameters)"


def _what(decision: Decision) -> str:
    design = decision.closest.design
    said = [
        f"{experts(design.num_experts).capitalize()}"
        + (f", {design.top_k} a token" if design.num_experts > 1 else "")
        + f"; {short(design.n_active, 3)} active and {short(design.n_total, 3)} total parameters without embeddings, "
        f"{short(design.n_dense, 3)} of them in the dense backbone; {short(design.tokens, 3)} tokens, "
        f"{float(significant(design.tokens / design.n_active)):,.4g} per active parameter."
    ]
    if decision.recommended is None:
        said.insert(0, "No recommendation; the closest design:")
    ratio = decision.optimum(design.num_experts).bands["over_training_ratio"]
    said.append(f"Over-training ratio {band(*ratio)}: tokens over those of the loss optimum, each draw with its own size.")
    if decision.shape is not None:
        said.append(plan_text.shape_text(decision.shape))
    return " ".join(said)


def _how_sure(decision: Decision, others: Sequence[Decision]) -> str:
    outcome, design = decision.closest, decision.closest.design
    said = [
        f"{decision.goal[0].upper()}{decision.goal[1:]} in {percent(outcome.p_feasible)} of draws ({percent(decision.threshold)} asked).",
        f"Loss {band(*outcome.loss)} nats per token{served_loss(decision)}.",
        f"{experts(design.num_experts).capitalize()} is the best count in {percent(decision.optimum(design.num_experts).p_best)} of draws.",
    ]
    tied = [count for count in decision.tied if count != design.num_experts]
    near = [count for count in decision.near_optimal if count != design.num_experts and count not in tied]
    if tied:
        said.append(f"Tied with it within Monte Carlo error: {listed(tied)}.")
    if near:
        said.append(f"Within the tolerance: {listed(near)}.")
    if laws := plan_text.without_laws(decision):
        said.append(laws)
    for other in others:
        if other.recommended_num_experts not in (None, decision.recommended_num_experts):
            said.append(f"For {other.problem.label} it would be {experts(other.recommended_num_experts)}.")
    return " ".join(said)


def _costs(decision: Decision) -> str:
    outcome = decision.closest
    run = outcome.training
    on = f", {band(*run.days)} days on {decision.scenario.training.cluster_gpus:,} GPUs" if run.days is not None else ""
    training = f"USD {band(*outcome.train_usd, large=True)} to train ({band(*run.gpu_hours, large=True)} GPU-hours{on})"
    serving = f"USD {band(*outcome.serving_usd_per_million_tokens)} per million output tokens to serve"
    if outcome.lifetime_usd is None:
        return f"{training}; {serving}."
    return f"USD {band(*outcome.lifetime_usd, large=True)} in all: {training}, and {serving} the whole demand."


def _risks(decision: Decision, gate: Gate, *, simulated: bool) -> list[str]:
    """What could go wrong, the worst first, as clauses."""
    said = []
    if gate.verdict == "FAIL":
        said.append(
            f"the gate FAILs, so that these numbers are not to be decided on ({'; '.join(text.findings(gate.checks))})"
        )
    if simulated:
        said.append(_SIMULATED)
    beyond = {name: times for name, times in decision.extrapolation.items() if times > 1}
    if beyond:
        worst = sorted(beyond, key=lambda name: -beyond[name])[:_AXES_SAID]
        times = " and ".join(f"{significant(beyond[name])} times the {_AXES.get(name, name)}" for name in worst)
        said.append(f"it is an extrapolation, to {times} of the largest run")
    if (data := data_limit(decision.closest.design.tokens, decision.scenario.limits)) is not None:
        said.append(f"it takes {data}")
    if caution := decision.capability_caution:
        said.append(caution)
    if decision.recommended is not None and (tail := tail_change(decision)):
        said.append(tail)
    if gate.verdict == "REVIEW":
        said.append(f"the gate asks for a look at: {', '.join(one.name for one in gate.checks if one.verdict == 'REVIEW')}")
    return said


def _next(decision: Decision, gate: Gate, next_runs: xr.Dataset | None) -> str:
    """The first thing to do."""
    if decision.recommended is None:
        return relaxation(decision) or "Loosen the limit that fails most often, then plan again."
    if gate.verdict == "FAIL":
        return "Mend what the gate names, then fit and plan again."
    if next_runs is not None and (run := advice_text.worthwhile_run(next_runs)):
        return run
    advised = [one.recommendation for one in gate.checks if one.verdict == "REVIEW"]
    if advised:
        return " ".join(f"{one[0].upper()}{one[1:]}." for one in dict.fromkeys(advised))
    return "Train it."
