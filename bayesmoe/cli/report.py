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
    from bayesmoe.inference.store import load_fit
    from bayesmoe.progress import progress_of
    from bayesmoe.reporting.build import report, save_report
    from bayesmoe.reporting.forecasts import read_backtest

    backtests = read_backtest(backtest) if backtest is not None else []
    posterior = load_fit(fit)
    found = _planned(posterior, plan) if plan is not None else None
    with progress_of(progress=True) as show:
        page = report(posterior, found, backtests=backtests, on_progress=show)
    save_report(page, out)
    typer.echo(str(out))


def _planned(fit: xr.DataTree, path: Path) -> xr.Dataset:
    """The plan of a file, or on the scenario of one."""
    from bayesmoe.cli.echo import note
    from bayesmoe.cli.progress import planning_progress
    from bayesmoe.errors import with_source
    from bayesmoe.planning.planner import plan
    from bayesmoe.planning.reading import read_scenario
    from bayesmoe.planning.scenario import SECTIONS
    from bayesmoe.planning.store import load_plan
    from bayesmoe.progress import progress_of

    if path.suffix != ".toml":
        return load_plan(path, of=fit)
    scenario = read_scenario(path, on_note=note)
    with with_source(path, *SECTIONS), progress_of(progress=True) as show, planning_progress(fit, scenario, show):
        return plan(fit, scenario)
