"""Decide: one decision for each problem of a plan, made once and rendered by the terminal, the JSON, the report and the page."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from bayesmoe.decisions.break_even import break_even
from bayesmoe.decisions.decision import Advice, BreakEven, Decision, Decisions, PublishedSetting
from bayesmoe.decisions.gate import LEAST_SIZE
from bayesmoe.decisions.hyperparameters import hyperparameters
from bayesmoe.decisions.limits import LimitOutcome, limits_of_design
from bayesmoe.decisions.outcome import Band, Design, DesignOutcome, PerDrawOptimum
from bayesmoe.decisions.recommendation import MEASURES
from bayesmoe.decisions.risk import extrapolation_factors, risk, without_each_law
from bayesmoe.decisions.training import training_outcome
from bayesmoe.decisions.value_of_information import evppi
from bayesmoe.planning.planner import UNITS
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.precision import in_float64


@in_float64
def decide(plan: xr.Dataset, fit: xr.DataTree | None = None, *, advice: bool = True) -> Decisions:
    """Decide each problem of a plan.

    Parameters
    ----------
    plan : Dataset
        From :func:`bayesmoe.planning.planner.plan`.
    fit : DataTree, optional
        The fit that was planned on: decisions then know how far they extrapolate.
    advice : bool
        Whether to compute what would change each decision, which takes most of the time.

    Returns
    -------
    Decisions
        One a problem, in the plan's order.

    Examples
    --------
    >>> (cheapest, lowest) = bm.decide(plan, advice=False)
    >>> cheapest.recommended.num_experts == cheapest.recommended_num_experts
    True
    """
    summary, info = risk(plan), PlanInfo.read(plan)
    names = [str(name) for name in plan["problem"].values]
    advised = _advice(plan, info, summary, names) if advice else dict.fromkeys(names, Advice())
    made = []
    for name in names:
        times = {} if fit is None else extrapolation_factors(fit, summary.sel(problem=[name]))
        limits = {count: limits_of_design(plan, info.scenario, name, count) for count in info.scenario.choices.counts}
        made.append(_decision(name, summary.sel(problem=name), info, times, advised[name], limits))
    return Decisions(made, summary)


def _decision(
    name: str,
    part: xr.Dataset,
    info: PlanInfo,
    times: Mapping[str, float],
    advice: Advice,
    limits: Mapping[int, tuple[LimitOutcome, ...]],
) -> Decision:
    scenario = info.scenario
    rows = [part.sel(num_experts=count) for count in part["num_experts"].values]
    by_measure = {measure: int(part["recommended_by_measure"].sel(measure=measure)) or None for measure in MEASURES}
    return Decision(
        problem=problem_named(name),
        scenario=scenario,
        # A design far below every run answers another question; the gate says why.
        recommended_num_experts=None if times.get("n_dense", 1.0) < LEAST_SIZE else int(part["recommended"]) or None,
        recommended_by_measure=by_measure,
        per_draw_num_experts=int(part["per_draw_choice"]) or None,
        closest_num_experts=int(part["closest"]),
        tied=tuple(int(row["num_experts"]) for row in rows if bool(row["tied"])),
        designs=tuple(_outcome(row, scenario, limits.get(int(row["num_experts"]), ())) for row in rows),
        optima=tuple(_optimum(row) for row in rows),
        p_any_feasible=float(part["p_any_feasible"]),
        p_optimum_inside=float(part["p_optimum_inside"].max()),
        counts_end=info.counts_end,
        usd_per_nat=float(part["usd_per_nat"]) if "usd_per_nat" in part else None,
        evpi_usd=float(part["evpi_usd"]) if "evpi_usd" in part else None,
        extrapolation=times,
        advice=advice,
    )


def _outcome(row: xr.Dataset, scenario: Scenario, limits: tuple[LimitOutcome, ...]) -> DesignOutcome:
    has_demand, design = "design_total_usd" in row, _design(row, scenario)
    return DesignOutcome(
        design=design,
        p_feasible=float(row["design_p_feasible"]),
        meets_probability=bool(row["design_meets_probability"]),
        objective=_by_measure(row["design_objective"]),
        loss=Band.of(row["design_loss"].values),
        serving_usd_per_million_tokens=Band.of(row["design_serving_usd_per_million_tokens"].values),
        train_usd=Band.of(row["design_train_usd"].values),
        training=training_outcome(row, design, scenario),
        lifetime_usd=Band.of(row["design_lifetime_usd"].values) if "design_lifetime_usd" in row else None,
        loss_difference=Band.of(row["design_loss_difference"].values),
        cost_difference=Band.of(row["design_cost_difference"].values),
        mean_loss=float(row["design_mean_loss"]),
        mean_cost=float(row["design_mean_cost"]),
        total_usd=_by_measure(row["design_total_usd"]) if has_demand else None,
        regret_usd=float(row["design_regret_usd"]) if has_demand else None,
        limits=limits,
        quantization_loss=Band.of(row["design_quantization_loss"].values) if "design_quantization_loss" in row else None,
    )


def _design(row: xr.Dataset, scenario: Scenario) -> Design:
    count, top_k = int(row["num_experts"]), round(float(row["design_top_k"]))
    n_dense, tokens, granularity = (float(row[f"design_{name}"]) for name in ("n_dense", "tokens", "granularity"))
    run = scenario.architecture.family(top_k, granularity).run(n_dense, tokens, float(count))
    return Design(
        num_experts=count,
        top_k=top_k,
        granularity=granularity,
        n_dense=n_dense,
        n_active=float(run["n_active"]),
        n_total=float(run["n_total"]),
        tokens=tokens,
    )


def _optimum(row: xr.Dataset) -> PerDrawOptimum:
    return PerDrawOptimum(
        num_experts=int(row["num_experts"]),
        p_feasible=float(row["p_feasible"]),
        p_best=float(row["p_best"]),
        expected_regret=float(row["expected_regret"]),
        near_optimal=bool(row["near_optimal"]),
        bands={name: Band.of(row[name].values) for name in UNITS if name in row},
    )


def _by_measure(values: xr.DataArray) -> dict[str, float]:
    return {measure: float(values.sel(measure=measure)) for measure in MEASURES}


def _advice(plan: xr.Dataset, info: PlanInfo, summary: xr.Dataset, names: list[str]) -> dict[str, Advice]:
    worth, changes, settings = evppi(plan), break_even(plan), hyperparameters(plan, summary)
    without = without_each_law(plan)
    advised = {}
    for name in names:
        papers = settings.sel(problem=name)
        advised[name] = Advice(
            evppi_usd={str(key): float(worth["evppi_usd"].sel(problem=name, input=key)) for key in worth["input"].values}
            if worth
            else {},
            num_experts_at_min_demand=(int(changes["num_experts_at_min_demand"].sel(problem=name)) or None)
            if changes
            else None,
            break_even=_changes(changes.sel(problem=name)) if changes else (),
            settings={
                str(paper): PublishedSetting(
                    Band.of(papers["learning_rate"].sel(paper=paper).values),
                    Band.of(papers["batch_tokens"].sel(paper=paper).values),
                    str(papers["beyond"].sel(paper=paper).item()),
                )
                for paper in papers["paper"].values
            },
            learning_rate_log_sd=float(papers["learning_rate_log_sd"]),
            batch_tokens_log_sd=float(papers["batch_tokens_log_sd"]),
            without_law={
                law: _decision(name, other.sel(problem=name), info, {}, Advice(), {}) for law, other in without.items()
            },
        )
    return advised


def _changes(part: xr.Dataset) -> tuple[BreakEven, ...]:
    steps = (part.isel(change=number) for number in range(part.sizes["change"]))
    return tuple(
        BreakEven(
            int(step["from_num_experts"]),
            int(step["to_num_experts"]),
            float(step["break_even_tokens"]),
            Band.of(step["break_even_tokens_band"].values),
        )
        for step in steps
        if int(step["to_num_experts"])
    )
