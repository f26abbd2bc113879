"""Risk of a plan: bands, probability of being best, expected regret, and the near-optimal set."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmoe.architecture import train_flop
from bayesmoe.decisions.recommendation import bands, recommendations
from bayesmoe.decisions.total_cost import total_cost
from bayesmoe.planning.planner import UNITS
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.store import PlanInfo

_DESIGNED = ("n_dense", "tokens", "top_k", "granularity")


def risk(plan: xr.Dataset) -> xr.Dataset:
    """Summarize a plan over its draws.

    Regret is that of an expert count with its size chosen anew in each draw: the objective less the lowest objective of any feasible
    count in the same draw. Bands and expectations are over the draws where a count is feasible; ``p_feasible`` says how many.

    Parameters
    ----------
    plan : Dataset
        A plan from :func:`bayesmoe.planning.planner.plan`.

    Returns
    -------
    Dataset
        By ``problem`` and ``num_experts``: the plan's quantities, and those at the loss optimum, at ``quantile`` 0.05, 0.5, 0.95; ``p_feasible``; ``p_best``
        (sums to the probability that any count is feasible); ``expected_objective``; ``expected_regret`` and
        ``regret_tolerance`` in the objective's unit; ``near_optimal``. By ``problem``: ``per_draw_choice``, the expert count of lowest
        expected regret among those feasible with the scenario's probability, 0 when there is none; ``p_any_feasible``. By ``num_experts``:
        ``p_optimum_inside``, how often the lowest loss on the budget lies inside all sizes considered.

    Examples
    --------
    >>> bm.risk(plan)["p_best"].dims
    ('problem', 'num_experts')
    """
    tolerance = PlanInfo.read(plan).scenario.tolerance
    feasible = plan["feasible"]
    problems = [problem_named(str(name)) for name in plan["problem"].values]
    objective = xr.concat([plan[p.objective].sel(problem=p.name) for p in problems], "problem")
    least = objective.min("num_experts")
    filled = objective.fillna(np.inf)
    best = (filled == filled.min("num_experts")) & feasible
    p_feasible = feasible.mean("sample")
    expected_regret = (objective - least).mean("sample")
    is_loss = xr.DataArray([p.objective == "loss" for p in problems], coords={"problem": plan["problem"]})
    allowed = xr.where(is_loss, tolerance.loss_nats, tolerance.cost_share * least.mean("sample"))
    sure = p_feasible >= tolerance.probability
    ranked = expected_regret.where(sure)
    choice = ranked.fillna(np.inf).idxmin("num_experts").where(sure.any("num_experts"), 0)
    near = sure & (ranked - ranked.min("num_experts") <= allowed)
    optimal = [str(name) for name in plan.data_vars if str(name).startswith("loss_optimal_") and plan[name].dtype != bool]
    asked = [name for name in (*UNITS, *optimal) if name in plan]
    summary = bands(plan[asked]).assign(
        p_feasible=p_feasible,
        # Ties share the draw.
        p_best=(best / best.sum("num_experts").clip(min=1)).mean("sample"),
        expected_objective=objective.mean("sample"),
        expected_regret=expected_regret,
        regret_tolerance=allowed,
        near_optimal=near,
        per_draw_choice=choice.astype(int),
        p_any_feasible=feasible.any("num_experts").mean("sample"),
        p_optimum_inside=plan["loss_optimal_inside"].mean("sample"),
    )
    for name in summary.data_vars:
        unit = UNITS.get(str(name).removeprefix("loss_optimal_"))
        summary[name].attrs = {"units": unit} if unit else {}
    return xr.merge([summary, recommendations(plan), total_cost(plan)], combine_attrs="drop_conflicts").assign_attrs(
        plan.attrs
    )


def extrapolation_factors(fit: xr.DataTree, summary: xr.Dataset) -> dict[str, float]:
    """Times the largest run at which the recommended designs of a plan, or the closest, lie, worst over problems, by column of the run table."""
    runs = fit["constant_data"].dataset
    trained = {str(name): float(values.max()) for name, values in runs.data_vars.items() if values.dtype.kind == "f"}
    # Sources count compute by rules of their own, so both sides are counted anew by one.
    trained.pop("train_flop", None)
    if {"n_active", "tokens"} <= set(trained):
        trained["train_flop"] = train_flop(float((runs["n_active"] * runs["tokens"]).max()))
    worst: dict[str, float] = {}
    architecture = PlanInfo.read(summary).scenario.architecture
    for problem in summary["problem"].values:
        part = summary.sel(problem=problem)
        count = int(part["closest"])
        row = {name: float(part[f"design_{name}"].sel(num_experts=count)) for name in _DESIGNED}
        family = architecture.family(round(row["top_k"]), row["granularity"])
        run = family.run(row["n_dense"], row["tokens"], float(count))
        target = {name: float(run[name]) for name in ("n_dense", "n_active", "tokens")}
        target |= {"num_experts": float(count), "train_flop": train_flop(target["n_active"], target["tokens"])}
        for name, value in target.items():
            if name in trained:
                worst[name] = max(value / trained[name], worst.get(name, 0.0))
    return worst


def without_each_law(plan: xr.Dataset) -> dict[str, xr.Dataset]:
    """Risk of a plan on an average of laws without each of them; empty for a plan on one law."""
    laws = plan["law"].values
    names = dict.fromkeys(map(str, laws))
    if len(names) < 2:
        return {}
    return {name: risk(plan.isel(sample=laws != name)) for name in names}
