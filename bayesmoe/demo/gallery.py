"""The gallery: every figure that the package draws, on simulated runs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe import plots
from bayesmoe.criticism.prior_predictive import prior_bands, prior_predictive
from bayesmoe.curves.by_budget import plans_by_budget
from bayesmoe.curves.by_cost import by_cost
from bayesmoe.curves.by_size import loss_by_tokens
from bayesmoe.curves.leverage_surface import leverage_surface
from bayesmoe.curves.mfu_by_size import mfu_by_size
from bayesmoe.decisions.decision import Decisions
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.decisions.sensitivity import sensitivity
from bayesmoe.decisions.speedup import speedup
from bayesmoe.files import write_text, written_whole
from bayesmoe.forecasting.backtest import AVERAGE, AVERAGE_ALONE, BASELINE, backtest
from bayesmoe.forecasting.coverage import coverage_by_level
from bayesmoe.forecasting.forward_validation import training_compute
from bayesmoe.forecasting.weights import size_of
from bayesmoe.forecasting.weights_by_compute import weights_by_scale
from bayesmoe.inference.fit_law import fit_law
from bayesmoe.inference.spec import AverageSpec, DataSpec, FitSpec, GroupSpec, LawSpec, load_table
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Law, all_laws, default_average, law_named
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.store import PlanInfo
from bayesmoe.progress import Progress
from bayesmoe.reporting.build import BY_CHAIN, figures
from bayesmoe.reporting.captions import FIGURES, gallery_page
from bayesmoe.reporting.svg import svg
from bayesmoe.runs import as_run_table

_DPI = 130

AVERAGED = tuple(law.name for law in default_average(("num_experts", "tokens")) if Law in law.__bases__)
"""Laws of the gallery's average: those of size, tokens and experts, without variants of another law."""

_SCALES = (0.3, 0.5, 0.75, 1.0)
"""Shares of the runs, from the smallest training compute up, after which laws are weighed."""

_SEEN = 0.65
_BUDGETS = (1e20, 1e21, 5.15e21, 3e22)
_CLUSTER_GPU, _CLUSTER_GPUS, _CLUSTER_SIZES = "H100-SXM", 2048, (3e8, 1e11)
_TIAN = {
    "train_flop": (1e18, 1e19, 1e20, 6e20),
    "activation_ratio": (1 / 2, 1 / 8, 1 / 32, 1 / 128),
    "granularity": (4.0, 8.0, 16.0, 32.0),
}
_TIAN_SHOWN = (1e19, 6e20, 1e22)
_TIAN_NOISE, _TIAN_SEED = 0.05, 2507_17702
_RECIPES = {"baseline": 1.0, "new-mix": 1.3}
_RECIPE_NOISE, _RECIPE_SEED = 0.003, 2404_10102


def gallery(
    fit: xr.DataTree,
    plan: xr.Dataset,
    decisions: Decisions,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Figure]:
    """All figures of the gallery by name; the caller closes them.

    Parameters
    ----------
    fit : DataTree
        The demo's fit: its runs are backtested too.
    plan : Dataset
        The demo's plan.
    decisions : Decisions
        What was decided on it.
    on_progress : callable
        Called with progress.
    """
    info, scenario = FitInfo.read(fit), PlanInfo.read(plan).scenario
    parts: tuple[Callable[[], dict[str, Figure]], ...] = (
        lambda: figures(fit, plan=plan, decisions=decisions, next_run=next_runs(fit, plan)),
        lambda: plan_figures(plan, decisions),
        lambda: sensitivity_figures(sensitivity(fit, scenario)),
        lambda: budget_figures(fit, scenario),
        lambda: cluster_figures(scenario),
        leverage_figures,
        speedup_figures,
        lambda: forecast_figures(info.spec, on_progress=on_progress),
        law_figures,
    )
    made: dict[str, Figure] = {}
    # All are open at once, and are meant to be.
    with plt.rc_context({"figure.max_open_warning": 0}):
        for done, part in enumerate(parts):
            on_progress(Progress("figures", done, len(parts)))
            made |= part()
    on_progress(Progress("figures", len(parts), len(parts)))
    return made


def plan_figures(plan: xr.Dataset, decisions: Decisions) -> dict[str, Figure]:
    """Figures of a plan that its report leaves out, by name; the caller closes them."""
    return {"loss_by_experts": plots.loss_by_experts(decisions.risk), "regret_map": plots.regret_map(plan)}


def budget_figures(fit: xr.DataTree, scenario: Scenario) -> dict[str, Figure]:
    """Figures of sizes, serving costs and training budgets under a fit, by name; the caller closes them."""
    runs = fit["constant_data"].dataset
    sizes, tokens = (np.unique(runs[name].values) for name in ("n_dense", "tokens"))
    grown = loss_by_tokens(
        fit, scenario, n_dense=[sizes[0], sizes[-1], 10.0 * sizes[-1]], tokens=[tokens[0], tokens[-1], 10.0 * tokens[-1]]
    )
    planned = plans_by_budget(fit, scenario, budgets_flop=_BUDGETS)
    return {
        "loss_by_tokens": plots.loss_by_tokens(grown),
        "frontier": plots.frontier(by_cost(fit, scenario)),
        "cheapest_by_budget": plots.minima_by_budget(planned, "cheapest_serving"),
        "lowest_loss_by_budget": plots.minima_by_budget(planned, "lowest_loss"),
        "over_training_by_budget": plots.over_training_by_budget(planned),
    }


