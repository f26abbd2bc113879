"""The gate of a plan: its fit's, how far its designs extrapolate, and whether its list of expert counts cuts the answer off."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bayesmoe.costs.latency_targets import unmeasured_targets
from bayesmoe.costs.workload import Serving
from bayesmoe.inference.gate import Check, Gate

if TYPE_CHECKING:
    from bayesmoe.decisions.decision import Decisions

_FAR = {"train_flop": 100.0}
_FAR_ELSE = 10.0
"""Times the largest run from which a plan is a long extrapolation: by quantity, and for all others."""

_TOO_FAR = "train a run in between first"

MOST_AT_LARGEST = 0.1
"""Share of draws whose best expert count may be the largest that was compared; above, the list of counts cuts the answer off."""

AT_LARGEST = {
    "list": "add larger counts to choices.num_experts, or leave it out",
    "trained": "more would be over eight times the largest that was trained: train a run with more experts first",
    "inside": "add larger counts to choices.num_experts",
}
"""What to do about it, by why no larger count was compared."""


LEAST_SIZE = 1e-4
"""Backbone over that of the largest run below which a plan answers another question than the runs."""

TOO_SMALL = "raise the budget or loosen what keeps the model small: memory, GPUs, latency, n_total"

TOO_FAST = "no price at this target is known: loosen it, or give serving.latency_table with your own measurements"


def gate_of_plan(gate: Gate, decisions: Decisions) -> Gate:
    """The gate of a fit with the checks of what was planned on it."""
    checks, times = gate.checks, decisions.extrapolation
    if times:
        where = max(times, key=lambda name: times[name] / _limit(name))
        rule = ", ".join(f"{name} at most {_limit(name):g}x" for name in times)
        checks = (*checks, Check.of("extrapolation", times[where], where, rule, not far(times), True, _TOO_FAR))
    sizes = [one.extrapolation["n_dense"] for one in decisions if "n_dense" in one.extrapolation]
    if sizes:
        least, rule = min(sizes), f"backbone at least {LEAST_SIZE:g} times the largest run's"
        checks = (*checks, Check.of("size", least, "n_dense", rule, least >= LEAST_SIZE, False, TOO_SMALL))
    worst = max(decisions, key=lambda one: one.p_best_is_largest)
    share, rule = worst.p_best_is_largest, f"the largest count is best in at most {MOST_AT_LARGEST:.0%} of draws"
    at_end = Check.of(
        "counts compared", share, worst.problem.name, rule, share <= MOST_AT_LARGEST, True, AT_LARGEST[worst.counts_end]
    )
    return dataclasses.replace(gate, checks=(*checks, at_end, *_targets(worst.scenario.serving)))


def _targets(serving: Serving) -> list[Check]:
    """Latency targets that nothing measured meets; no check where all of them are met by something."""
    return [
        Check.of(
            "latency target",
            one.target_s,
            one.key,
            f"at least {one.fastest_s:.3g} s, the fastest measured",
            False,
            True,
            TOO_FAST,
        )
        for one in unmeasured_targets(serving)
    ]


def far(times: Mapping[str, float]) -> bool:
    """Whether a plan lies so many times beyond the largest run that something should be trained in between."""
    return any(value > _limit(name) for name, value in times.items())


def _limit(name: str) -> float:
    return _FAR.get(name, _FAR_ELSE)
