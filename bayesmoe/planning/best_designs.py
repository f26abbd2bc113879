"""Of the fixed options of a plan, the best of each expert count, and which of its limits it breaks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmoe.planning.outcomes import ConstraintLevels
from bayesmoe.planning.solve import Solver
from bayesmoe.planning.store import PlanInfo


def best_designs(plan: xr.Dataset) -> xr.DataArray:
    """Number of the best fixed option of each expert count, by ``problem`` and ``num_experts``.

    An option meets the probability when it keeps every constraint in at least the scenario's share of draws. Of these, that of the lowest
    expected objective is the best. Where a count has none, that which comes closest stands in, see :func:`closest`.
    """
    counts, of_option = plan["num_experts"].values, plan["option_num_experts"].values
    kept = plan["option_feasible"].values
    met, possible = kept.mean(axis=-1), kept.any(axis=1).mean(axis=-1)
    objective = finite_mean(plan["option_objective"].values)
    probability = PlanInfo.read(plan).scenario.tolerance.probability
    rows = []
    for p in range(plan.sizes["problem"]):
        of_counts = (np.flatnonzero(of_option == count) for count in counts)
        rows.append([own[closest(objective[p, own], met[p, own], probability, possible[p])] for own in of_counts])
    return xr.DataArray(
        np.array(rows), dims=("problem", "num_experts"), coords={"problem": plan["problem"], "num_experts": counts}
    )


def finite_mean(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis of what is finite."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(-1, dtype=float) / known.sum(-1)


def with_limits(plan: xr.Dataset, solver: Solver, levels: list[ConstraintLevels]) -> xr.Dataset:
    """The plan, with the limits that the best design of each expert count keeps, where no design of a problem keeps all with the required probability.

    Returns
    -------
    Dataset
        With ``limit_asked`` by ``problem`` and ``limit``, and by ``num_experts`` and ``sample`` too ``limit_kept`` and ``limit_needed``, see
        :class:`bayesmoe.planning.limits.Kept`; the plan as it was where every problem has a design.
    """
    best = best_designs(plan)
    met = plan["option_feasible"].mean("sample")
    open_ = [p for p, row in enumerate(best.values) if float(met[p, row].max()) < solver.probability]
    if not open_:
        return plan
    candidates = [one.num_experts for one in solver.laws[0].candidates]
    each = plan.sizes["option"] // len(candidates)
    sizes, tokens = [], []
    for p in open_:
        # A candidate that is not the best of its count is asked too, at its first option, and not used.
        option = np.arange(len(candidates)) * each
        option[best.values[p] // each] = best.values[p]
        sizes.append(np.log(plan["option_n_dense"].values[p, option])[:, None])
        tokens.append(plan["option_tokens"].values[p, option][:, None])
    asked = Solver(solver.laws, tuple(solver.problems[p] for p in open_), solver.probability)
    found = asked.limits(sizes, tokens, levels)
    keys = list(dict.fromkeys(key for one in found for key in one))
    shape = (plan.sizes["problem"], len(keys), plan.sizes["num_experts"], plan.sizes["sample"])
    kept, needed, known = np.ones(shape, bool), np.full(shape, np.nan, np.float32), np.zeros(shape[:2], bool)
    for p, limits in zip(open_, found, strict=True):
        candidate = best.values[p] // each
        for key, one in limits.items():
            at = (p, keys.index(key))
            known[at] = True
            kept[at], needed[at] = one.kept[:, candidate, 0].T, one.needed[:, candidate, 0].T
    dims = ("problem", "limit", "num_experts", "sample")
    added = {"limit_asked": (dims[:2], known), "limit_kept": (dims, kept), "limit_needed": (dims, needed)}
    return plan.assign(added).assign_coords(limit=keys)


def closest(objective: np.ndarray, met: np.ndarray, probability: float, possible: float) -> int:
    """Which of several designs is the best, or comes closest to being one.

    The lowest objective of those that keep every constraint with the probability that is asked; without any, of those that do in that share of
    the draws in which some design can; without any, of the most probable.

    Parameters
    ----------
    objective, met : array, shape (n,)
        Expected objective, NaN where unknown, and share of draws in which every constraint is kept.
    probability, possible : float
        Probability asked; share of draws in which some design of any expert count keeps every constraint.
    """
    for enough in (probability, probability * possible, met.max()):
        ranked = np.where((met >= enough) & np.isfinite(objective), objective, np.inf)
        if met.max() > 0.0 and np.isfinite(ranked).any():
            return int(np.argmin(ranked))
    return int(np.argmax(met))
