"""``bayesmoe next-run``: what each affordable run would be worth to the plan."""

from __future__ import annotations

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
        float | None, typer.Option(help="FLOP of the dearest run; a tenth of the budget if left out.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=20, help="Runs to choose together.")] = 1,
    group: Annotated[
        str | None, typer.Option(help="Group of runs whose law is meant, or 'new'; overrides the scenario.")
    ] = None,
    despite_fail: Annotated[bool, typer.Option(help="Go on with a fit that failed its gate.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Rank runs to train next by how much regret they save, in USD, less what they cost."""
    import json

    from bayesmoe.errors import with_source
    from bayesmoe.planning.scenario import SECTIONS, in_group, read_scenario

    asked = in_group(read_scenario(scenario), group)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.decisions.next_run import next_runs
    from bayesmoe.documents.planning import next_runs_document
    from bayesmoe.inference.store import FitInfo, load_fit
    from bayesmoe.planning.planner import plan
    from bayesmoe.report import advice_text, text

    posterior = load_fit(fit)
    gate = FitInfo.read(posterior).required_gate(fit)
    gate.refuse_failure(allow_failed=despite_fail, file=fit)
    with with_source(scenario, *SECTIONS):
        planned = plan(posterior, asked, verdict=gate.verdict)
    found = next_runs(posterior, planned, problem=problem, max_flop=max_flop, batch=batch)
    if json_:
        echo(json.dumps(next_runs_document(found), indent=2, allow_nan=False))
        return
    echo(text.gate_lines(gate.verdict, gate.method, gate.checks))
    echo(advice_text.next_runs(found))
