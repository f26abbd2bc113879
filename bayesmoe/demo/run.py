"""The whole job in one place: fit, gate, plan, report, on the simulated runs that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from bayesmoe.criticism.gate import Gate, check
from bayesmoe.files import write_text
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.inference.store import save_fit
from bayesmoe.resources import resource_folder
from bayesmoe.decisions.decide import decide
from bayesmoe.documents import PlanDocument
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.planning.planner import plan
from bayesmoe.planning.store import save_plan
from bayesmoe.decisions.risk import risk
from bayesmoe.planning.scenario import read_scenario
from bayesmoe.reporting import plan_text
from bayesmoe.reporting.build import build_report, figures, notes, save_report
from bayesmoe.demo.gallery import save_figures


@dataclass(frozen=True)
class DemoResults:
    """What the demo computes."""

    fit: xr.DataTree
    gate: Gate
    plan: xr.Dataset
    risk: xr.Dataset


def demo_results(*, on_progress: Callable[[Any], None]) -> DemoResults:
    """Fit Yun's law to the simulated grid and plan for Yun's fleet."""
    models = resource_folder("models")
    posterior = fit_spec(read_fit_spec(models / "simulated-yun-grid.toml"), on_progress=on_progress)
    gate = check(posterior)
    found = plan(posterior, read_scenario(models / "scenarios" / "yun-2024.toml"))
    return DemoResults(posterior, gate, found, risk(found))


def run_demo(folder: Path, *, on_progress: Callable[[Any], None]) -> list[str]:
    """Run the demo into a folder and return the ten lines to print."""
    results = demo_results(on_progress=on_progress)
    document = PlanDocument.of(results.plan, decide(results.plan))
    save_fit(results.fit, folder / "fit.nc")
    save_plan(results.plan, folder / "plan.nc")
    write_text(folder / "plan.json", document.as_json() + "\n")
    runs = next_runs(results.fit, results.plan)
    made = figures(results.fit, results.risk, plan=results.plan, next_run=runs)
    save_figures(made, folder / "figures")
    page = folder / "report.html"
    save_report(build_report(results.fit, results.gate, made, plan=results.plan, risk=results.risk, next_run=runs), page)
    return plan_text.ten_lines(results.risk, document.as_dict(), notes(results.fit, results.risk)[0], str(page))
