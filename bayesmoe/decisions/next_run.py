"""The next run worth training: what each affordable run would say, what that is worth to the plan, and what it costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.decisions.recommendation import recommendations
from bayesmoe.decisions.run_plan import verdict
from bayesmoe.decisions.total_cost import required_money
from bayesmoe.decisions.value_of_information import Stakes, batches, sample, stakes
from bayesmoe.errors import InputError
from bayesmoe.inference.ensemble import components
from bayesmoe.inference.model import noisy
from bayesmoe.inference.predict import noise_of
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.store import PlanInfo
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.precision import in_float64
from bayesmoe.units import QUANTILES, SECONDS_PER_HOUR

SHARE = 0.1
"""Compute of the most expensive candidate over the plan's budget, unless given."""

_LEVELS, _RATIOS = (1.0, 1 / 3, 1 / 10, 1 / 30), (1.0, 4.0)
_MANY = 40
"""Candidates that batches are made of: the best by themselves."""


@in_float64
def next_runs(
    fit: xr.DataTree, plan: xr.Dataset, *, problem: str | None = None, max_flop: float | None = None, batch: int = 1
) -> xr.Dataset:
    """Candidate runs, ranked by their value (EVSI) less their cost.

    Candidates have every architecture of the scenario, four levels of compute from a thirtieth of ``max_flop`` up, and the loss-optimal
    tokens or, at the same compute, four times as many per parameter. Each draw of the posterior predicts a loss for each of them, with
    the noise of a run; what the plan's options cost in that draw is regressed on it (:mod:`bayesmoe.decisions.value_of_information`).

    Parameters
    ----------
    fit : DataTree
        The fit that was planned on.
    plan : Dataset
        Its plan, of a scenario that says how many tokens will be served.
    problem : str, optional
        Whose regret counts; the plan's first problem where left out.
    max_flop : float, optional
        Compute of the most expensive candidate; a tenth of the plan's budget where left out.
    batch : int
        How many runs to choose together.

    Returns
    -------
    Dataset
        By ``run``, best first: ``num_experts``, ``top_k``, ``granularity``, ``n_dense``, ``n_active``, ``n_total``, ``tokens``, ``train_flop``, ``train_usd``
        and ``gpu_hours`` (medians), ``loss`` by ``quantile``, ``evsi_usd``, ``evsi_se_usd``, ``net_usd``, ``verdict``
        (:func:`bayesmoe.decisions.run_plan.verdict`). By ``added``: ``batch_run``, the runs of the batch in the order in which they were added, and
        ``batch_evsi_usd``, ``batch_evsi_se_usd`` and ``batch_train_usd`` of the batch up to it. ``evpi_usd``. Attribute ``recommended_num_experts``: what the
        plan recommends, 0 where it recommends nothing.

    Raises
    ------
    InputError
        The scenario does not say how much will be served, the problem is not of the plan, or no compute is left for a run.

    Examples
    --------
    >>> bm.plots.next_run_value(bm.next_runs(dt, plan))  # doctest: +SKIP
    """
    asked, of = _stakes(plan, problem)
    if batch < 1:
        raise InputError("must be at least 1", column="batch", value=batch)
    laws = surfaces(fit, PlanInfo.read(plan).scenario, elsewhere=True)
    most = SHARE * _median(here.budget_flop for here in laws.values()) if max_flop is None else max_flop
    if not 0.0 < most < np.inf:
        raise InputError("must be a positive number", column="max_flop", value=most)
    frame = _candidates(laws, most)
    losses = _predicted(fit, laws, frame, PlanInfo.read(plan).scenario.choices.group)
    frame = _valued(frame, laws, of, losses)
    order = frame["net_usd"].to_numpy().argsort(kind="stable")[::-1]
    frame, losses = frame.iloc[order], losses[:, order]
    found = xr.Dataset({name: ("run", frame[name].to_numpy()) for name in frame}).assign(evpi_usd=of.evpi_usd)
    found["loss"] = (("quantile", "run"), np.quantile(losses, QUANTILES, axis=0), {"units": "nats/token"})
    found = found.assign(_batch(of, losses[of.kept, :_MANY], frame["train_usd"].to_numpy(), batch))
    count = int(recommendations(plan)["recommended"].sel(problem=asked))
    about = {"problem": asked, "max_flop": most, "draws": len(of.kept), "recommended_num_experts": count}
    return found.assign_coords(quantile=list(QUANTILES)).assign_attrs(about)


