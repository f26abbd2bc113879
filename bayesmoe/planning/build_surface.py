"""From a fit and a scenario to surfaces: draws of laws, of costs, and of discrepancies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.costs.draws import latency_of
from bayesmoe.costs.training import affordable_flop, gpu_seconds
from bayesmoe.errors import InputError
from bayesmoe.inference.ensemble import Component, apportion, components, discrepancy_draws
from bayesmoe.inference.groups import parameters_of_group
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Law
from bayesmoe.planning.constraints import constraint
from bayesmoe.planning.cost_draws import CostDraws, sample_costs
from bayesmoe.planning.distance_grid import with_discrepancy
from bayesmoe.planning.precision_draws import quantized_at_a_loss
from bayesmoe.planning.problems import asked_problems
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.repeats import with_repetition
from bayesmoe.planning.scenario import Scenario, ValueSpec
from bayesmoe.planning.surface import DesignSurface


def surfaces(
    fit: xr.DataTree, scenario: Scenario, *, elsewhere: bool = False, draws: int | None = None
) -> dict[str, DesignSurface]:
    """Candidates of a scenario under every draw of a fit, by law; of an average, each law has its share of the draws.

    Parameters
    ----------
    fit : DataTree
        A fit of one law or of several averaged.
    scenario : Scenario
        Choices, budget, costs.
    elsewhere : bool
        Whether losses are asked off the budget too, where no problem of the scenario does.
    draws : int, optional
        Most draws to use, evenly spaced over the posterior; all of them where left out.

    Raises
    ------
    InputError
        The scenario names no group of a grouped fit, or one it does not have; a law cannot tell the candidates apart; a
        constraint of the user is none.
    """
    if scenario.training.flop_rule == "exact":
        raise InputError(
            "needs an exact shape, and a plan chooses sizes",
            column="training.flop_rule",
            value="exact",
            hint="plan with '6 n_active tokens'; `bayesmoe cost` takes 'exact'",
        )
    for text in scenario.limits.constraints:
        constraint(text, tuple(QUANTITIES))
    laws = components(fit)
    posteriors = {name: member.fit["posterior"].sizes for name, member in laws.items()}
    total = min(sizes["chain"] * sizes["draw"] for sizes in posteriors.values())
    total = total if draws is None else min(draws, total)
    counts = apportion(np.array([member.weight for member in laws.values()]), total)
    costs = sample_costs(scenario, total)
    found, first = {}, 0
    for (name, member), count in zip(laws.items(), counts, strict=True):
        if count:
            rows = slice(first, first + count)
            own = jax.tree.map(lambda values, rows=rows: values[rows], costs)
            found[name] = _surface(member, scenario, count, own, elsewhere)
        first += count
    return found


def _surface(member: Component, scenario: Scenario, draws: int, cost_draws: CostDraws, elsewhere: bool) -> DesignSurface:
    fit = member.fit
    law = FitInfo.read(fit).law
    _require_choices(law, scenario)
    group, rng = scenario.choices.group, np.random.default_rng(scenario.seed)
    parameters = parameters_of_group(fit, group, draws=draws, rng=rng, column="choices.group")
    runs = fit["constant_data"].dataset
    fixed = (
        None if "tokens" in law.covariates else float(np.exp(np.log(runs["tokens"]).mean())) if "tokens" in runs else np.nan
    )
    if fixed is not None and not np.isfinite(fixed):
        raise InputError(
            f"the law {law.name!r} has no tokens term and its runs have no tokens column",
            hint="add tokens to the run table and refit",
        )
    if fixed is not None and fixed > scenario.limits.most_tokens:
        raise InputError(
            f"the law {law.name!r} has no tokens term: it says what {fixed:.3g} tokens give, and there are fewer",
            column="limits.unique_tokens",
            value=scenario.limits.unique_tokens,
            hint="fit a law with tokens, such as yun",
        )
    law, parameters = with_repetition(law, parameters, scenario, draws)
    found = surface_of(law, parameters, scenario, cost_draws, fixed_tokens=fixed)
    if member.discrepancy is None:
        return found
    discrepancy = discrepancy_draws(member.discrepancy, draws, np.random.default_rng((scenario.seed, 2)))
    off_budget = scenario.training.budget_flop is None or np.isfinite(scenario.limits.most_tokens)
    off_budget = off_budget or elsewhere or any(one.other_budgets for one in asked_problems(scenario))
    return with_discrepancy(
        found, jnp.asarray(discrepancy), member.discrepancy, scenario, off_budget=off_budget and fixed is None
    )


def surface_of(
    law: Law, parameters: dict[str, Any], scenario: Scenario, costs: CostDraws, *, fixed_tokens: float | None = None
) -> DesignSurface:
    """Candidates of a scenario under draws of a law's parameters that need not come from a fit, such as a truth that is known.

    Parameters
    ----------
    law, parameters : Law, dict of array
        The law, and its paper parameters, shape (S,).
    scenario : Scenario
        Choices, budget, costs.
    costs : CostDraws
        S draws of costs.
    fixed_tokens : float, optional
        Training tokens where the law has no tokens term.
    """
    training = scenario.training
    in_gpu_time = training.by_layout and training.budget_flop is None
    if in_gpu_time:
        budget = gpu_seconds(training, costs.training["price_usd_per_gpu_hour"])
    else:
        budget = training.budget_flop if training.by_layout else affordable_flop(training, **costs.training)
    return DesignSurface(
        law,
        parameters,
        scenario.candidates,
        scenario.architecture.family(),
        _rules(scenario),
        fixed_tokens,
        costs,
        latency_of(scenario.serving),
        budget,
        in_gpu_time,
    )


def inputs(laws: Mapping[str, DesignSurface]) -> dict[str, np.ndarray]:
    """Every uncertain number of a plan by name, shape (S,): parameters of each law, NaN in draws of the others, and costs.

    ``serving.latency`` is the mean of the candidates' ln slowdown; candidates also differ from each other.
    """
    sizes = [here.shape[0] for here in laws.values()]
    found: dict[str, np.ndarray] = {}
    for number, (name, here) in enumerate(laws.items()):
        own = dict(here.parameters)
        if here.discrepancy is not None:
            own |= {f"discrepancy along {part}": here.discrepancy[:, at] for at, part in enumerate(here.parts)}
        for parameter, values in own.items():
            column = np.full(sum(sizes), np.nan)
            column[sum(sizes[:number]) : sum(sizes[: number + 1])] = values
            found[f"{name}.{parameter}"] = column
    costs = [here.cost_draws.by_name() for here in laws.values()]
    found |= {name: np.concatenate([each[name] for each in costs]) for name in costs[0]}
    return {name: values for name, values in found.items() if np.nanmax(values) > np.nanmin(values)}


def _rules(scenario: Scenario) -> Scenario:
    """The scenario without the numbers that draws carry: scenarios that differ in these alone share what is compiled."""
    training, serving = scenario.training, scenario.serving
    return replace(
        scenario,
        name="",
        seed=0,
        value=ValueSpec(),
        tolerance=replace(scenario.tolerance, probability=1.0),
        training=replace(
            training,
            budget_flop=None if training.budget_flop is None else 1.0,
            budget_usd=None if training.budget_usd is None else 1.0,
            budget_gpu_hours=None if training.budget_gpu_hours is None else 1.0,
            days=training.days if training.most_days is not None or training.days is None else 1.0,
            mfu=None if training.by_layout else 1.0,
            price_usd_per_gpu_hour=1.0,
            effective_size_share=None,
        ),
        serving=replace(
            serving,
            utilization=1.0,
            price_usd_per_gpu_hour=1.0,
            prompt_tokens=1.0,
            output_tokens=1.0,
            prompt_cv=0.0,
            output_cv=0.0,
            length_correlation=0.0,
            cached_share=None,
            draft_acceptance=1.0,
            draft_acceptance_decay=1.0,
            quantization="after training",
            quantization_loss_nats=None if quantized_at_a_loss(scenario) else 0.0,
            lifetime_tokens=None if serving.lifetime_tokens is None else 1.0,
            max_tpot_s=None,
            max_ttft_s=None,
        ),
    )


def _require_choices(law: Law, scenario: Scenario) -> None:
    if not law.has_experts and set(scenario.choices.counts) != {1}:
        raise InputError(
            f"the law {law.name!r} has no expert term, so it cannot choose an expert count",
            column="choices.num_experts",
            hint="fit a law with experts, such as yun, or leave it at the dense model: num_experts = [1]",
        )
    if not {"n_dense", "n_active", "n_total"} & set(law.covariates):
        raise InputError(
            f"the law {law.name!r} reads compute only, so it cannot split a budget between size and tokens",
            column="law",
            value=law.name,
            hint="fit a law with a size, such as yun",
        )
    for name in ("top_k", "granularity"):
        values, count = getattr(scenario.choices, name) or (), max(scenario.choices.counts)
        if len(values) < 2 or count == 1:
            continue
        runs = [scenario.architecture.family(**{name: value}).run(1e9, 1e10, float(count)) for value in values]
        read = [covariate for covariate in law.covariates if covariate in runs[0]]
        if all(run[covariate] == runs[0][covariate] for run in runs for covariate in read):
            raise InputError(
                f"the law {law.name!r} does not read {name}, so it cannot choose one",
                column=f"choices.{name}",
                hint=f"leave one value, or fit a law that reads {name}, n_active or activation_ratio",
            )
