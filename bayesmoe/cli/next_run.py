"""``bayesmoe next-run``: what each affordable run would be worth to the plan."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def next_run(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml")],
    problem: Annotated[
        str | None, typer.Option(help="Problem whose regret counts; the scenario's first if left out.")
    ] = None,
    max_flop: Annotated[
        float | None, typer.Option(help="FLOP of the most expensive run; a tenth of the budget if left out.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=20, help="Runs to choose together, as a plan with dates and cost.")] = 1,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that train them, one run after the other.")] = 8,
    start: Annotated[
        datetime.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of the batch; today if left out.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Group of runs whose law is meant, or 'new'; overrides the scenario.")
    ] = None,
    despite_fail: Annotated[bool, typer.Option(help="Go on with a fit that failed its gate.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Rank candidate runs by their expected value (EVSI) less their cost, in USD."""
    from bayesmoe.cli.open_planning import open_planning

    planning = open_planning(fit, scenario, group=group, despite_fail=despite_fail, several=True)
    from bayesmoe.cli.progress import planning_progress
    from bayesmoe.decisions.next_run import next_runs
    from bayesmoe.decisions.run_plan import schedule
    from bayesmoe.documents import NextRunDocument
    from bayesmoe.errors import with_source
    from bayesmoe.planning.planner import plan
    from bayesmoe.planning.reading import by_budget
    from bayesmoe.planning.scenario import SECTIONS
    from bayesmoe.progress import progress_of
    from bayesmoe.reporting import advice_text, text

    posterior, gate = planning.fit, planning.gate
    with progress_of(progress=True) as show:
        planned = []
        for name, one in by_budget("planning", planning.roadmap).items():
            with with_source(scenario, *SECTIONS), planning_progress(posterior, one, show, name):
                planned.append(plan(posterior, one, allow_failed=despite_fail))
        ranking = next_runs(posterior, planned, problem=problem, max_flop=max_flop, batch=batch, on_progress=show)
    first = start or datetime.datetime.combine(datetime.date.today(), datetime.time.min)
    runs = schedule(ranking, start=first, gpus=gpus)
    if json_:
        echo(NextRunDocument.of(ranking, runs).as_json(), exact=True)
        return
    echo(text.gate_lines(gate.verdict, gate.method, gate.checks))
    echo(advice_text.next_runs(ranking, runs))
