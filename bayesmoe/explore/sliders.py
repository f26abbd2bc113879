"""What one can move: the numbers of a scenario that a planner argues about, each with the values it may take."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from bayesmoe.costs.prices import price_of
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.uncertain import median, with_median
from bayesmoe.planning.scenario import Scenario
from bayesmoe.units import short

_STEPS_PER_DECADE = 12
_CHANCES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
_SLOWEST_S, _FASTEST_S = 0.5, 0.005


@dataclass(frozen=True)
class Slider:
    """A number of a scenario that one can move.

    Attributes
    ----------
    label, unit : str
        What it is called, and its unit.
    section, key : str
        Where it stands in the TOML.
    values : tuple
        Values it may take, in order; None is "not said".
    start : float or None
        The one that the scenario has.
    """

    label: str
    unit: str
    section: str
    key: str
    values: tuple[float | None, ...]
    start: float | None

    def said(self, value: float | None) -> str:
        """A value with its unit."""
        if value is None:
            return "none"
        if self.key == "probability":
            return f"{100 * value:g}%"
        return f"{value:.3g} {self.unit}" if self.unit in ("FLOP", "s") else f"{short(value, 3)} {self.unit}"

    def options(self) -> dict[str, float | None]:
        """Values by what is said of them, in order; of several said alike, the scenario's own stays."""
        own = self.said(self.start)
        return {said: value for value in self.values if (said := self.said(value)) != own or value == self.start}


def sliders(scenario: Scenario) -> list[Slider]:
    """Sliders of a scenario: training budget, demand, price, context, latency target and risk.

    Each reaches from a hundredth to a hundred times the scenario's number (the budget, a thirtieth to thirty times); a demand or a target that the
    scenario does not have may be given, and taken back.
    """
    training, serving = scenario.training, scenario.serving
    spent, budget, money = _budget(training)
    price, demand = median(price_of(serving)), serving.lifetime_tokens
    served = None if demand is None else median(demand)
    chance = scenario.tolerance.probability
    latency = (None, *_around(0.05, 1.0, serving.max_tpot_s, low=_FASTEST_S, high=_SLOWEST_S)[::-1])
    return [
        Slider("Training budget", budget, "training", spent, _around(money, 1.5), money),
        Slider(
            "Demand, in all",
            "output tokens",
            "serving",
            "lifetime_tokens",
            ((None,) if served is None else ()) + _around(1e12 if served is None else served, 2.0),
            served,
        ),
        Slider("Price of a serving GPU", "USD/h", "serving", "price_usd_per_gpu_hour", _around(price, 1.0), price),
        Slider(
            "Prompt",
            "tokens",
            "serving",
            "prompt_tokens",
            _around(median(serving.prompt_tokens), 2.0),
            median(serving.prompt_tokens),
        ),
        Slider("Seconds between tokens, at most", "s", "serving", "max_tpot_s", latency, serving.max_tpot_s),
        Slider(
            "How surely the aim is met",
            "",
            "tolerance",
            "probability",
            tuple(sorted({*_CHANCES, chance})),
            chance,
        ),
    ]


def _budget(training: Training) -> tuple[str, str, float]:
    """Key, unit and value of the training budget."""
    given = {"budget_flop": "FLOP", "budget_usd": "USD", "budget_gpu_hours": "GPU-hours", "days": "days"}
    return next((key, unit, value) for key, unit in given.items() if (value := getattr(training, key)) is not None)


def turned(scenario: Scenario, slider: Slider, value: float | None) -> Scenario:
    """The scenario with a slider moved; an uncertain number keeps its spread."""
    if value == slider.start:
        return scenario
    part: Any = getattr(scenario, slider.section)
    now = price_of(part) if slider.key.startswith("price") else getattr(part, slider.key)
    there = None if value is None else value if now is None else with_median(now, value)
    return dataclasses.replace(scenario, **{slider.section: dataclasses.replace(part, **{slider.key: there})})


def _around(
    middle_: float, decades: float, own: float | None = None, *, low: float = 0.0, high: float = math.inf
) -> tuple[float, ...]:
    """Even steps of the logarithm around a value, within bounds, with a value of one's own among them."""
    steps = round(decades * _STEPS_PER_DECADE)
    known = {middle_ * 10.0 ** (step / _STEPS_PER_DECADE) for step in range(-steps, steps + 1)}
    return tuple(sorted({value for value in known if low <= value <= high} | ({own} if own is not None else set())))
