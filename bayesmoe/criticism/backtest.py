"""Backtest: fit to the smaller runs, forecast the larger, and count how often and how far the bands miss."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayesmoe.criticism.averaging import mixed, stacking_weights
from bayesmoe.criticism.baselines import huber_bootstrap, with_residuals
from bayesmoe.criticism.compare import HIGH_K
from bayesmoe.criticism.forward import Cut, axes_of, cuts
from bayesmoe.criticism.misfit import log_densities, misfit, miss_per_reach, predicted, prior_misfit
from bayesmoe.criticism.scores import log_score, scores
from bayesmoe.errors import InputError
from bayesmoe.inference.spec import FitSpec
from bayesmoe.inference.subsets import Subsets, with_law
from bayesmoe.laws import law_named
from bayesmoe.runs import RunTable

AVERAGE = "average of laws"
AVERAGE_ALONE = "average without misfit"
BASELINE = "Huber + bootstrap"

_DRAWS = 2000
_SCORE_DRAWS = 800
_EXPERT_LAWS = ("clark", "clark-unsaturated", "clark-bilinear", "yun", "house", "house-unsaturated", "ludziejewski", "wang")
_DENSE_LAWS = ("kaplan", "chinchilla", "nested", "gadre")


def default_laws(frame: pd.DataFrame, size: str) -> tuple[str, ...]:
    """Laws that a table can tell something about, by what varies in it.

    Laws with experts where their number varies, else laws of size and tokens. Laws without tokens only where tokens do not vary.

    Parameters
    ----------
    frame : DataFrame
        Runs.
    size : str
        Column of size.
    """
    axes = axes_of(frame, size)
    names = _EXPERT_LAWS if "num_experts" in axes else _DENSE_LAWS
    if "tokens" in axes:
        return tuple(name for name in names if "tokens" in law_named(name).covariates)
    return tuple(name for name in names if name not in ("house-unsaturated", "ludziejewski", "wang"))


class Loo(NamedTuple):
    """Expected log predictive density in nats, and the number of runs whose Pareto k makes it doubtful."""

    elpd: float
    doubtful: int


@dataclasses.dataclass(frozen=True)
class Backtest:
    """Forecasts of the runs held out, and what they were worth.

    Attributes
    ----------
    scores : dict of Dataset
        By forecaster: each law alone, each law with misfit, the average and the baseline; see :func:`bayesmoe.criticism.scores.scores`.
    draws : dict of array, shape (draw, run)
        Their draws, in nats per token.
    weights : dict of float
        Weight of each law in the average.
    misfits : dict of Dataset
        Each law's :func:`bayesmoe.criticism.misfit.misfit`.
    misses : dict of list of float
        By law, its miss as a share of reach: of the runs held out, then at each cut inside the runs seen.
    loo : dict of Loo
        By law, its PSIS-LOO on the runs seen.
    observed : array, shape (run,)
        Losses of the runs held out, nats per token.
    runs : array of str, shape (run,)
        Their names.
    times_beyond : dict of float
        By covariate, how many times the largest value seen the largest value asked is.
    budget_beyond : array, shape (run,)
        Each run's training compute, ``size * tokens``, over the largest seen.
    """

    scores: dict[str, xr.Dataset]
    draws: dict[str, np.ndarray]
    weights: dict[str, float]
    misfits: dict[str, xr.Dataset]
    misses: dict[str, list[float]]
    loo: dict[str, Loo]
    observed: np.ndarray
    runs: np.ndarray
    times_beyond: dict[str, float]
    budget_beyond: np.ndarray

    @property
    def loo_pick(self) -> str:
        """The law that PSIS-LOO prefers on the runs seen."""
        return max(self.loo, key=lambda name: self.loo[name].elpd)


def backtest(
    spec: FitSpec,
    table: RunTable,
    held: np.ndarray,
    *,
    laws: Sequence[str] = (),
    baseline: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Backtest:
    """Forecast the runs held out from the others.

    Each law is fitted to the runs seen, and to the smaller part of them at several cuts (:mod:`bayesmoe.criticism.forward`). Its
    misses there give its misfit, and the laws' scores there their weights. Nothing of the runs held out is used.

    Parameters
    ----------
    spec : FitSpec
        Groups, size and seed; its law is used when ``laws`` is empty and nothing is known better.
    table : RunTable
        All runs.
    held : array of bool, shape (n,)
        Runs held out, in the table's order.
    laws : sequence of str
        Laws of the average; :func:`default_laws` when empty.
    baseline : bool
        Whether to run Huber + bootstrap beside it.
    report : callable
        Called with a line per fit.

    Raises
    ------
    InputError
        Nothing or nearly everything is held out.
    """
    if held.sum() < 1 or (~held).sum() < 8:
        raise InputError(
            "leaves too little on one side",
            column="--hold-out",
            value=f"{int(held.sum())} of {len(held)} runs held out",
            cure="hold out at least one run and keep at least eight",
        )
    frame = table.frame
    size = size_of(spec, frame)
    names = tuple(laws) or default_laws(frame, size)
    for name in names:
        if (response := law_named(name).response) != "loss":
            raise InputError(f"predicts {response}, not loss", column="law", value=name, cure="leave it out of the average")
    kept_ids = set(frame.loc[~held, "run_id"])
    outer, inner, axes = {}, {}, axes_of(frame, size)
    parts: dict[str, Subsets] = {}
    for name in names:
        parts[name] = subsets = Subsets(with_law(spec, name, size), table)
        seen = subsets.frame["run_id"].isin(kept_ids).to_numpy()
        report(f"{name}: {int(seen.sum())} runs")
        outer[name] = _with_observed(subsets, subsets.fit(seen, axes=axes))
        inner[name] = {}
        for cut in cuts(subsets.frame, seen, axes, size):
            report(f"{name}: {cut.name}")
            inner[name][cut.name] = _asked(subsets, cut, axes)
    asked = {name: ~part.frame["run_id"].isin(kept_ids).to_numpy() for name, part in parts.items()}
    seed = spec.sampler.seed
    misfits = {
        name: misfit(list(inner[name].values()), seed=seed) if inner[name] else prior_misfit(axes, seed=seed)
        for name in names
    }
    weights = _weights(inner, names, axes, seed)
    forecasts = {name: outer[name].isel(run=asked[name]) for name in names}
    draws = {name: predicted(forecasts[name], None, draws=_DRAWS, seed=seed) for name in names}
    moved = {name: predicted(forecasts[name], misfits[name], draws=_DRAWS, seed=seed) for name in names}
    draws |= {f"{name} with misfit": moved[name] for name in names}
    draws[AVERAGE_ALONE] = mixed([draws[name] for name in names], weights, count=_DRAWS, seed=seed)
    draws[AVERAGE] = mixed(list(moved.values()), weights, count=_DRAWS, seed=seed)
    loo = {name: _loo(outer[name].isel(run=~asked[name])) for name in names}
    pick = max(names, key=lambda name: loo[name].elpd)
    if baseline:
        part = parts[pick]
        report(f"{BASELINE}: {pick}")
        points = huber_bootstrap(part.law, part.frame, ~asked[pick], seed=seed)
        draws[BASELINE] = with_residuals(points, draws=_DRAWS, seed=seed)[:, asked[pick]]
    observed = forecasts[names[0]]["observed"].values
    return Backtest(
        scores={name: scores(each, observed) for name, each in draws.items()},
        draws=draws,
        weights=dict(zip(names, weights.tolist(), strict=True)),
        misfits=misfits,
        misses={name: [miss_per_reach(each) for each in (forecasts[name], *inner[name].values())] for name in names},
        loo=loo,
        observed=observed,
        runs=forecasts[names[0]]["run"].values,
        times_beyond={
            axis: float(frame.loc[held, axis].max() / frame.loc[~held, axis].max()) for axis in axes if axis in frame
        },
        budget_beyond=_budget_beyond(parts[names[0]].frame, asked[names[0]], size),
    )


def size_of(spec: FitSpec, frame: pd.DataFrame) -> Any:
    """Column of size that all laws of an average read: the spec's own, or ``n_dense`` where every run has it, else ``n_active``."""
    if spec.law.size is not None:
        return spec.law.size
    return "n_dense" if "n_dense" in frame and frame["n_dense"].notna().all() else "n_active"


