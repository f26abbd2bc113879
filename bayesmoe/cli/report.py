"""``bayesmoe report``: a fit, and a plan when there is one, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    plan: Annotated[Path | None, typer.Argument(metavar="[PLAN.nc]")] = None,
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
    from bayesmoe.planning.store import load_plan
    from bayesmoe.progress import progress_of
    from bayesmoe.reporting.build import report, save_report
    from bayesmoe.reporting.forecasts import read_backtest

    backtests = read_backtest(backtest) if backtest is not None else []
    posterior = load_fit(fit)
    found = load_plan(plan, of=posterior) if plan is not None else None
    with progress_of(progress=True) as show:
        page = report(posterior, found, backtests=backtests, on_progress=show)
    save_report(page, out)
    typer.echo(str(out))
