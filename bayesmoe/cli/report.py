"""``bayesmoe report``: a fit, and a plan when there is one, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    plan: Annotated[Path | None, typer.Argument(metavar="[PLAN.nc]")] = None,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page."""
    from bayesmoe.cli.settings import configure

    configure()
    from bayesmoe.criticism.checks import check
    from bayesmoe.inference.store import load_fit
    from bayesmoe.planning.next_run import next_runs
    from bayesmoe.planning.plan import load_plan
    from bayesmoe.planning.risk import risk
    from bayesmoe.report.build import build_report, figures, save_report

    posterior = load_fit(fit)
    found = load_plan(plan, of=posterior) if plan is not None else None
    summary = risk(found) if found is not None else None
    runs = next_runs(posterior, found) if found is not None and "lifetime_tokens" in found else None
    made = figures(posterior, summary, plan=found, next_run=runs)
    save_report(build_report(posterior, check(posterior), made, plan=found, risk=summary, next_run=runs), out)
    typer.echo(str(out))
