"""What nobody means: values in the wrong unit, and scenarios whose every answer would be absurd.

Bounds of a single key stand beside it (:class:`bayesmoe.specs.About`); here are those that several keys make together.
"""

from __future__ import annotations

import math
from typing import Any

from bayesmoe.costs.hardware import ACCELERATORS
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT
from bayesmoe.costs.prices import price_of
from bayesmoe.costs.training import affordable_flop
from bayesmoe.costs.training_budget import USUAL_MFU, mfu_of
from bayesmoe.costs.uncertain import median
from bayesmoe.errors import InputError
from bayesmoe.planning.reference import keys
from bayesmoe.planning.scenario import MOST_TOKENS_PER_PARAMETER, Scenario
from bayesmoe.units import short

MOST_LOG_SD = 3.0
"""A quantity known within a factor of 20 either way; beyond, nothing is known of it."""

_FLOP_PER_TOKEN, _TRAIN = 2.0, 6.0


def require_plausible(scenario: Scenario) -> None:
    """Raise an InputError that says what to write, where a scenario says what nobody means.

    Raises
    ------
    InputError
        A value lies beyond what its unit allows, the accelerator has no such precision, or every design would train on more than
        :data:`~bayesmoe.planning.scenario.MOST_TOKENS_PER_PARAMETER` tokens for a parameter.

    Examples
    --------
    >>> require_plausible(bm.read_scenario("yun-2024"))
    """
    for section in ("training", "serving", "choices", "architecture", "limits", "value", "tolerance"):
        require_plausible_section(section, getattr(scenario, section))
    _require_precision(scenario)
    _require_sizes(scenario)
    _require_demand(scenario)


def require_plausible_section(section: str, part: Any) -> None:
    """The same for the values of one section, each by itself."""
    for one in keys():
        value = getattr(part, one.key, None) if one.section == section else None
        if value is None or isinstance(value, str):
            continue
        for each in value if isinstance(value, tuple) else (value,):
            _require_value(one.name, each, one.about)


def _require_value(name: str, value: Any, about: Any) -> None:
    if isinstance(value, str):
        return
    log_sd, least, most = getattr(value, "log_sd", 0.0), about.least, about.most
    if log_sd > MOST_LOG_SD:
        rule = f"is implausible (plausible: at most {MOST_LOG_SD:g})"
        hint = "it is the standard deviation of the natural logarithm: 0.2 is about 20% either way"
        raise InputError(rule, column=f"{name}.log_sd", value=log_sd, hint=hint)
    number = median(value)
    if (least is not None and number < least) or (most is not None and number > most):
        raise InputError(
            f"is implausible (plausible: {f'{about.plausible} {about.unit}'.rstrip()})",
            column=name,
            value=number,
            hint=about.hint,
        )


def _require_precision(scenario: Scenario) -> None:
    serving = scenario.serving
    chip = ACCELERATORS.get(serving.accelerator)
    if chip is None:
        return
    lacks = {
        "fp8": chip.peak_fp8_flop_per_s <= chip.peak_flop_per_s,
        "fp4": chip.peak_fp4_flop_per_s <= chip.peak_fp8_flop_per_s,
    }
    if lacks.get(serving.precision):
        wider = "bf16 or int8" if lacks["fp8"] else "fp8 or mxfp4"
        raise InputError(
            f"is not computed by {serving.accelerator}",
            column="serving.precision",
            value=serving.precision,
            hint=f"use {wider}, or an accelerator such as {'H100-SXM' if serving.precision == 'fp8' else 'B200-SXM'}",
        )


def budget_flop(scenario: Scenario) -> float:
    """Training FLOP of the budget, at the median price and utilization where it is in USD, GPU-hours or days."""
    training = scenario.training
    if training.budget_flop is not None or training.accelerator.endswith(".toml"):
        return training.budget_flop or math.nan
    mfu, price = median(mfu_of(training) or USUAL_MFU), median(price_of(training))
    return float(affordable_flop(training, mfu=mfu, price_usd_per_gpu_hour=price))


def _require_sizes(scenario: Scenario) -> None:
    """The most parameters that fit anywhere must not take more tokens than anybody trains them on."""
    serving, limits, asked = scenario.serving, scenario.limits, set(scenario.problems)
    weight, flop = BYTES_PER_WEIGHT[serving.precision], min(budget_flop(scenario), math.inf)
    chip = ACCELERATORS.get(serving.accelerator)
    room = {}
    if chip is not None and not asked <= {"loss_optimal", "memory_limited", "equal_resources", "efficiency_leverage"}:
        room["serving.max_gpus"] = serving.max_gpus * serving.memory_fraction * chip.memory_bytes / weight
    if "memory_limited" in asked and limits.memory_bytes is not None:
        room["limits.memory_bytes"] = limits.memory_bytes / weight
    if "equal_resources" in asked and limits.n_total_parameters is not None:
        room["limits.n_total_parameters"] = limits.n_total_parameters
    for column, parameters in room.items():
        tokens = min(flop / (_TRAIN * parameters), limits.most_tokens)
        if tokens > MOST_TOKENS_PER_PARAMETER * parameters:
            raise InputError(
                f"holds at most {short(parameters)} parameters, which the budget trains on {short(tokens)} tokens: "
                f"more than {MOST_TOKENS_PER_PARAMETER:g} a parameter",
                column=column,
                value=_value(scenario, column),
                hint="raise it, lower the budget, or limit the data with limits.unique_tokens",
            )


def _require_demand(scenario: Scenario) -> None:
    """The smallest model that the budget may make, computed at the peak of the whole fleet, must meet the demand."""
    serving, demand = scenario.serving, scenario.limits.output_tokens_per_s
    chip, flop = ACCELERATORS.get(serving.accelerator), budget_flop(scenario)
    if "fixed_hardware" not in scenario.problems or demand is None or chip is None or not math.isfinite(flop):
        return
    gpus = serving.fleet_gpus or serving.max_gpus
    tokens = min(scenario.limits.most_tokens, math.sqrt(MOST_TOKENS_PER_PARAMETER * flop / _TRAIN))
    most = gpus * chip.peak(serving.precision) / (_FLOP_PER_TOKEN * tokens / MOST_TOKENS_PER_PARAMETER)
    if demand > most:
        raise InputError(
            f"is more than {gpus} {serving.accelerator} can decode ({short(most)} tokens/s of the smallest model of this budget)",
            column="limits.output_tokens_per_s",
            value=demand,
            hint="raise serving.fleet_gpus, the GPUs of all replicas",
        )


def _value(scenario: Scenario, column: str) -> Any:
    section, _, key = column.partition(".")
    return getattr(getattr(scenario, section), key)