def cluster_figures(scenario: Scenario) -> dict[str, Figure]:
    """Utilization on a cluster by the shipped calibration, for the expert counts of a scenario; the caller closes it."""
    training = dataclasses.replace(scenario.training, accelerator=_CLUSTER_GPU, cluster_gpus=_CLUSTER_GPUS, mfu=None)
    found = mfu_by_size(dataclasses.replace(scenario, training=training), n_dense=np.geomspace(*_CLUSTER_SIZES, 25).tolist())
    return {"mfu_by_experts": plots.mfu_by_experts(found)}


def leverage_figures() -> dict[str, Figure]:
    """Tian's surface under a fit to leverages simulated from the published coefficients; the caller closes it."""
    law = law_named("tian-leverage")
    design = pd.DataFrame(list(itertools.product(*_TIAN.values())), columns=pd.Index(list(_TIAN)))
    truth = np.asarray(law.loss(law.coefficients("table-2"), {name: design[name].to_numpy() for name in _TIAN}))
    noise = np.random.default_rng(_TIAN_SEED).standard_normal(len(design))
    frame = design.assign(leverage=truth * np.exp(_TIAN_NOISE * noise))
    table = as_run_table(frame, origin="leverages simulated from tian-leverage", response="leverage", simulated=True)
    spec = FitSpec(data=DataSpec(file=table.origin), law=LawSpec(name="tian-leverage"))
    found = leverage_surface(
        fit_law(spec, table=table),
        activation_ratio=np.geomspace(1 / 128, 1 / 2, 61).tolist(),
        granularity=np.geomspace(4.0, 32.0, 61).tolist(),
        train_flop=_TIAN_SHOWN,
        published="table-2",
    )
    return {
        "leverage_surface": plots.leverage_surface(
            found, granularity=16.0, activation_ratio=1 / 32, train_flop=_TIAN_SHOWN[1]
        )
    }


def speedup_figures() -> dict[str, Figure]:
    """Speedup of a recipe under a fit to runs simulated from Chinchilla's law, of which the parameters count as more; the caller closes it."""
    law, rng, rows = law_named("chinchilla"), np.random.default_rng(_RECIPE_SEED), []
    for recipe, counts_as in _RECIPES.items():
        for size, ratio in itertools.product((5e7, 2e8, 8e8), (5.0, 15.0, 45.0, 135.0)):
            loss = float(law.loss(law.coefficients("besiroglu"), {"n_total": counts_as * size, "tokens": ratio * size}))
            noise = np.exp(_RECIPE_NOISE * rng.standard_normal())
            rows.append({"recipe": recipe, "n_active": size, "n_total": size, "tokens": ratio * size, "loss": loss * noise})
    table = as_run_table(pd.DataFrame(rows), origin="two recipes simulated from chinchilla", group="recipe", simulated=True)
    spec = FitSpec(data=DataSpec(file=table.origin), law=LawSpec(name="chinchilla"), groups=GroupSpec(column="recipe"))
    return {"speedup": plots.speedup(speedup(fit_law(spec, table=table), of="new-mix", over="baseline"))}


def forecast_figures(
    spec: FitSpec, *, laws: Sequence[str] = AVERAGED, on_progress: Callable[[Progress], None] = lambda progress: None
) -> dict[str, Figure]:
    """Figures of how well laws and their average forecast the larger runs of a spec's table; the caller closes them."""
    averaged = dataclasses.replace(spec, average=AverageSpec(laws=tuple(laws)))
    table = load_table(spec.data, spec.groups)
    compute = training_compute(table.frame, size_of(averaged, table.frame))
    weights = weights_by_scale(averaged, table, np.quantile(compute, _SCALES).tolist(), on_progress=on_progress)
    found = backtest(averaged, table, compute > np.quantile(compute, _SEEN), on_progress=on_progress)
    shown = [AVERAGE, AVERAGE_ALONE, found.loo_pick, BASELINE]
    return {
        "calibration": plots.calibration(coverage_by_level(found, forecasters=shown)),
        "law_weights": plots.law_weights(weights),
    }


def sensitivity_figures(found: xr.Dataset) -> dict[str, Figure]:
    """Figures of a sensitivity's first problem by name; the caller closes them."""
    return {"tornado": plots.tornado(found, str(found["problem"].values[0]))}


def law_figures() -> dict[str, Figure]:
    """Figures of the catalog of laws by name; the caller closes them."""
    bands = [prior_bands(prior_predictive(law())) for law in all_laws]
    return {"prior_predictive": plots.prior_predictive(bands)}


def save_figures(made: dict[str, Figure], folder: str | Path) -> None:
    """Write figures as PNG and SVG files, each whole or not at all; the same figure gives the same bytes."""
    for name, figure in made.items():
        with written_whole(Path(folder) / f"{name}.png") as path:
            figure.savefig(path, dpi=_DPI, facecolor="white")
        # Each time that a layout is made it moves by a hair: both files show the first.
        figure.set_layout_engine("none")
        if name in BY_CHAIN:
            _as_picture(figure)
        write_text(Path(folder) / f"{name}.svg", svg(figure, name, FIGURES[name]) + "\n")


def save_gallery(made: dict[str, Figure], folder: str | Path) -> None:
    """Write the gallery's figures, and the page that shows them."""
    save_figures(made, folder)
    write_text(Path(folder) / "README.md", gallery_page())


def _as_picture(figure: Figure) -> None:
    """Let what is drawn within axes be a picture in an SVG: every draw as a path would be megabytes."""
    for axes in figure.axes:
        parts: list[Any] = [*axes.lines, *axes.collections]
        for part in parts:
            part.set_rasterized(True)
