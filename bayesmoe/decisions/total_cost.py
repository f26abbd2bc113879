"""What fixed options cost in all, in USD: the common unit of regret and of the value of information."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.decisions.recommendation import measures, recommendations, taken
from bayesmoe.errors import InputError
from bayesmoe.planning.best_designs import best_designs
from bayesmoe.planning.problems import OBJECTIVES, problem_named
from bayesmoe.planning.scenario import DEMAND_HINT
from bayesmoe.planning.store import PlanInfo
from bayesmoe.units import TOKENS_PER_MILLION

SERVING = "serving_usd_per_million_tokens"


class Money(NamedTuple):
    """What fixed options cost.

    Attributes
    ----------
    total : DataArray
        USD by ``problem``, ``option``, ``sample``.
    usd_per_nat : DataArray
        What a loss lower by one nat per token is worth, by ``problem``.
    """

    total: xr.DataArray
    usd_per_nat: xr.DataArray


def money(plan: xr.Dataset) -> Money | None:
    """Money that each fixed option costs in each draw; None where the scenario does not say how much will be served.

    ``J = gain + price violation``. An objective in USD is the gain as it is, serving times the tokens served in all; a loss is worth
    ``usd_per_nat``, the scenario's or, without one, the median of what training buys a nat for at the margin. A violation is the loss above
    the threshold, at that price, or the serving cost above the threshold for all tokens served, at its face value. Where the scenario puts no worth on
    a nat, the price is at least what keeping the threshold implies: so high that no option of more violation costs less than the one chosen.
    An option that nothing serves in a draw costs as much there as the worst that is served.
    """
    if "lifetime_tokens" not in plan:
        return None
    served, given = plan["lifetime_tokens"] / TOKENS_PER_MILLION, PlanInfo.read(plan).scenario.value.usd_per_nat
    nat = _marginal(plan["usd_per_nat"].values) if given is None else given
    best = best_designs(plan)
    totals, worth = [], []
    for name in plan["problem"].values:
        problem, part = problem_named(str(name)), plan.sel(problem=name)
        loss, serving = part["option_loss"].astype(float), part[f"option_{SERVING}"].astype(float)
        in_loss = problem.objective == "loss"
        if in_loss:
            gain, price = nat * loss, 1.0
            above = (
                served * (serving - plan[f"threshold_{SERVING}"]).clip(min=0.0)
                if problem.threshold == SERVING
                else 0.0 * loss
            )
        else:
            bought = part["option_train_usd"].astype(float) if OBJECTIVES[problem.objective].includes_training else 0.0
            gain, price = served * serving + bought, nat
            above = (loss - plan["threshold_loss"]).clip(min=0.0)
        if given is None:
            price = max(price, _implied(gain, above, part, best.sel(problem=name)))
        total = gain + price * above
        known = np.isfinite(total)
        totals.append(total.where(known, total.where(known).max("option")))
        worth.append(nat if in_loss else price)
    return Money(
        xr.concat(totals, "problem").transpose("problem", "option", "sample").assign_attrs(units="USD"),
        xr.DataArray(worth, dims="problem", coords={"problem": plan["problem"]}, attrs={"units": "USD per nat/token"}),
    )


def required_money(plan: xr.Dataset) -> Money:
    """:func:`money` of a plan that must know it.

    Raises
    ------
    InputError
        The scenario does not say how much will be served.
    """
    known = money(plan)
    if known is None:
        raise InputError("is needed to put money on a regret", column="serving.lifetime_tokens", hint=DEMAND_HINT)
    return known


def total_cost(plan: xr.Dataset) -> xr.Dataset:
    """Risk of the best fixed option of each expert count in USD; empty where money is not known.

    Returns
    -------
    Dataset
        By ``problem`` and ``num_experts``: ``design_total_usd`` by ``measure``; ``design_regret_usd``, the expected excess over the best option of
        each draw. By ``problem``: ``usd_per_nat``; ``evpi_usd``.
    """
    known = money(plan)
    if known is None:
        return xr.Dataset()
    own = taken(known.total, best_designs(plan))
    return xr.Dataset(
        {
            "design_total_usd": measures(own).assign_attrs(units="USD"),
            "design_regret_usd": (own - known.total.min("option")).mean("sample").assign_attrs(units="USD"),
            "usd_per_nat": known.usd_per_nat,
            "evpi_usd": evpi_usd(known.total),
        }
    )


def option_regret(plan: xr.Dataset) -> xr.Dataset:
    """Expected regret of every fixed option, for a map; empty where money is not known.

    Returns
    -------
    Dataset
        By ``problem`` and ``option``: ``regret_usd``, the expected excess over the best option of each draw; ``n_dense``; ``sure``, whether every constraint is kept
        with the scenario's probability; ``chosen``, the recommended option. ``num_experts`` by ``option``.
    """
    known = money(plan)
    if known is None:
        return xr.Dataset()
    choice, best = recommendations(plan)["recommended"], best_designs(plan)
    signed = [
        int(best.sel(problem=p, num_experts=int(n))) if n else -1
        for p, n in zip(choice["problem"].values, choice.values, strict=True)
    ]
    chosen = np.arange(plan.sizes["option"]) == np.array(signed)[:, None]
    return xr.Dataset(
        {
            "regret_usd": (known.total - known.total.min("option")).mean("sample").assign_attrs(units="USD"),
            "n_dense": plan["option_n_dense"],
            "sure": plan["option_feasible"].mean("sample") >= PlanInfo.read(plan).scenario.tolerance.probability,
            "chosen": (("problem", "option"), chosen),
            "num_experts": plan["option_num_experts"],
        },
        coords={"problem": plan["problem"]},
    )


def evpi_usd(total: xr.DataArray) -> xr.DataArray:
    """Expected value of perfect information: ``min_o E[J_o] - E[min_o J_o]``, USD; draws in which nothing is known are left out."""
    known = xr.apply_ufunc(np.isfinite, total).all("option")
    mean, least = total.where(known).mean("sample").min("option"), total.min("option").where(known).mean("sample")
    # The mean of the least never exceeds the least mean; rounding may.
    return (mean - least).clip(min=0.0).assign_attrs(units="USD")


def _marginal(bought: np.ndarray) -> float:
    known = bought[np.isfinite(bought) & (bought > 0)]
    return float(np.median(known)) if len(known) else 0.0


def _implied(gain: xr.DataArray, above: xr.DataArray, part: xr.Dataset, best: xr.DataArray) -> float:
    """Least price of a violation at which the chosen option costs no more than any of more violation; 0 where none meets the probability."""
    probability = PlanInfo.read(part).scenario.tolerance.probability
    expected = part["option_objective"].where(np.isfinite(part["option_objective"])).mean("sample").values[best.values]
    sure = part["option_feasible"].mean("sample").values[best.values] >= probability
    if not (sure & np.isfinite(expected)).any():
        return 0.0
    chosen = best.values[np.argmin(np.where(sure, expected, np.inf))]
    costs, violated = (each.where(np.isfinite(each)).mean("sample").values for each in (gain, above))
    more, less = violated - violated[chosen], costs[chosen] - costs
    asks = (more > 1e-12) & (less > 0)
    return float(np.max(less[asks] / more[asks])) if asks.any() else 0.0