def _budget_beyond(frame: pd.DataFrame, asked: np.ndarray, size: str) -> np.ndarray:
    budget = frame[size].to_numpy(float) * frame["tokens"].to_numpy(float)
    return budget[asked] / budget[~asked].max()


def _asked(subsets: Subsets, cut: Cut, axes: tuple[str, ...]) -> xr.Dataset:
    return _with_observed(subsets, subsets.fit(cut.seen, axes=axes)).isel(run=cut.asked)


def _with_observed(subsets: Subsets, found: xr.Dataset) -> xr.Dataset:
    return found.assign(observed=("run", subsets.frame[subsets.law.response].to_numpy(float)))


def _weights(
    inner: dict[str, dict[str, xr.Dataset]], names: tuple[str, ...], axes: tuple[str, ...], seed: int
) -> np.ndarray:
    """Stacking on forward scores. Each law forecasts with the prior of its misfit, not with what these same cuts taught it."""
    common = [cut for cut in inner[names[0]] if all(cut in inner[name] for name in names)]
    if not common or len(names) == 1:
        return np.full(len(names), 1.0 / len(names))
    own = prior_misfit(axes, seed=seed)
    found = []
    for cut in common:
        each = [log_densities(inner[name][cut], own, draws=_SCORE_DRAWS, seed=seed) for name in names]
        found.append(np.stack([log_score(density) for density in each]))
    return stacking_weights(found)


