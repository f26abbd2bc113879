"""Backtest: fit to the smaller runs, forecast the larger, and count how often and how far the bands miss."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from bayesmoe.criticism.compare import HIGH_K
from bayesmoe.errors import InputError
from bayesmoe.forecasting.baselines import huber_bootstrap, with_residuals
from bayesmoe.forecasting.decision_calibration import curves_of_experts, decision_calibration
from bayesmoe.forecasting.discrepancy import error_per_distance, predicted
from bayesmoe.forecasting.forward_validation import distance_axes, forward_forecasts, training_compute
from bayesmoe.forecasting.hold_outs import LEAST_KEPT
from bayesmoe.forecasting.scores import scores
from bayesmoe.forecasting.weights import Average, average_of, laws_of, mixed, prior_of, size_of
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.spec import FitSpec
from bayesmoe.precision import in_float64
from bayesmoe.progress import Progress
from bayesmoe.runs import RunTable
from bayesmoe.threads import side_by_side

AVERAGE = "average of laws"
AVERAGE_ALONE = "average without discrepancy"
BASELINE = "Huber + bootstrap"

_DRAWS = 2000


class Loo(NamedTuple):
    """Expected log predictive density in nats, and the number of runs whose Pareto k makes it doubtful."""

    elpd: float
    doubtful: int


@dataclasses.dataclass(frozen=True)
class Forecasts:
    """Fits of several laws to the runs seen, and to the smaller part of these at several splits.

    Attributes
    ----------
    parts : dict of Subsets
        By law, its fits.
    asked : dict of array of bool, shape (n,)
        By law, the runs held out, in the order of its frame.
    full : dict of Dataset
        By law, the fit to all runs seen, and what it expects of every run.
    forward : dict of dict of Dataset
        By law and split, see :func:`bayesmoe.forecasting.forward_validation.forward_forecasts`.
    axes : tuple of str
        Covariates along which runs may lie beyond those seen.
    size : str
        Column of size.
    """

    parts: dict[str, Refits]
    asked: dict[str, np.ndarray]
    full: dict[str, xr.Dataset]
    forward: dict[str, dict[str, xr.Dataset]]
    axes: tuple[str, ...]
    size: str


@dataclasses.dataclass(frozen=True)
class Backtest:
    """Forecasts of the runs held out, and what they were worth.

    Attributes
    ----------
    scores : dict of Dataset
        By forecaster: each law alone, each law with discrepancy, the average and the baseline; see :func:`bayesmoe.forecasting.scores.scores`.
    draws : dict of array, shape (draw, run)
        Their draws, in nats per token.
    weights : dict of float
        Weight of each law in the average.
    discrepancies : dict of Dataset
        Each law's :func:`bayesmoe.forecasting.discrepancy.discrepancy`.
    misses : dict of list of float
        By law, its relative error per unit of extrapolation distance: of the runs held out, then at each split inside the runs seen.
    loo : dict of Loo
        By law, its PSIS-LOO on the runs seen.
    observed : array, shape (run,)
        Losses of the runs held out, nats per token.
    runs : array of str, shape (run,)
        Their names.
    extrapolation_factors : dict of float
        By covariate, how many times the largest value seen the largest value asked is.
    budget_beyond : array, shape (run,)
        Each run's training compute over the largest seen.
    decisions : Dataset or None
        What the average said of expert counts, see :func:`bayesmoe.forecasting.decision_calibration.decision_calibration`; None where no two
        runs held out differ in their expert count alone.
    """

    scores: dict[str, xr.Dataset]
    draws: dict[str, np.ndarray]
    weights: dict[str, float]
    discrepancies: dict[str, xr.Dataset]
    misses: dict[str, list[float]]
    loo: dict[str, Loo]
    observed: np.ndarray
    runs: np.ndarray
    extrapolation_factors: dict[str, float]
    budget_beyond: np.ndarray
    decisions: xr.Dataset | None

    @property
    def loo_pick(self) -> str:
        """The law that PSIS-LOO prefers on the runs seen."""
        return max(self.loo, key=lambda name: self.loo[name].elpd)


@in_float64
def backtest(
    spec: FitSpec,
    table: RunTable,
    held: np.ndarray,
    *,
    baseline: bool = True,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Backtest:
    """Forecast the runs held out from the others.

    Each law is fitted to the runs seen, and to the smaller part of them at several splits (:mod:`bayesmoe.forecasting.forward_validation`). Its
    misses there give its discrepancy, and the laws' scores there their weights. Nothing of the runs held out is used.

    Parameters
    ----------
    spec : FitSpec
        Groups, size, seed, and the laws of its ``average``; those that the table can tell something about where it names none.
    table : RunTable
        All runs.
    held : array of bool, shape (n,)
        Runs held out, in the table's order.
    baseline : bool
        Whether to run Huber + bootstrap beside it.
    on_progress : callable
        Called with progress, from the thread of each law.

    Raises
    ------
    InputError
        Nothing or nearly everything is held out.

    Examples
    --------
    >>> found = bm.backtest(spec, table, table.frame["n_dense"].to_numpy() > 1e9)  # doctest: +SKIP
    """
    forecasts = forecasts_of(spec, table, held, on_progress=on_progress)
    seed = spec.sampler.seed
    average = average_of(forecasts.forward, forecasts.axes, seed=seed, prior=prior_of(spec))
    result = judged(forecasts, average, seed=seed)
    if baseline:
        on_progress(Progress(BASELINE, 0, 1))
        result = with_baseline(result, baseline_draws(forecasts, result.loo_pick, seed=spec.sampler.seed))
        on_progress(Progress(BASELINE, 1, 1))
    return result


def baseline_draws(forecasts: Forecasts, law: str, *, seed: int) -> np.ndarray:
    """Today's practice: a law by Huber loss from a grid, and a bootstrap over runs; draws of the runs held out, shape (draw, run)."""
    refits, asked = forecasts.parts[law], forecasts.asked[law]
    points = huber_bootstrap(refits.law, refits.frame, ~asked, seed=seed)
    return with_residuals(points, draws=_DRAWS, seed=seed)[:, asked]


