"""Which limit a design breaks in which draws, and what would have to be allowed instead."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.costs.serving import needs_of_replica
from bayesmoe.planning.constraints import comparison, constraint
from bayesmoe.planning.design_costs import in_time
from bayesmoe.planning.outcomes import ConstraintLevels
from bayesmoe.planning.problems import Problem
from bayesmoe.planning.quantities import ROUNDING, Quantities
from bayesmoe.planning.scenario import MOST_TOKENS_PER_PARAMETER, Scenario
from bayesmoe.planning.surface import DesignSurface

BUDGET, SIZES, PLAUSIBLE, OWN = "training budget", "sizes considered", "tokens / n_active", "goal"
REPLICA, BASELINE = "replica", "choices.baseline_num_experts"
"""Limits that no key of a scenario sets alone."""

_LABELS = {
    SIZES: ("lowest loss of this count and of the baseline within the sizes considered", ""),
    BUDGET: ("training budget", "times the budget"),
    PLAUSIBLE: ("training tokens per active parameter", ""),
    REPLICA: ("replica that meets all targets together", ""),
    BASELINE: ("baseline that can be served", ""),
    OWN: ("goal", ""),
    "serving.max_gpus": ("memory of a replica", "GPUs"),
    "serving.max_tpot_s": ("time per output token", "s"),
    "serving.max_ttft_s": ("time to first token", "s"),
    "limits.loss_nats": ("loss", "nats"),
    "tolerance.loss_nats": ("loss above the baseline's", "nats"),
    "limits.serving_usd_per_million_tokens": ("serving cost", "USD per M tokens"),
    "tolerance.cost_share": ("serving cost above the baseline's", "of it"),
    "limits.memory_bytes": ("memory", "bytes"),
    "limits.output_tokens_per_s": ("demand", "tokens/s"),
    "limits.unique_tokens": ("training tokens", "tokens"),
    "training.days": ("training days", "days"),
    "training.memory_fraction": ("memory of the training cluster", "of a GPU's memory"),
}
_LEAST_ALLOWED = ("limits.output_tokens_per_s",)


class Kept(NamedTuple):
    """Whether a limit is kept, and the value at which it would be: infinite where none would do, NaN where no number says it."""

    kept: Any
    needed: Any


class Limit(NamedTuple):
    """One limit of a plan.

    Attributes
    ----------
    key : str
        Key of the scenario that sets it, text of a constraint, or one of the names above.
    label, unit : str
        What it limits, in words; unit of its value.
    given : float
        Its value; NaN where no number says it.
    at_least : bool
        Whether it is the least allowed, and not the most.
    """

    key: str
    label: str
    unit: str
    given: float
    at_least: bool


def limit_named(key: str, scenario: Scenario) -> Limit:
    """A limit by its key, as a scenario sets it."""
    if key not in _LABELS:
        compared = comparison(key, Quantities._fields)
        return Limit(key, key, "", *((math.nan, False) if compared is None else (compared.number, compared.at_least)))
    fixed = {BUDGET: 1.0, PLAUSIBLE: MOST_TOKENS_PER_PARAMETER, "limits.unique_tokens": scenario.limits.most_tokens}
    given = fixed.get(key, math.nan)
    if key not in (*fixed, BASELINE) and "." in key:
        section, name = key.split(".")
        given = float(getattr(getattr(scenario, section), name))
    return Limit(key, *_LABELS[key], given, key in _LEAST_ALLOWED)


def kept_limits(
    problem: Problem, part: DesignSurface, ln_size: Any, quantities: Quantities, levels: ConstraintLevels
) -> dict[str, Kept]:
    """Every limit of a problem by its key, elementwise over designs; a design that keeps all of them solves it.

    Parameters
    ----------
    problem : Problem
        What is asked.
    part : DesignSurface
        S draws by K candidates.
    ln_size : array, shape (1, K, M)
        ln sizes of the designs.
    quantities : Quantities
        At these sizes, shape (S, K, M).
    levels : ConstraintLevels
        Thresholds of the draws.

    Returns
    -------
    dict of Kept
        Arrays of shape (S, K, M). :data:`BUDGET` is never broken: its needed value is what the loss limit would need instead.
    """
    limits = part.scenario.limits
    found = {SIZES: Kept(levels.inside[..., None], jnp.nan)}
    if problem.objective in ("serving_usd_per_million_tokens", "lifetime_usd") or problem.needs_serving:
        found |= _of_replica(part, ln_size, quantities)
    if not problem.spends_budget or problem.threshold == "loss":
        found |= _of_loss(problem, part, ln_size, quantities, levels)
    elif problem.threshold is not None:
        found |= _of_serving_cost(part, quantities, levels)
    elif (own := problem.bound(part, quantities, levels.thresholds)) is not None:
        found[own.key] = Kept(own.kept, own.value)
    if not found.keys() - {SIZES} and type(problem).met is not Problem.met:
        found[OWN] = Kept(problem.met(part, quantities, levels.thresholds), jnp.nan)
    if limits.unique_tokens is not None:
        found["limits.unique_tokens"] = Kept(quantities.tokens <= limits.most_tokens * (1.0 + ROUNDING), quantities.tokens)
    if part.fixed_tokens is not None:
        found[BUDGET] = Kept(part.affords(quantities), part.spent(quantities) / part.budget[..., None])
    if (by_size := part.cost_draws.throughput) is not None:
        needed = part.scenario.training.memory_fraction * by_size.filled(ln_size)
        found["training.memory_fraction"] = Kept(by_size.fits(ln_size), needed)
    if part.scenario.training.most_days is not None:
        found["training.days"] = Kept(in_time(part, quantities), quantities.train_days)
    per_parameter = quantities.tokens / quantities.n_active
    found[PLAUSIBLE] = Kept(per_parameter <= MOST_TOKENS_PER_PARAMETER * (1.0 + ROUNDING), per_parameter)
    for text in limits.constraints:
        compared = comparison(text, Quantities._fields)
        needed = jnp.nan if compared is None else compared.value(quantities._asdict())
        found[text] = Kept(constraint(text, Quantities._fields)(quantities._asdict()), needed)
    return {key: Kept(*(jnp.broadcast_to(each, quantities.loss.shape) for each in one)) for key, one in found.items()}


def _of_replica(part: DesignSurface, ln_size: Any, quantities: Quantities) -> dict[str, Kept]:
    *replica, _ = part.replica(ln_size)
    fleet, needs = replica[2], needs_of_replica(*replica)
    found = {"serving.max_gpus": Kept(needs.n_gpus <= fleet.max_gpus, needs.n_gpus)}
    if fleet.max_tpot_s is not None:
        found["serving.max_tpot_s"] = Kept(~(needs.tpot_s > fleet.max_tpot_s), needs.tpot_s)
    if fleet.max_ttft_s is not None and needs.ttft_s is not None:
        found["serving.max_ttft_s"] = Kept(~(needs.ttft_s > fleet.max_ttft_s), needs.ttft_s)
    alone = jax.tree.reduce(jnp.logical_and, [one.kept for one in found.values()])
    found[REPLICA] = Kept(jnp.isfinite(quantities.serving_usd_per_million_tokens) | ~alone, jnp.nan)
    return found


def _of_loss(
    problem: Problem, part: DesignSurface, ln_size: Any, quantities: Quantities, levels: ConstraintLevels
) -> dict[str, Kept]:
    loose, threshold = levels.loosened(part.scenario).loss, levels.thresholds.loss[..., None]
    # Where the budget is not spent, tokens were chosen to reach this very loss.
    kept = quantities.loss <= loose * (1.0 if problem.spends_budget else 1.0 + ROUNDING)
    if part.scenario.limits.loss_nats is not None:
        found = {"limits.loss_nats": Kept(kept, quantities.loss)}
    else:
        found = {"tolerance.loss_nats": Kept(kept, quantities.loss - threshold)}
    if problem.spends_budget and part.fixed_tokens is None:
        tokens = part.tokens_of_loss(ln_size, loose)
        allowed = (tokens <= part.scenario.limits.most_tokens) & (tokens <= MOST_TOKENS_PER_PARAMETER * quantities.n_active)
        times = part.budget_per_token(ln_size) * tokens / part.budget[..., None]
        found[BUDGET] = Kept(True, jnp.where(allowed, times, jnp.inf))
    return found


def _of_serving_cost(part: DesignSurface, quantities: Quantities, levels: ConstraintLevels) -> dict[str, Kept]:
    cost = quantities.serving_usd_per_million_tokens
    kept = cost <= levels.loosened(part.scenario).serving_usd_per_million_tokens
    if part.scenario.limits.serving_usd_per_million_tokens is not None:
        return {"limits.serving_usd_per_million_tokens": Kept(kept, cost)}
    threshold = levels.thresholds.serving_usd_per_million_tokens[..., None]
    known = jnp.isfinite(threshold)
    return {BASELINE: Kept(known, jnp.nan), "tolerance.cost_share": Kept(kept | ~known, cost / threshold - 1.0)}
