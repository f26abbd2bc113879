"""A fit of several laws, averaged by how well they forecast larger runs from smaller ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.criticism.compare import compare
from bayesmoe.criticism.gate import with_gate
from bayesmoe.forecasting.forward_validation import distance_axes, forward_forecasts
from bayesmoe.forecasting.weights import Average, average_of, laws_of, prior_of, size_of
from bayesmoe.inference.ensemble import apportion
from bayesmoe.inference.fit_law import fit_law
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.spec import AVERAGE, FitSpec, load_table
from bayesmoe.inference.store import LAWS, FitInfo
from bayesmoe.progress import Progress
from bayesmoe.runs import RunTable
from bayesmoe.threads import side_by_side


def fit_average(
    spec: FitSpec, *, table: RunTable | None = None, on_progress: Callable[[Progress], None] = lambda progress: None
) -> xr.DataTree:
    """Fit several laws to a run table, and weigh them by forward validation inside it.

    A law whose fit fails its gate is left out of the average, which says so (:func:`bayesmoe.criticism.gate.check`); where all fail,
    all stay, and the average fails.

    Parameters
    ----------
    spec : FitSpec
        Data, groups, sampler, and an ``average``.
    table : RunTable, optional
        Validated runs; read from ``spec.data`` when absent.
    on_progress : callable
        Called with progress while sampling.

    Returns
    -------
    xarray.DataTree
        ``laws/NAME``, the fit of each law as :func:`bayesmoe.inference.fit_law.fit_law` gives it; ``average``, with each law's ``weight``,
        ``weight_sd``, ``loo_weight`` (stacking on PSIS-LOO, to set beside it, with ``doubtful``, its runs of high k), discrepancy (``shift``,
        ``scale``, ``correlation``), the runs it extrapolates from (``ln_covariate``, ``slope``, ``group_of_run``) and ``log_score`` by
        ``split``; at the top the runs and the average's posterior predictive.

    Raises
    ------
    InputError
        A covariate of a law is missing, a law predicts no loss, or the groups cannot be formed.
    """
    table = table if table is not None else load_table(spec.data, spec.groups)
    fits = fits_of_laws(spec, table, on_progress=on_progress)
    return averaged(spec, fits, average_of(fits.forward, fits.axes, seed=spec.sampler.seed, prior=prior_of(spec)))


@dataclasses.dataclass(frozen=True)
class FitsOfLaws:
    """Fits of an average's laws, from which any prior of discrepancy makes an average without fitting again.

    Attributes
    ----------
    trees : dict of DataTree
        By law, its fit.
    places : dict of Dataset
        By law, the runs it extrapolates from, see :meth:`bayesmoe.inference.refits.Refits.places`.
    forward : dict of dict of Dataset
        By law and split, see :func:`bayesmoe.forecasting.forward_validation.forward_forecasts`.
    axes : tuple of str
        Covariates along which a plan may leave the runs.
    left_out : dict of str
        Why a law that was asked for is not among them.
    """

    trees: dict[str, xr.DataTree]
    places: dict[str, xr.Dataset]
    forward: dict[str, dict[str, xr.Dataset]]
    axes: tuple[str, ...]
    left_out: dict[str, str]


def fits_of_laws(
    spec: FitSpec, table: RunTable, *, on_progress: Callable[[Progress], None] = lambda progress: None
) -> FitsOfLaws:
    """Fit each law of an average to all runs and to every split."""
    size = size_of(spec, table.frame)
    axes = distance_axes(table.frame, size)
    names = laws_of(spec, table.frame)

    def fitted(name: str, show: Callable[[Progress], None]) -> xr.DataTree:
        of_law = with_law(spec, name, size)
        return with_gate(fit_law(of_law, table=table, on_progress=lambda progress: show(progress.of(name))))

    trees = dict(zip(names, side_by_side(fitted, names, on_progress), strict=True))
    failed = {name: why for name, tree in trees.items() if (why := _failure(tree))}
    left_out = failed if len(failed) < len(trees) else {}
    trees = {name: tree for name, tree in trees.items() if name not in left_out}

    def forecast(name: str, show: Callable[[Progress], None]) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
        refits = Refits(with_law(spec, name, size), table)
        everything = np.ones(len(refits.frame), dtype=bool)
        forward = forward_forecasts(refits, everything, size, near=refits.mode(trees[name]), on_progress=show)
        return refits.places(trees[name], axes), forward

    forecasts = dict(zip(trees, side_by_side(forecast, list(trees), on_progress), strict=True))
    return FitsOfLaws(
        trees,
        {name: places for name, (places, _) in forecasts.items()},
        {name: of_law for name, (_, of_law) in forecasts.items()},
        axes,
        left_out,
    )


def _failure(tree: xr.DataTree) -> str:
    """The first check that a fit fails; empty where it fails none."""
    gate = FitInfo.read(tree).gate
    failures = [check for check in gate.checks if check.verdict == "FAIL"] if gate is not None else []
    return f"{failures[0].name} {failures[0].value:.3g} at {failures[0].where}" if failures else ""


def averaged(spec: FitSpec, fits: FitsOfLaws, average: Average) -> xr.DataTree:
    """The fit of an average, see :func:`fit_average`, from fits of its laws and what is made of their forecasts."""
    trees = fits.trees
    names = list(trees)
    first = trees[names[0]]
    shared = {name: value for name, value in first["constant_data"].data_vars.items() if _is_of_runs(str(name))}
    root = {
        "observed_data": first["observed_data"].to_dataset(),
        "constant_data": xr.Dataset(shared),
        "posterior_predictive": _mixture(trees, average.weights),
        AVERAGE: _weights_and_discrepancies(trees, average, fits.places),
    }
    tree = xr.DataTree.from_dict(
        {**root, **{f"{LAWS}/{name}/{path.strip('/')}": node for name in names for path, node in _nodes(trees[name])}}
    )
    for name in names:
        tree[f"{LAWS}/{name}"].attrs = trees[name].attrs
    infos = [FitInfo.read(fit) for fit in trees.values()]
    dataclasses.replace(
        infos[0],
        spec=spec,
        law_name=AVERAGE,
        attempts=(),
        interrupted=False,
        pooled=(),
        paper_parameters=(),
        gate=None,
        forward=average.forward,
        left_out=fits.left_out,
    ).write(tree)
    return with_gate(tree) if all(info.gate for info in infos) else tree


def _weights_and_discrepancies(trees: dict[str, xr.DataTree], average: Average, whole: dict[str, xr.Dataset]) -> xr.Dataset:
    names = list(trees)
    return xr.Dataset(
        {
            "weight": ("law", [average.weights[name] for name in names]),
            "weight_sd": ("law", [average.weight_sd[name] for name in names]),
            **_interpolation(trees),
            "log_score": (
                ("split", "law"),
                average.scores[names].to_numpy(float).reshape(-1, len(names)),
                {"units": "nats/run"},
            ),
            **{
                name: (
                    ("law", "discrepancy_draw", "part"),
                    np.stack([average.discrepancies[law][name].values for law in names]),
                )
                for name in ("bias", "scale")
            },
            "correlation": ("law", [float(average.discrepancies[law]["correlation"]) for law in names]),
            **{
                name: (("law", "axis", "seen"), np.stack([whole[law][name].values for law in names]))
                for name in ("ln_covariate", "slope")
            },
        },
        coords={
            "law": names,
            "axis": whole[names[0]]["axis"].values,
            "part": average.discrepancies[names[0]]["part"].values,
            "split": average.scores.index.to_numpy(str),
            "group_of_run": ("seen", whole[names[0]]["group_of_run"].values),
        },
    )


def _interpolation(trees: dict[str, xr.DataTree]) -> dict[str, Any]:
    """Each law's PSIS-LOO stacking weight and its runs of doubtful k; NaN where pointwise densities were not kept, or for one law."""
    unknown = np.full(len(trees), np.nan)
    if len(trees) < 2 or not all("log_likelihood" in tree.children for tree in trees.values()):
        return {"loo_weight": ("law", unknown), "doubtful": ("law", unknown)}
    table = compare(trees).loc[list(trees)]
    return {
        name: ("law", table[column].to_numpy(float)) for name, column in (("loo_weight", "weight"), ("doubtful", "doubtful"))
    }


def _is_of_runs(name: str) -> bool:
    return not name.startswith("reference_")


def _nodes(tree: xr.DataTree) -> list[tuple[str, xr.Dataset]]:
    return [(str(name), node.to_dataset()) for name, node in tree.children.items()]


def _mixture(trees: dict[str, xr.DataTree], weights: dict[str, float]) -> xr.Dataset:
    """Posterior predictive of the average: of each chain's draws, every law has its share."""
    sizes = [tree["posterior_predictive"].sizes["draw"] for tree in trees.values()]
    counts = apportion(np.array(list(weights.values())), min(sizes))
    parts: list[Any] = []
    for tree, count in zip(trees.values(), counts, strict=True):
        predictive = tree["posterior_predictive"].to_dataset()
        parts.append(predictive.isel(draw=np.linspace(0, predictive.sizes["draw"] - 1, count).astype(int)))
    joined = xr.concat(parts, "draw")
    return joined.assign_coords(draw=np.arange(joined.sizes["draw"]))
