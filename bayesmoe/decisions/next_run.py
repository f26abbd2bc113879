"""The next run worth training: what each affordable run would say, what that is worth to the plan, and what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.costs.training import gpu_usd
from bayesmoe.decisions.recommendation import recommendations
from bayesmoe.decisions.run_plan import verdict
from bayesmoe.decisions.total_cost import required_money
from bayesmoe.decisions.value_of_information import Stakes, Worth, batches, sample, stakes, together
from bayesmoe.errors import InputError
from bayesmoe.inference.ensemble import components
from bayesmoe.inference.model import noisy
from bayesmoe.inference.predict import noise_of
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.design_costs import seconds_per_flop, usual_flop
from bayesmoe.planning.precision_draws import PrecisionDraws
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.store import PlanInfo
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.precision import in_float64
from bayesmoe.progress import Progress
from bayesmoe.units import QUANTILES, SECONDS_PER_HOUR

SHARE = 0.1
"""Compute of the most expensive candidate over the plan's budget, unless given."""

_LEVELS, _RATIOS = (1.0, 1 / 3, 1 / 10, 1 / 30), (1.0, 4.0)
_MANY = 40
"""Candidates that batches are made of: the best by themselves."""


@in_float64
def next_runs(
    fit: xr.DataTree,
    plan: xr.Dataset | Sequence[xr.Dataset],
    *,
    problem: str | None = None,
    max_flop: float | None = None,
    batch: int = 1,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> xr.Dataset:
    """Candidate runs, ranked by their value (EVSI) less their cost.

    Candidates have every architecture of the scenario, four levels of compute from a thirtieth of ``max_flop`` up, and the loss-optimal
    tokens or, at the same compute, four times as many per parameter. Each draw of the posterior predicts a loss for each of them, with
    the noise of a run; what the plan's options cost in that draw is regressed on it (:mod:`bayesmoe.decisions.value_of_information`).

    Parameters
    ----------
    fit : DataTree
        The fit that was planned on.
    plan : Dataset or sequence of Dataset
        Its plan, of a scenario that says how many tokens will be served; or those of a roadmap, the next budget first, to all of which a
        run is worth what it is to each.
    problem : str, optional
        Whose regret counts; the scenario's goal where left out.
    max_flop : float, optional
        Compute of the most expensive candidate; a tenth of the plan's budget where left out.
    batch : int
        How many runs to choose together.
    on_progress : callable
        Called as candidates are valued.

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
    plans = [plan] if isinstance(plan, xr.Dataset) else list(plan)
    asked, of = _stakes(plans, problem, batch)
    scenario = PlanInfo.read(plans[0]).scenario
    laws = surfaces(fit, scenario, elsewhere=True)
    most = _most_flop(laws, max_flop)
    frame = _candidates(laws, most)
    losses = _predicted(fit, laws, frame, scenario.choices.group)
    found = _ranking(_priced(frame, laws), losses, of, batch, on_progress)
    found.attrs = {"problem": asked, "max_flop": most, "draws": len(of[0].kept), "budgets": len(plans)}
    found.attrs["recommended_num_experts"] = next(filter(None, (_recommended(one, asked) for one in plans)), 0)
    return found


def _ranking(
    frame: pd.DataFrame, losses: np.ndarray, of: tuple[Stakes, ...], batch: int, on_progress: Callable[[Progress], None]
) -> xr.Dataset:
    """Candidates with what each is worth, best first, and the batch."""

    def worth_of(numbers: list[int]) -> Worth:
        return together(sample(one, losses[np.ix_(one.kept, numbers)]) for one in of)

    worth = []
    for number in range(len(frame)):
        on_progress(Progress("valuing runs", number, len(frame)))
        worth.append(worth_of([number]))
    usd, error = (np.array([getattr(one, name) for one in worth]) for name in ("usd", "se_usd"))
    frame = frame.assign(evsi_usd=usd, evsi_se_usd=error, net_usd=usd - frame["train_usd"])
    frame["verdict"] = list(map(verdict, usd, error, frame["train_usd"]))
    order = frame["net_usd"].to_numpy().argsort(kind="stable")[::-1]
    frame, losses = frame.iloc[order], losses[:, order]
    found = xr.Dataset({name: ("run", frame[name].to_numpy()) for name in frame})
    found["loss"] = (("quantile", "run"), np.quantile(losses, QUANTILES, axis=0), {"units": "nats/token"})
    paid = frame["train_usd"].to_numpy()
    added, values = zip(*batches(worth_of, paid[:_MANY].tolist(), batch), strict=True)
    so_far = {
        "run": np.array(added),
        "evsi_usd": np.array([value.usd for value in values]),
        "evsi_se_usd": np.array([value.se_usd for value in values]),
        "train_usd": paid[list(added)].cumsum(),
    }
    found = found.assign({f"batch_{name}": ("added", column) for name, column in so_far.items()})
    return found.assign(evpi_usd=sum(one.evpi_usd for one in of)).assign_coords(quantile=list(QUANTILES))


def _recommended(plan: xr.Dataset, problem: str) -> int:
    return int(recommendations(plan)["recommended"].sel(problem=problem))


def _most_flop(laws: dict[str, DesignSurface], max_flop: float | None) -> float:
    """Compute of the most expensive candidate."""
    most = SHARE * _median(usual_flop(here) for here in laws.values()) if max_flop is None else max_flop
    if not 0.0 < most < np.inf:
        raise InputError("must be a positive number", column="max_flop", value=most)
    return most


def _priced(frame: pd.DataFrame, laws: dict[str, DesignSurface]) -> pd.DataFrame:
    """Candidates with what each costs, at the medians of price and throughput.

    Where throughput is by size, that of each architecture at its loss optimum on the budget: a smaller run takes a smaller part of the cluster.
    """
    seconds, usd = [], []
    for here in laws.values():
        by_size = here.cost_draws.throughput is not None
        each = np.asarray(seconds_per_flop(here, here.loss_optimal() if by_size else jnp.zeros(here.shape)))
        seconds.append(np.broadcast_to(each, here.shape))
        usd.append(gpu_usd(seconds[-1], np.asarray(here.cost_draws.training["price_usd_per_gpu_hour"])))
    per_flop, of_time = (np.median(np.concatenate(each), axis=0)[frame["candidate"]] for each in (usd, seconds))
    flop = frame["train_flop"]
    return frame.assign(train_usd=flop * per_flop, gpu_hours=flop * of_time / SECONDS_PER_HOUR)


def _median(draws: Iterable[Any]) -> float:
    return float(np.median(np.concatenate([np.ravel(np.asarray(values)) for values in draws])))


def _stakes(plans: Sequence[xr.Dataset], problem: str | None, batch: int) -> tuple[str, tuple[Stakes, ...]]:
    """The problem whose regret counts, and what is at stake in it, by plan; of plans without a recommendation nothing is, if others have one."""
    if batch < 1:
        raise InputError("must be at least 1", column="batch", value=batch)
    planned = [str(name) for name in plans[0]["problem"].values]
    totals = [required_money(plan).total for plan in plans]
    asked = PlanInfo.read(plans[0]).goal if problem is None else problem_named(problem).name
    if asked not in planned:
        raise InputError("is not a problem of this plan", column="problem", value=asked, hint=f"one of {', '.join(planned)}")
    sound = [total for plan, total in zip(plans, totals, strict=True) if _recommended(plan, asked)]
    return asked, tuple(stakes(total.sel(problem=asked)) for total in sound or totals)


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
        # A run is seen as it is trained, at 16 bits as all before it, and not as the model will be served.
        trained = dataclasses.replace(here, cost_draws=here.cost_draws._replace(precision=PrecisionDraws()))
        sorted_losses = np.asarray(trained.loss(jnp.log(ln_size), tokens)).reshape(here.shape[0], -1)
        losses = np.empty_like(sorted_losses)
        losses[:, order] = sorted_losses
        found.append(noisy(losses, *noise_of(by_member[name].fit, frame, losses), rng))
    return np.concatenate(found)
