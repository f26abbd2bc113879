"""One self-contained HTML page: the decision first, then the evidence, then where it all comes from."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesmoe import plots
from bayesmoe.criticism.gate import check
from bayesmoe.criticism.predictive import headline_names, predictive_check, prior_overlap
from bayesmoe.curves.by_compute import loss_by_compute
from bayesmoe.curves.mfu_by_size import mfu_by_size
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.decision import Decision, Decisions
from bayesmoe.decisions.gate import far, gate_of_plan
from bayesmoe.decisions.influence import influence
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.files import write_text
from bayesmoe.inference.ensemble import components, heaviest
from bayesmoe.inference.gate import Gate
from bayesmoe.inference.spec import AVERAGE
from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.store import PlanInfo
from bayesmoe.precision import in_float64
from bayesmoe.progress import Progress
from bayesmoe.reporting import advice_text, plan_text, text
from bayesmoe.reporting.assumptions import assumptions, binding_limits
from bayesmoe.reporting.brief import brief
from bayesmoe.reporting.captions import FIGURES
from bayesmoe.reporting.decision import next_run_rows, section
from bayesmoe.reporting.forecasts import forecast_rows, own_coverage
from bayesmoe.reporting.provenance import provenance
from bayesmoe.reporting.render import STYLE, rendered
from bayesmoe.reporting.svg import dark_colors, svg
from bayesmoe.units import QUANTILES, band, percent

_DPI, _INPUTS = 130, 10
_SIZES_AROUND, _SIZES = (1 / 16, 16), 25
"""Sizes around the recommended one of which the utilization is drawn, and how many."""


def figures(
    fit: xr.DataTree,
    *,
    plan: xr.Dataset | None = None,
    decisions: Decisions | None = None,
    next_run: xr.Dataset | None = None,
) -> dict[str, Figure]:
    """All figures of a report by name; those of the plan and of the next run only when there are any. They stay open: the caller closes them.

    Of several laws averaged, the chains and parameters shown are those of the heaviest.
    """
    shown = heaviest(fit)
    names = headline_names(shown)
    made: dict[str, Figure] = {}
    if plan is not None and decisions is not None:
        made["differences"] = plots.differences(decisions.risk)
        if "design_lifetime_usd" in decisions.risk:
            made["total_cost"] = plots.total_cost(decisions.risk)
        swings = influence(plan).isel(input=slice(_INPUTS))
        made["influence"] = plots.tornado(swings, decisions.main.problem.name)
        made["loss_by_compute"] = plots.loss_by_compute(loss_by_compute(fit, plan, decisions.main))
        for plot in (plots.best_experts, plots.over_training):
            made[plot.__name__] = plot(decisions.risk)
        if (scenario := PlanInfo.read(plan).scenario).training.by_layout:
            sizes = decisions.main.closest.design.n_dense * np.geomspace(*_SIZES_AROUND, _SIZES)
            made["mfu_by_experts"] = plots.mfu_by_experts(mfu_by_size(scenario, n_dense=sizes.tolist()))
    if next_run is not None:
        made["next_run_value"] = plots.next_run_value(next_run)
    made["fit_to_runs"] = plots.fit_to_runs(predictive_check(fit))
    of_chains = (plots.trace, plots.rank) if shown["posterior"].sizes["chain"] > 1 else ()
    for plot in (plots.prior_posterior, *of_chains):
        made[plot.__name__] = plot(shown, names)
    return made


@in_float64
def report(
    fit: xr.DataTree,
    plan: xr.Dataset | None = None,
    *,
    backtests: Sequence[dict[str, Any]] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> str:
    """Render the report of a fit, and of a plan on it, as one HTML page.

    Parameters
    ----------
    fit : DataTree
        The posterior.
    plan : Dataset, optional
        A plan on it.
    backtests : sequence of dict
        From :func:`bayesmoe.reporting.forecasts.read_backtest`.
    on_progress : callable
        Called between the steps, and after each figure.

    Examples
    --------
    >>> Path("report.html").write_text(bm.report(dt, plan))  # doctest: +SKIP
    """
    on_progress(Progress("deciding", 0, 1))
    decisions = decide(plan, fit) if plan is not None else None
    with_runs = plan is not None and "lifetime_tokens" in plan
    runs = next_runs(fit, plan, on_progress=on_progress) if plan is not None and with_runs else None
    made = figures(fit, plan=plan, decisions=decisions, next_run=runs)
    try:
        return build_report(
            fit, made, plan=plan, decisions=decisions, next_run=runs, backtests=backtests, on_progress=on_progress
        )
    finally:
        for figure in made.values():
            plt.close(figure)


def notes(fit: xr.DataTree, decisions: Decisions | None) -> list[str]:
    """Sentences on extrapolation (with a plan) and identification."""
    said = []
    if decisions is not None:
        said.append(text.extrapolation(decisions.extrapolation, far=far(decisions.extrapolation)))
    shown = heaviest(fit)
    counts = shown["constant_data"].dataset.get("num_experts")
    largest = float(counts.max()) if counts is not None else 1.0
    posterior = shown["posterior"].dataset
    beyond = float((posterior["e_max"] > largest).mean()) if "e_max" in posterior else None
    said.append(text.identification(prior_overlap(shown, headline_names(shown)), beyond, largest))
    return said


def build_report(
    fit: xr.DataTree,
    made: dict[str, Figure],
    *,
    plan: xr.Dataset | None = None,
    decisions: Decisions | None = None,
    next_run: xr.Dataset | None = None,
    backtests: Sequence[dict[str, Any]] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> str:
    """Build the report.

    Parameters
    ----------
    fit : DataTree
        The posterior.
    made : dict of Figure
        Figures by name, from :func:`figures`.
    plan : Dataset, optional
        A plan; without one the report is about the fit alone.
    decisions : Decisions, optional
        What was decided on the plan, from :func:`bayesmoe.decisions.decide.decide`.
    next_run : Dataset, optional
        Candidate runs, from :func:`bayesmoe.decisions.next_run.next_runs`.
    backtests : sequence of dict
        From :func:`bayesmoe.reporting.forecasts.read_backtest`.
    on_progress : callable
        Called before each figure is drawn.

    Returns
    -------
    str
        HTML with inline styles and images; needs no network.
    """
    info, gate = FitInfo.read(fit), check(fit)
    gate = gate if decisions is None else gate_of_plan(gate, decisions)
    images = _images(made, on_progress)
    return rendered(
        "report.html.jinja",
        style=STYLE.read_text(encoding="utf-8"),
        text=text,
        plan_text=plan_text,
        advice_text=advice_text,
        gate=gate,
        images=images,
        dark=dark_colors(image["svg"] for image in images.values() if "svg" in image),
        notes=notes(fit, decisions),
        next_runs=next_run_rows(next_run) if next_run is not None else {},
        **(_planned(plan, decisions, gate, next_run) if plan is not None and decisions else {"decisions": []}),
        law=text.laws({name: member.weight for name, member in components(fit).items()}),
        shown=FitInfo.read(heaviest(fit)).law_name,
        laws=_law_rows(fit, decisions or ()),
        problems=[one.problem.title for one in decisions or ()],
        simulated=info.data_simulated,
        parameters=_parameter_rows(heaviest(fit)),
        data_notes=info.data_notes,
        coverage=own_coverage(fit),
        forecasts=forecast_rows(backtests),
        provenance=provenance(fit, plan),
    )


def _planned(plan: xr.Dataset, decisions: Decisions, gate: Gate, next_run: xr.Dataset | None) -> dict[str, Any]:
    """What a page says of a plan."""
    scenario, (main, *others) = PlanInfo.read(plan).scenario, decisions.goal_first
    return {
        "brief": brief(main, gate, others=others, next_runs=next_run),
        "decisions": [section(main), *map(section, others)],
        "scenario": _scenario_rows(plan),
        "scenario_name": scenario.name,
        "budget": plan_text.budget(scenario),
    }


def save_report(html: str, path: str | Path) -> None:
    """Write a report, whole or not at all."""
    write_text(path, html)


BY_CHAIN = ("trace", "rank")
"""Figures with every draw in them, which as SVG would be megabytes."""


def _images(made: dict[str, Figure], on_progress: Callable[[Progress], None]) -> dict[str, dict[str, str]]:
    found = {}
    for done, (name, figure) in enumerate(made.items()):
        on_progress(Progress("drawing", done, len(made)))
        found[name] = _embedded(name, figure, FIGURES[name])
    return found


def _embedded(name: str, figure: Figure, caption: str) -> dict[str, str]:
    drawn = {"src": _data_uri(figure)} if name in BY_CHAIN else {"svg": svg(figure, name, caption)}
    return {"caption": caption, **drawn}


def _data_uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _law_rows(fit: xr.DataTree, decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """A row a law of an average: weight, forecasts, discrepancy, and what the plan would be without it; none for one law."""
    if AVERAGE not in fit.children:
        return []
    table = fit[AVERAGE].to_dataset()
    rows = []
    for name in components(fit):
        own = table.sel(law=name)
        discrepancy = [text.discrepancy(str(part), own.sel(part=part)) for part in table["part"].values]
        weight, spread = float(own["weight"]), float(own["weight_sd"])
        rows.append(
            {
                "name": name,
                "weight": text.weight(weight, spread),
                "loo": text.loo_weight(float(own["loo_weight"]), float(own["doubtful"])),
                "score": text.score(own["log_score"].values),
                "discrepancy": ", ".join(discrepancy),
                "plans": [
                    plan_text.brief(one.advice.without_law[name]) for one in decisions if name in one.advice.without_law
                ],
            }
        )
    return rows


def _scenario_rows(plan: xr.Dataset) -> list[tuple[str, str]]:
    limits = [(f"Binding: {title}", said) for title, said in binding_limits(plan).items()]
    return [*limits, *((one.name, str(one)) for one in assumptions(plan))]


def _parameter_rows(fit: xr.DataTree) -> list[dict[str, str]]:
    rows = []
    overlaps = prior_overlap(fit, headline_names(fit))
    for name, overlap in overlaps.items():
        bands = {}
        for group in ("prior", "posterior"):
            values = fit[group][name]
            bands[group] = band(*(float(q) for q in values.quantile(list(QUANTILES))))
        rows.append({"name": name, **bands, "overlap": percent(overlap)})
    return rows
