"""What a plan assumed, from its resolved scenario: every value in use, which of them are defaults and where these come from, and which limits bind."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.costs.prices import price_of
from bayesmoe.costs.training_budget import USUAL_MFU
from bayesmoe.costs.uncertain import Uncertain, UncertainShare
from bayesmoe.laws.repetition import EXCESS_DECAY, REPEAT_DECAY
from bayesmoe.planning.precision_draws import loses_bits, precision_draws
from bayesmoe.planning.problems import asked_problems, problem_named
from bayesmoe.planning.problems.base import baseline
from bayesmoe.planning.reference import key_named, keys
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.units import QUANTILES, band, percent, short

_NO_ASSUMPTION = {"name", "seed", "problems", "goal"}
_DRAWS = 4000
"""Draws of a prior that is said by its band."""

_CLOSE = 1e-3
"""Relative distance from a limit at which a solution counts as held by it."""


class Assumption(NamedTuple):
    """A value in use.

    Attributes
    ----------
    name : str
        Dotted key of the scenario.
    value : str
        With its unit.
    source : str
        Where the value comes from if it is a default; empty for one that the scenario gives.
    """

    name: str
    value: str
    source: str

    def __str__(self) -> str:
        return f"{self.value}; default: {self.source}" if self.source else self.value


def assumptions(plan: xr.Dataset) -> tuple[Assumption, ...]:
    """Every value that a plan used, in the order of a scenario."""
    info = PlanInfo.read(plan)
    found = []
    for key in keys():
        if key.section == "traffic" or key.name in _NO_ASSUMPTION or key.name in _without_effect(info.scenario):
            continue
        # A roadmap was resolved into one budget.
        value = getattr(getattr(info.scenario, key.section), key.key, None)
        if value is not None:
            chosen = key.name == "choices.num_experts" and info.counts_end != "list"
            source = key.about.source if value == key.default or chosen else ""
            said = f"{_written(value)} {key.about.unit}".rstrip() + _of_repeats(key.name, info)
            found.append(Assumption(key.name, said, source))
        elif key.name in (used := _left_out(info)):
            found.append(Assumption(key.name, *used[key.name]))
    return tuple(found)


def _of_repeats(name: str, info: PlanInfo) -> str:
    """What repeats are worth, beside the most passes over limited data."""
    if name != "limits.max_epochs" or info.scenario.limits.unique_tokens is None:
        return ""
    decay, excess = (f"{math.exp(one.mean):.3g} (log-sd {one.sd:g})" for one in (REPEAT_DECAY, EXCESS_DECAY))
    return {
        "runs": "; repeats fade as the runs of the fit say",
        "prior": f"; repeats fade after {decay} passes and excess size after {excess} times that for the data: the prior, as no run of the fit repeats",
    }.get(info.repetition, "")


def _without_effect(scenario: Scenario) -> set[str]:
    """Keys that say how something is done which the scenario does not do."""
    drafts = () if any(scenario.serving.drafts) else ("serving.draft_acceptance", "serving.draft_acceptance_decay")
    quantized = () if loses_bits(scenario) else ("serving.quantization",)
    limited = () if scenario.limits.unique_tokens is not None else ("limits.max_epochs",)
    return {*drafts, *quantized, *limited}


def _left_out(info: PlanInfo) -> dict[str, tuple[str, str]]:
    """What stands in for a key that has no default value, and where it comes from."""
    scenario = info.scenario
    training, serving = scenario.training, scenario.serving
    bounded = {one.threshold for one in asked_problems(scenario)} | {
        None if one.spends_budget else "loss" for one in asked_problems(scenario)
    }
    stand_ins = {
        f"{section}.price_usd_per_gpu_hour": (
            f"USD {_number(price_of(fleet))} for {fleet.accelerator}",
            "an assumption of November 2025, no quote",
        )
        for section, fleet in (("training", training), ("serving", serving))
    }
    stand_ins["training.mfu"] = (
        (
            "that of the fastest layout that fits, by count and size",
            "calibrated on public measurements, its error in the bands",
        )
        if training.by_layout
        else (f"{USUAL_MFU:g} {key_named('training.mfu').about.unit}", key_named("training.mfu").about.source)
    )
    if training.cluster_gpus is not None:
        stand_ins["training.availability"] = (
            f"{training.training_share:g} {key_named('training.availability').about.unit}",
            "restarts and evaluations are in the calibrated rate"
            if training.by_layout
            else key_named("training.availability").about.source,
        )
    if "loss" in bounded:
        stand_ins["limits.loss_nats"] = (f"that of {baseline(scenario)}", "the baseline's")
    if "serving_usd_per_million_tokens" in bounded:
        stand_ins["limits.serving_usd_per_million_tokens"] = (f"that of {baseline(scenario)}", "the baseline's")
    if "fixed_hardware" in scenario.problems:
        stand_ins["serving.fleet_gpus"] = (f"{serving.max_gpus} GPUs", "one replica of the most GPUs")
    if info.fixed_tokens:
        stand_ins["limits.unique_tokens"] = (
            f"{short(info.fixed_tokens, 3)} training tokens for every design",
            "the runs' mean, as the law has no tokens term",
        )
    else:
        stand_ins["limits.unique_tokens"] = ("as many as the budget buys", "no limit on data")
    stand_ins |= _of_precision(scenario)
    stand_ins["serving.bytes_per_kv_element"] = (
        f"{serving.kv_bytes:g} {key_named('serving.bytes_per_kv_element').about.unit}",
        key_named("serving.bytes_per_kv_element").about.source,
    )
    if serving.latency_table is None:
        stand_ins["serving.calibration"] = (
            "roofline calibrated on public measurements, its error on unseen models in the bands",
            "shipped",
        )
    return stand_ins


def _of_precision(scenario: Scenario) -> dict[str, tuple[str, str]]:
    """What few bits take from the loss, where the scenario does not say."""
    found = {}
    for name, values in precision_draws(scenario, _DRAWS).by_name().items():
        if (key := next((one for one in keys() if one.name == name), None)) is not None:
            at = " at 7B parameters and 2T tokens, more with tokens and less with size" if name.startswith("serving") else ""
            found[name] = (f"{band(*np.quantile(values, QUANTILES))} {key.about.unit}{at}", key.about.source)
    return found


def binding_limits(plan: xr.Dataset) -> dict[str, str]:
    """Limits that hold a solution back, by the title of the problem: the share of draws whose best design lies at each.

    A draw's best design is that of least objective among the counts that it can have; a limit that no draw reaches is left out.
    """
    scenario, found = PlanInfo.read(plan).scenario, {}
    for name in plan["problem"].values:
        problem = problem_named(str(name))
        part = plan.sel(problem=name)
        objective = np.where(part["feasible"].values, part[problem.objective].values, np.inf)
        some = np.isfinite(objective).any(axis=0)
        if not some.any():
            found[problem.title] = "no design meets every limit in any draw"
            continue
        best = objective.argmin(axis=0)
        at = {one: np.take_along_axis(part[one].values, best[None], axis=0)[0][some] for one in _LIMITED if one in part}
        shares = _shares(scenario, at, part, problem.threshold, some)
        reached = [f"{what} in {percent(share)} of draws" for what, share in shares.items() if share > 0]
        if not some.all():
            reached.append(f"no design meets every limit in {percent(1.0 - some.mean())}")
        found[problem.title] = ", ".join(reached) or "none but the training budget"
    return found


_LIMITED = ("tokens", "n_gpus", "loss", "serving_usd_per_million_tokens")


def _shares(
    scenario: Scenario, at: dict[str, np.ndarray], part: xr.Dataset, threshold: str | None, some: np.ndarray
) -> dict[str, float]:
    """Share of the draws whose best design lies at each limit."""
    most: dict[str, tuple[str, Any]] = {
        "data (limits.unique_tokens x max_epochs)": ("tokens", scenario.limits.most_tokens),
        "GPUs of a replica (serving.max_gpus)": ("n_gpus", scenario.serving.max_gpus),
    }
    if threshold is not None:
        most[f"the threshold of {_THRESHOLDS.get(threshold, threshold)}"] = (threshold, part["threshold"].values[some])
    return {what: float(np.mean(at[name] >= limit * (1.0 - _CLOSE))) for what, (name, limit) in most.items() if name in at}


_THRESHOLDS = {"loss": "loss", "serving_usd_per_million_tokens": "serving cost"}


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_number, value)) or "none"
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, Uncertain | UncertainShare):
        return f"{value.median:.6g} (log-sd {value.log_sd:g})"
    return f"{value:.6g}".replace("e+", "e") if isinstance(value, float) else str(value)
