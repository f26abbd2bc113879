"""Tornado: how each input of a scenario moves the recommended design and its cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.costs.prices import price_of
from bayesmoe.costs.training_budget import mfu_of
from bayesmoe.costs.uncertain import Quantity, QuantityShare, fixed_at, median, quantile
from bayesmoe.decisions.decide import decide
from bayesmoe.planning.planner import plan as plan_fit
from bayesmoe.planning.scenario import Scenario
from bayesmoe.precision import in_float64
from bayesmoe.progress import Progress
from bayesmoe.units import BAND

FACTOR = 1.5
"""By how much a number without a spread is divided and multiplied."""

SIDES = ("low", "high")


class Input(NamedTuple):
    """A number of a scenario that a tornado varies.

    Attributes
    ----------
    section, key : str
        Where it stands in the TOML.
    most : float
        Largest value that makes sense.
    """

    section: str
    key: str
    most: float = np.inf

    @property
    def name(self) -> str:
        """Dotted name."""
        return f"{self.section}.{self.key}"


INPUTS = (
    Input("serving", "lifetime_tokens"),
    Input("serving", "price_usd_per_gpu_hour"),
    Input("serving", "utilization", 1.0),
    Input("serving", "prompt_tokens"),
    Input("serving", "output_tokens"),
    Input("serving", "cached_share", 0.99),
    Input("serving", "max_tpot_s"),
    Input("serving", "max_ttft_s"),
    Input("training", "budget_flop"),
    Input("training", "budget_usd"),
    Input("training", "budget_gpu_hours"),
    Input("training", "days"),
    Input("training", "availability", 1.0),
    Input("training", "mfu", 1.0),
    Input("training", "price_usd_per_gpu_hour"),
    Input("architecture", "width_times_layers"),
    Input("architecture", "kv_share", 1.0),
)
"""Numbers that are varied, those of them that the scenario has."""


@in_float64
def sensitivity(
    fit: xr.DataTree,
    scenario: Scenario,
    *,
    allow_failed: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> xr.Dataset:
    """Plan anew with each number of a scenario at its low and at its high end, all others as they are.

    An uncertain number goes to the ends of its 90% band and is certain there; a certain one is divided and multiplied by
    :data:`FACTOR`, a share up to 1.

    Parameters
    ----------
    fit : DataTree
        A fit.
    scenario : Scenario
        The scenario.
    allow_failed : bool
        Whether to plan on a fit that failed its gate.
    on_progress : callable
        Called before each input is varied.

    Returns
    -------
    Dataset
        By ``problem``, ``input`` and ``side`` (low, high): ``value`` of the number; ``recommended``, the recommended expert count there, 0 for none; ``cost``, what
        that choice costs in expectation: training and serving in all, USD, where the scenario says how much is served, else USD per million output tokens
        (attribute ``unit``); ``loss``, its expected loss. ``baseline_choice``, ``baseline_cost`` and ``baseline_loss`` by ``problem``; inputs stand in falling order of
        the swing of the first problem's cost. Where throughput is by layout, also ``constant_mfu_choice`` by ``problem``: the recommended count at one MFU for
        all, the attribute ``constant_mfu``, that of the first problem's design.

    Examples
    --------
    >>> bm.plots.tornado(bm.sensitivity(dt, scenario))  # doctest: +SKIP
    """
    own = _answer(fit, scenario, allow_failed)
    known = [one for one in INPUTS if _quantity(scenario, one) is not None]
    values = np.zeros((len(known), 2))
    choices = np.zeros((len(own.cost), len(known), 2), dtype=int)
    costs, losses = np.full((2, *choices.shape), np.nan)
    for row, one in enumerate(known):
        on_progress(Progress("varying inputs", row, len(known)))
        for side, value in enumerate(_ends(scenario, one)):
            values[row, side] = value
            found = _answer(fit, _varied(scenario, one, value), allow_failed)
            choices[:, row, side], costs[:, row, side], losses[:, row, side] = found.choice, found.cost, found.loss
    names, ends = [one.name for one in known], own._replace(choice=choices, cost=costs, loss=losses)
    return _at_constant_mfu(_table(scenario, names, values, own, ends), fit, scenario, own, allow_failed)


def _at_constant_mfu(
    found: xr.Dataset, fit: xr.DataTree, scenario: Scenario, own: _Answer, allow_failed: bool
) -> xr.Dataset:
    """With the choice at one MFU for all, that of the first problem's design, where throughput is by layout."""
    mfu = float(own.mfu[0])
    if not scenario.training.by_layout or not np.isfinite(mfu):
        return found
    constant = dataclasses.replace(scenario, training=dataclasses.replace(scenario.training, mfu=mfu))
    choice = _answer(fit, constant, allow_failed).choice
    return found.assign(constant_mfu_choice=("problem", choice)).assign_attrs(constant_mfu=mfu)


def _table(scenario: Scenario, names: list[str], values: np.ndarray, own: _Answer, ends: _Answer) -> xr.Dataset:
    """Answers at both ends of each input, of shape (problem, input, 2), in falling order of the first problem's swing."""
    swing = np.abs(np.diff(np.nan_to_num(ends.cost[0]), axis=1))[:, 0]
    order = np.argsort(-swing, kind="stable")
    dims = ("problem", "input", "side")
    return xr.Dataset(
        {
            "value": (dims[1:], values[order]),
            "recommended": (dims, ends.choice[:, order]),
            "cost": (dims, ends.cost[:, order]),
            "loss": (dims, ends.loss[:, order], {"units": "nats/token"}),
            "baseline_choice": ("problem", own.choice),
            "baseline_cost": ("problem", own.cost),
            "baseline_loss": ("problem", own.loss),
        },
        coords={"problem": list(own.problems), "input": [names[i] for i in order], "side": list(SIDES)},
        attrs={
            "unit": "USD" if scenario.serving.lifetime_tokens is not None else "USD per million output tokens",
            "scenario_name": scenario.name,
        },
    )


class _Answer(NamedTuple):
    problems: tuple[str, ...]
    choice: np.ndarray
    cost: np.ndarray
    loss: np.ndarray
    mfu: np.ndarray


def _answer(fit: xr.DataTree, scenario: Scenario, allow_failed: bool) -> _Answer:
    decisions = decide(plan_fit(fit, scenario, allow_failed=allow_failed), advice=False)
    rows = [
        (one.outcome.design.num_experts, one.outcome.mean_cost, one.outcome.mean_loss, one.outcome.training.mfu.median)
        if one.outcome
        else (0, np.nan, np.nan, np.nan)
        for one in decisions
    ]
    count, cost, loss, mfu = np.array(rows).T
    return _Answer(tuple(one.problem.name for one in decisions), count.astype(int), cost, loss, mfu)


def _ends(scenario: Scenario, one: Input) -> tuple[float, float]:
    quantity = _quantity(scenario, one)
    low, high = (quantile(quantity, level) for level in BAND)
    if low == high:
        low, high = median(quantity) / FACTOR, median(quantity) * FACTOR
    return min(low, one.most), min(high, one.most)


def _quantity(scenario: Scenario, one: Input) -> Quantity | QuantityShare | None:
    part = getattr(scenario, one.section)
    if one.key == "availability":
        return part.training_share if part.days is not None else None
    if one.key == "mfu":
        return mfu_of(part)
    return price_of(part) if one.key.startswith("price") else getattr(part, one.key)


def _varied(scenario: Scenario, one: Input, value: float) -> Scenario:
    part = dataclasses.replace(getattr(scenario, one.section), **{one.key: fixed_at(_quantity(scenario, one), value)})
    return dataclasses.replace(scenario, **{one.section: part})
