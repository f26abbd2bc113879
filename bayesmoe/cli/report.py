"""``bayesmoe report``: a fit, and a plan or a scenario when there is one, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import xarray as xr


def report(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="[PLAN.nc|SCENARIO.toml]", help="A plan on the fit, or a scenario to plan first."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("report.html"),
    backtest: Annotated[
        Path | None, typer.Option(help="What `bayesmoe backtest --json` printed, to be shown among the evidence.")
    ] = None,
) -> None:
    """Write one self-contained HTML page."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.files import require_writable

    require_writable(out, ".html", reads=(fit, plan, backtest))
    configure()
    from bayesmoe.progress import progress_of
    from bayesmoe.reporting.build import report, save_report
    from bayesmoe.reporting.forecasts import read_backtest

    backtests = read_backtest(backtest) if backtest is not None else []
    if plan is not None and plan.suffix == ".toml":
        posterior, found = _planned(fit, plan)
    else:
        from bayesmoe.inference.store import load_fit
        from bayesmoe.planning.store import load_plan

        posterior = load_fit(fit)
        found = load_plan(plan, of=posterior) if plan is not None else None
    with progress_of(progress=True) as show:
        page = report(posterior, found, backtests=backtests, on_progress=show)
    save_report(page, out)
    typer.echo(str(out))


def _planned(fit: Path, scenario: Path) -> tuple[xr.DataTree, xr.Dataset]:
    """A fit, and its plan on a scenario."""
    from bayesmoe.cli.open_planning import open_planning
    from bayesmoe.cli.progress import planning_progress
    from bayesmoe.errors import with_source

    planning = open_planning(fit, scenario, group=None, despite_fail=False)
    from bayesmoe.planning.planner import plan
    from bayesmoe.planning.scenario import SECTIONS
    from bayesmoe.progress import progress_of

    asked = planning.scenario
    with with_source(scenario, *SECTIONS), progress_of(progress=True) as show, planning_progress(planning.fit, asked, show):
        return planning.fit, plan(planning.fit, asked)