def with_baseline(result: Backtest, draws: np.ndarray) -> Backtest:
    """A backtest with :func:`baseline_draws` beside it, of the law that PSIS-LOO picks."""
    return dataclasses.replace(
        result, draws=result.draws | {BASELINE: draws}, scores=result.scores | {BASELINE: scores(draws, result.observed)}
    )


def forecasts_of(
    spec: FitSpec, table: RunTable, held: np.ndarray, *, on_progress: Callable[[Progress], None] = lambda progress: None
) -> Forecasts:
    """Fit the laws of a spec's average to the runs that are not held out, and at every split inside these.

    Raises
    ------
    InputError
        Nothing or nearly everything is held out.
    """
    if held.sum() < 1 or (~held).sum() < LEAST_KEPT:
        raise InputError(
            "leaves too little on one side",
            column="--hold-out",
            value=f"{int(held.sum())} of {len(held)} runs held out",
            hint=f"hold out at least one run and keep at least {LEAST_KEPT}",
        )
    size, names = size_of(spec, table.frame), laws_of(spec, table.frame[~held])
    axes, kept_ids = distance_axes(table.frame, size), set(table.frame.loc[~held, "run_id"])

    def of_law(name: str, show: Callable[[Progress], None]) -> tuple[Refits, np.ndarray, xr.Dataset, dict[str, xr.Dataset]]:
        refits = Refits(with_law(spec, name, size), table)
        seen = refits.frame["run_id"].isin(kept_ids).to_numpy()
        show(Progress(f"{name}: fit", 0, 1))
        full = refits.fit(seen, axes=axes)
        show(Progress(f"{name}: fit", 1, 1))
        return refits, ~seen, full, forward_forecasts(refits, seen, size, near=full["mode"].values, on_progress=show)

    parts, asked, full, forward = zip(*side_by_side(of_law, names, on_progress), strict=True)
    return Forecasts(
        parts=dict(zip(names, parts, strict=True)),
        asked=dict(zip(names, asked, strict=True)),
        full=dict(zip(names, full, strict=True)),
        forward=dict(zip(names, forward, strict=True)),
        axes=axes,
        size=size,
    )


