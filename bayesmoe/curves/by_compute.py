"""From the runs to a recommended design: the law's loss as that design is grown to its size."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.architecture import train_flop
from bayesmoe.decisions.decision import Decision
from bayesmoe.inference.predict import predict
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.store import PlanInfo
from bayesmoe.precision import in_float64
from bayesmoe.units import QUANTILES

_POINTS, _LEAST_SPAN = 25, 2.0


@in_float64
def loss_by_compute(fit: xr.DataTree, plan: xr.Dataset, decision: Decision) -> xr.Dataset:
    """Loss of the recommended architecture from the smallest run's compute to its own, parameters and tokens growing alike.

    ``n_dense = n* s``, ``tokens = D* s`` with ``train_flop = 6 n_active tokens``, so that tokens a parameter stay those of the design.

    Parameters
    ----------
    fit, plan : DataTree, Dataset
        A fit, and a plan on it.
    decision : Decision
        Of one of its problems: the recommended design or, where there is none, the closest.

    Returns
    -------
    Dataset
        ``loss`` by ``train_flop`` (FLOP) and ``quantile``, without the noise of a run; by ``run``: ``run_loss``, ``run_flop`` and ``run_num_experts``;
        ``threshold`` by ``quantile``, the loss that the problem asks for, NaN where it asks for none. Losses in nats per token. Attributes ``problem``,
        ``num_experts``, and whether it is ``recommended``.

    Examples
    --------
    >>> bm.plots.loss_by_compute(loss_by_compute(dt, plan, bm.decide(plan, dt).main))  # doctest: +SKIP
    """
    design, scenario, fixed = decision.closest.design, decision.scenario, PlanInfo.read(plan).fixed_tokens
    runs = _runs(fit)
    known = float(runs["run_flop"].min()) if bool(runs["run_flop"].notnull().any()) else np.inf
    least = min(known, train_flop(design.n_active, design.tokens) / _LEAST_SPAN)
    family = scenario.architecture.family(design.top_k, design.granularity)
    scale = np.geomspace(np.sqrt(least / train_flop(design.n_active, design.tokens)), 1.0, _POINTS)
    rows = [family.run(design.n_dense * s, fixed or design.tokens * s, float(design.num_experts)) for s in scale]
    frame = pd.DataFrame([{name: float(value) for name, value in row.items()} for row in rows])
    losses = predict(fit, frame, group=scenario.choices.group)["expected"]
    found = losses.quantile(list(QUANTILES), "sample").rename(run="train_flop").transpose("train_flop", "quantile")
    threshold = np.full(len(QUANTILES), np.nan)
    if decision.problem.threshold == "loss" and "threshold_loss" in plan:
        threshold = np.quantile(np.ravel(plan["threshold_loss"].values), QUANTILES)
    return runs.assign(
        loss=found.assign_coords(
            train_flop=train_flop(frame["n_active"].to_numpy(), frame["tokens"].to_numpy())
        ).assign_attrs(units="nats/token"),
        threshold=("quantile", threshold),
    ).assign_attrs(
        problem=decision.problem.name,
        num_experts=design.num_experts,
        recommended=int(decision.recommended is not None),
    )


def _runs(fit: xr.DataTree) -> xr.Dataset:
    """Compute, NaN where the table does not say it, loss and expert count of the runs of a fit."""
    read, observed = fit["constant_data"].dataset, fit["observed_data"].dataset[FitInfo.read(fit).response]
    size = next((read[name] for name in ("n_active", "n_dense") if name in read), None)
    if size is not None and "tokens" in read:
        flop = train_flop(size, read["tokens"])
    else:
        flop = read.get("train_flop", xr.full_like(observed, np.nan))
    experts = read["num_experts"] if "num_experts" in read else xr.ones_like(flop)
    return xr.Dataset({"run_flop": flop, "run_loss": observed, "run_num_experts": experts})