def _valued(frame: pd.DataFrame, laws: dict[str, DesignSurface], of: Stakes, losses: np.ndarray) -> pd.DataFrame:
    """Candidates with what each costs and is worth."""
    frame = frame.copy()
    frame["train_usd"] = frame["train_flop"] * _median(here.usd_per_flop for here in laws.values())
    worth = [sample(of, losses[of.kept, number, None]) for number in range(len(frame))]
    frame["evsi_usd"], frame["evsi_se_usd"] = [one.usd for one in worth], [one.se_usd for one in worth]
    frame["net_usd"] = frame["evsi_usd"] - frame["train_usd"]
    frame["gpu_hours"] = (
        frame["train_flop"]
        * _median(1.0 / (_peak(here) * here.cost_draws.training["mfu"]) for here in laws.values())
        / SECONDS_PER_HOUR
    )
    frame["verdict"] = list(map(verdict, frame["evsi_usd"], frame["evsi_se_usd"], frame["train_usd"]))
    return frame


def _batch(of: Stakes, losses: np.ndarray, train_usd: np.ndarray, size: int) -> dict[str, tuple[str, np.ndarray]]:
    """Runs of a batch in the order in which they are added, with value and cost of the batch up to each."""
    added, values = zip(*batches(of, losses, train_usd.tolist(), size), strict=True)
    known = {
        "batch_run": np.array(added),
        "batch_evsi_usd": np.array([value.usd for value in values]),
        "batch_evsi_se_usd": np.array([value.se_usd for value in values]),
        "batch_train_usd": train_usd[list(added)].cumsum(),
    }
    return {name: ("added", column) for name, column in known.items()}


def _peak(here: DesignSurface) -> float:
    return accelerator_named(here.scenario.training.accelerator).peak_flop_per_s


def _median(draws: Iterable[Any]) -> float:
    return float(np.median(np.concatenate([np.ravel(np.asarray(values)) for values in draws])))


def _stakes(plan: xr.Dataset, problem: str | None) -> tuple[str, Stakes]:
    """The problem whose regret counts, and what is at stake in it."""
    known = required_money(plan)
    planned = [str(name) for name in plan["problem"].values]
    asked = planned[0] if problem is None else problem_named(problem).name
    if asked not in planned:
        raise InputError("is not a problem of this plan", column="problem", value=asked, hint=f"one of {', '.join(planned)}")
    return asked, stakes(known.total.sel(problem=asked))


def _candidates(laws: dict[str, DesignSurface], most: float) -> pd.DataFrame:
    first = next(iter(laws.values()))
    ratios = _RATIOS if first.fixed_tokens is None else (1.0,)
    rows: list[dict[str, Any]] = []
    for level in _LEVELS:
        flop = most * level
        optimal = np.median(
            np.concatenate([np.asarray(here.on_budget(flop).loss_optimal()) for here in laws.values()]), axis=0
        )
        for number, candidate in enumerate(first.candidates):
            for ratio in ratios:
                size = float(np.exp(optimal[number])) / np.sqrt(ratio)
                shape = first.scenario.architecture.shape(size, *candidate)
                family = first.scenario.architecture.family(candidate.top_k, candidate.granularity)
                per_token = family.train_flop_per_token(
                    shape.n_dense, float(candidate.num_experts), first.scenario.training.flop_rule
                )
                tokens = first.fixed_tokens or flop / per_token
                run = family.run(shape.n_dense, tokens, float(candidate.num_experts))
                own = {
                    name: float(run[name]) for name in ("n_dense", "n_active", "n_total", "top_k", "granularity", "tokens")
                }
                rows.append(
                    {"num_experts": candidate.num_experts, **own, "train_flop": per_token * tokens, "candidate": number}
                )
    return pd.DataFrame(rows)


def _predicted(fit: xr.DataTree, laws: dict[str, DesignSurface], frame: pd.DataFrame, group: str | None) -> np.ndarray:
    """A loss of every run in every draw, with the noise of a run, shape (S, run)."""
    first = next(iter(laws.values()))
    each = len(frame) // len(first.candidates)
    # Candidates by architecture, as a surface takes them.
    order = frame["candidate"].to_numpy().argsort(kind="stable")
    ln_size, tokens = (jnp.asarray(frame[name].to_numpy()[order].reshape(1, -1, each)) for name in ("n_dense", "tokens"))
    by_member, rng, found = components(fit), np.random.default_rng(0), []
    for name, here in laws.items():
        sorted_losses = np.asarray(here.loss(jnp.log(ln_size), tokens)).reshape(here.shape[0], -1)
        losses = np.empty_like(sorted_losses)
        losses[:, order] = sorted_losses
        found.append(noisy(losses, *noise_of(by_member[name].fit, frame, losses), rng))
    return np.concatenate(found)