def asked_of(forecasts: Forecasts) -> dict[str, xr.Dataset]:
    """By law, what the fit to all runs seen expects of those held out."""
    return {name: full.isel(run=forecasts.asked[name]) for name, full in forecasts.full.items()}


def averaged_draws(
    asked: dict[str, xr.Dataset],
    weights: dict[str, float],
    discrepancies: dict[str, xr.Dataset],
    *,
    seed: int,
    noise: bool = True,
) -> np.ndarray:
    """Draws of an average's forecast of the runs held out, shape (draw, run); a law without discrepancy stands alone."""
    by_law = [predicted(asked[name], discrepancies.get(name), draws=_DRAWS, seed=seed, noise=noise) for name in weights]
    return mixed(by_law, np.array(list(weights.values())), count=_DRAWS, seed=seed)


def judged(forecasts: Forecasts, average: Average, *, seed: int) -> Backtest:
    """What forecasts were worth, each law alone, with its discrepancy, and the average, against the runs held out."""
    names = list(average.weights)
    asked = asked_of(forecasts)
    draws = {name: predicted(asked[name], None, draws=_DRAWS, seed=seed) for name in names}
    moved = {name: predicted(asked[name], average.discrepancies[name], draws=_DRAWS, seed=seed) for name in names}
    draws |= {f"{name} with discrepancy": moved[name] for name in names}
    draws[AVERAGE_ALONE] = averaged_draws(asked, average.weights, {}, seed=seed)
    draws[AVERAGE] = averaged_draws(asked, average.weights, average.discrepancies, seed=seed)
    first = names[0]
    observed = asked[first]["observed"].values
    frame, held = forecasts.parts[first].frame, forecasts.asked[first]
    budget = training_compute(frame, forecasts.size)
    return Backtest(
        scores={name: scores(each, observed) for name, each in draws.items()},
        draws=draws,
        weights=average.weights,
        discrepancies=average.discrepancies,
        misses={
            name: [error_per_distance(each) for each in (asked[name], *forecasts.forward[name].values())] for name in names
        },
        loo={name: _loo(forecasts.full[name].isel(run=~forecasts.asked[name])) for name in names},
        observed=observed,
        runs=asked[first]["run"].values,
        extrapolation_factors={
            axis: float(frame.loc[held, axis].max() / frame.loc[~held, axis].max()) for axis in forecasts.axes
        },
        budget_beyond=budget[held] / budget[~held].max(),
        decisions=_decisions(forecasts, average, asked, seed=seed),
    )


def _decisions(forecasts: Forecasts, average: Average, asked: dict[str, xr.Dataset], *, seed: int) -> xr.Dataset | None:
    first = next(iter(average.weights))
    frame = forecasts.parts[first].frame[forecasts.asked[first]].reset_index(drop=True)
    if not (curves := curves_of_experts(frame, forecasts.size)):
        return None
    draws = averaged_draws(asked, average.weights, average.discrepancies, seed=seed, noise=False)
    return decision_calibration(draws, asked[first]["observed"].values, frame["num_experts"].to_numpy(float), curves)


def _loo(forecast: xr.Dataset) -> Loo:
    """PSIS-LOO of the runs seen, from a fit's own draws."""
    import arviz_base
    import arviz_stats

    expected, scale = forecast["expected"].values, forecast["noise_scale"].values
    density = stats.t.logpdf(forecast["observed"].values, forecast["noise_df"].values[:, None], expected, scale * expected)
    tree = arviz_base.from_dict(
        {"posterior": {"noise_df": forecast["noise_df"].values[None]}, "log_likelihood": {"loss": density[None]}},
        dims={"loss": ["run"]},
        sample_dims=["chain", "draw"],
    )
    with warnings.catch_warnings():
        # Its warning about k is our count.
        warnings.simplefilter("ignore", UserWarning)
        loo: Any = arviz_stats.loo(tree)
    return Loo(float(loo.elpd), int((np.asarray(loo.pareto_k) > HIGH_K).sum()))
