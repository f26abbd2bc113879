"""The whole job in one place: fit, gate, plan, report, on the simulated runs that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.decision import Decisions
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.demo.gallery import save_figures
from bayesmoe.documents import PlanDocument
from bayesmoe.files import write_text
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.inference.store import save_fit
from bayesmoe.planning.planner import plan
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.store import save_plan
from bayesmoe.reporting import plan_text
from bayesmoe.reporting.build import build_report, figures, notes, save_report
from bayesmoe.resources import resource_folder


class DemoResults(NamedTuple):
    """What the demo computes."""

    fit: xr.DataTree
    plan: xr.Dataset
    decisions: Decisions


def demo_results(*, on_progress: Callable[[Any], None]) -> DemoResults:
    """Fit Yun's law to the simulated grid and plan for Yun's fleet."""
    models = resource_folder("models")
    posterior = fit_spec(read_fit_spec(models / "simulated-yun-grid.toml"), on_progress=on_progress)
    planned = plan(posterior, read_scenario(models / "scenarios" / "yun-2024.toml"))
    return DemoResults(posterior, planned, decide(planned, posterior))


def run_demo(folder: Path, *, on_progress: Callable[[Any], None]) -> list[str]:
    """Run the demo into a folder and return the ten lines to print."""
    fit, planned, decisions = demo_results(on_progress=on_progress)
    save_fit(fit, folder / "fit.nc")
    save_plan(planned, folder / "plan.nc")
    write_text(folder / "plan.json", PlanDocument.of(planned, decisions).as_json() + "\n")
    runs = next_runs(fit, planned)
    made = figures(fit, plan=planned, decisions=decisions, next_run=runs)
    save_figures(made, folder / "figures")
    page = folder / "report.html"
    save_report(build_report(fit, made, plan=planned, decisions=decisions, next_run=runs), page)
    return plan_text.ten_lines(planned, decisions, notes(fit, decisions)[0], str(page))