def _loo(forecast: xr.Dataset) -> Loo:
    """PSIS-LOO of the runs seen, from a fit's own draws."""
    import arviz_base
    import arviz_stats

    expected, scale = forecast["expected"].values, forecast["noise_scale"].values[:, None]
    density = stats.t.logpdf(forecast["observed"].values, forecast["noise_df"].values[:, None], expected, scale * expected)
    tree = arviz_base.from_dict(
        {"posterior": {"noise_scale": scale[None, :, 0]}, "log_likelihood": {"loss": density[None]}},
        dims={"loss": ["run"]},
        sample_dims=["chain", "draw"],
    )
    with warnings.catch_warnings():
        # Its warning about k is our count.
        warnings.simplefilter("ignore", UserWarning)
        found: Any = arviz_stats.loo(tree)
    return Loo(float(found.elpd), int((np.asarray(found.pareto_k) > HIGH_K).sum()))


def held_out(table: RunTable, expression: str) -> np.ndarray:
    """Runs of a table where an expression over its columns holds, shape (n,).

    Raises
    ------
    InputError
        It is no condition over the table's columns.
    """
    try:
        found = np.asarray(table.frame.eval(expression))
    except Exception as error:
        raise InputError(
            f"is not a condition over the table's columns ({error})",
            column="--hold-out",
            value=expression,
            cure=f"columns: {', '.join(map(str, table.frame.columns))}",
        ) from error
    if found.dtype != bool or found.shape != (len(table.frame),):
        raise InputError("is not a condition on runs", column="--hold-out", value=expression, cure='such as "n_dense > 1e9"')
    return found


def forward_masks(spec: FitSpec, frame: pd.DataFrame, count: int) -> dict[str, np.ndarray]:
    """``count`` cuts of a table by training compute, ``6 size tokens``: all runs above a cut are held out.

    The cuts lie evenly between the 40th and the 90th percentile of the runs.
    """
    compute = 6.0 * frame[size_of(spec, frame)].to_numpy(float) * frame["tokens"].to_numpy(float)
    limits = np.quantile(compute, np.linspace(0.4, 0.9, count) if count > 1 else [0.8])
    return {f"training compute > {limit:.2g} FLOP": compute > limit for limit in limits}
