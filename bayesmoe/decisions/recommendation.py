"""The recommended design: one size and token count for all draws, of lowest expected objective among those that meet the probability, with its risk."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.decisions.ties import tied_counts
from bayesmoe.planning.best_designs import best_designs, closest, finite_mean
from bayesmoe.planning.planner import UNITS
from bayesmoe.planning.store import PlanInfo
from bayesmoe.units import QUANTILES, TOKENS_PER_MILLION

TAIL = 0.95
MEASURES = ("mean", "q95", "cvar95", "worst")
"""Mean; 95% quantile; mean of the worst twentieth (CVaR); worst draw. All are the higher the worse."""


def taken(values: xr.DataArray, option: xr.DataArray) -> xr.DataArray:
    """Values of options at those of each expert count."""
    if "problem" not in values.dims:
        return values.isel(option=option)
    return xr.concat([values.sel(problem=p).isel(option=option.sel(problem=p)) for p in option["problem"].values], "problem")


def option_cost(plan: xr.Dataset) -> xr.DataArray:
    """What each fixed option costs by draw: training and serving of the demand, USD; without a demand USD per million output tokens."""
    serving = plan["option_serving_usd_per_million_tokens"].astype(float)
    if "lifetime_tokens" not in plan:
        return serving
    return plan["option_train_usd"].astype(float) + serving * plan["lifetime_tokens"] / TOKENS_PER_MILLION


def recommendations(plan: xr.Dataset) -> xr.Dataset:
    """Best fixed option of each expert count (:func:`best_designs`), and the best of all.

    Returns
    -------
    Dataset
        By ``problem`` and ``num_experts``: ``design_n_dense``, ``design_tokens``, ``design_top_k``, ``design_granularity``, ``design_p_feasible``,
        ``design_meets_probability``, ``tied`` (:func:`bayesmoe.decisions.ties.tied_counts`); ``design_objective`` by ``measure``; ``design_loss``, ``design_quantization_loss`` (where there is any), ``design_serving_usd_per_million_tokens``,
        ``design_train_usd``, ``design_train_gpu_hours`` and, with a demand, ``design_lifetime_usd`` by ``quantile``; ``design_mean_loss``,
        ``design_mean_train_usd`` and ``design_mean_cost``, the
        expected lifetime cost in USD or, without a demand, serving cost; ``design_loss_difference`` and ``design_cost_difference`` (the same cost)
        by ``quantile``, draw by draw less those of the ``closest`` design. By ``problem``: that count; ``recommended_by_measure`` by
        ``measure``, the expert count of least measure among those that meet the probability, 0 where none is; ``recommended``, that by the mean.
    """
    option = best_designs(plan)
    met = taken(plan["option_feasible"], option).mean("sample")
    found: dict[str, Any] = {
        f"design_{name}": taken(plan[f"option_{name}"], option) for name in ("n_dense", "tokens", "top_k", "granularity")
    }
    found |= {
        "design_p_feasible": met,
        "design_meets_probability": met >= PlanInfo.read(plan).scenario.tolerance.probability,
        "design_objective": measures(taken(plan["option_objective"], option)),
    }
    asked = ("loss", "quantization_loss", "serving_usd_per_million_tokens", "train_usd", "train_gpu_hours")
    names = [name for name in asked if f"option_{name}" in plan]
    outcomes = xr.Dataset({name: taken(plan[f"option_{name}"], option).astype(float) for name in names})
    cost = taken(option_cost(plan), option)
    if "lifetime_tokens" in plan:
        outcomes["lifetime_usd"] = cost
    found |= {f"design_{name}": band.assign_attrs(units=UNITS[str(name)]) for name, band in bands(outcomes).items()}
    found |= {f"design_mean_{name}": outcomes[name].mean("sample") for name in ("loss", "train_usd")}
    found["design_mean_cost"] = cost.mean("sample")
    ranked = found["design_objective"].where(found["design_meets_probability"]).fillna(np.inf)
    sure = np.isfinite(ranked).any("num_experts")
    found["recommended_by_measure"] = ranked.idxmin("num_experts").where(sure, 0).astype(int)
    found["recommended"] = found["recommended_by_measure"].sel(measure="mean", drop=True)
    found["tied"] = tied_counts(plan, found["recommended"])
    found["closest"] = _closest(plan, found)
    cost_name = "lifetime_usd" if "lifetime_tokens" in plan else "serving_usd_per_million_tokens"
    each = xr.Dataset({"loss": outcomes["loss"], "cost": outcomes[cost_name]})
    apart = bands(each - each.sel(num_experts=found["closest"]))
    found |= {f"design_{name}_difference": band for name, band in apart.items()}
    return xr.Dataset(found)


def _closest(plan: xr.Dataset, found: dict[str, Any]) -> xr.DataArray:
    """Expert count of the recommended design or, where there is none, of the one that comes closest."""
    possible = plan["option_feasible"].any("option").mean("sample").values
    probability, counts, chosen = PlanInfo.read(plan).scenario.tolerance.probability, plan["num_experts"].values, []
    for p, recommended in enumerate(found["recommended"].values):
        met, loss = (found[name].isel(problem=p).values for name in ("design_p_feasible", "design_mean_loss"))
        objective = found["design_objective"].isel(problem=p).sel(measure="mean").values
        if not met.any():
            objective, met = loss, np.ones(len(counts))
        chosen.append(recommended or counts[closest(objective, met, probability, possible[p])])
    return xr.DataArray(np.array(chosen), dims="problem", coords={"problem": plan["problem"]})


def bands(values: xr.Dataset) -> xr.Dataset:
    """:data:`QUANTILES` over the samples in which a value is known; NaN where it is in none."""
    found = {}
    for name, one in values.data_vars.items():
        dims = [dim for dim in one.dims if dim != "sample"]
        rows = one.transpose(*dims, "sample").values
        known, quantiles = np.isfinite(rows).all(axis=-1), np.full((len(QUANTILES), *rows.shape[:-1]), np.nan)
        # Looking for NaN takes row by row; most rows have none, and are sorted together.
        quantiles[:, known] = np.quantile(rows[known], QUANTILES, axis=-1)
        some = ~known & np.isfinite(rows).any(axis=-1)
        if some.any():
            quantiles[:, some] = np.nanquantile(np.where(np.isfinite(rows[some]), rows[some], np.nan), QUANTILES, axis=-1)
        found[name] = (("quantile", *dims), quantiles)
    coords = {name: coord for name, coord in values.coords.items() if "sample" not in coord.dims}
    return xr.Dataset(found, coords={**coords, "quantile": list(QUANTILES)})


def measures(values: xr.DataArray) -> xr.DataArray:
    """:data:`MEASURES` over samples. The mean is over draws where the value is known; the others are infinite where too many are not."""
    axis = values.get_axis_num("sample")
    each = np.moveaxis(np.where(np.isfinite(values), values.astype(float), np.inf), axis, -1)
    count = each.shape[-1]
    first = min(int(np.ceil(TAIL * count)), count - 1)
    ordered = np.partition(each, first, axis=-1)
    tail = ordered[..., first:]
    stacked = np.stack([finite_mean(each), ordered[..., first], tail.mean(-1), tail.max(-1)], axis=-1)
    dims = [dim for dim in values.dims if dim != "sample"]
    coords = {dim: values[dim] for dim in dims if dim in values.coords}
    return xr.DataArray(stacked, dims=(*dims, "measure"), coords={**coords, "measure": list(MEASURES)})
