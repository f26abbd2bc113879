"""``bayesmoe plan``: a posterior and a scenario in, a plan out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plan(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml")],
    out: Annotated[Path, typer.Option(help="Where the plan goes (netCDF).")],
    group: Annotated[
        str | None, typer.Option(help="Group of runs whose law is meant, or 'new'; overrides the scenario.")
    ] = None,
    despite_fail: Annotated[bool, typer.Option(help="Plan on a fit that failed its gate; every page says so.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Choose the expert count, size and tokens under every posterior draw."""
    import json

    from bayesmoe.planning.scenario import in_group, read_scenario

    asked = in_group(read_scenario(scenario), group)
    from bayesmoe.cli.settings import configure

    configure()
    from bayesmoe.criticism.checks import gate_for_plan, with_extrapolation
    from bayesmoe.inference.store import load_fit
    from bayesmoe.planning.document import as_document
    from bayesmoe.planning.plan import plan as plan_fit
    from bayesmoe.planning.plan import save_plan
    from bayesmoe.planning.risk import risk, times_beyond
    from bayesmoe.report import plan_text, text

    posterior = load_fit(fit)
    gate = gate_for_plan(posterior, despite_fail=despite_fail, file=fit)
    found = plan_fit(posterior, asked, verdict=gate.verdict)
    summary = risk(found)
    gate = with_extrapolation(gate, times_beyond(posterior, summary))
    save_plan(found, out)
    if json_:
        typer.echo(json.dumps(as_document(found, summary), indent=2))
        return
    typer.echo(f"gate {gate.verdict}. {text.gate(gate.verdict, gate.method)} {text.approximate(gate.method)}".rstrip())
    for problem in summary["problem"].values:
        part, name = summary.sel(problem=problem), str(problem)
        typer.echo(f"{plan_text.TITLES[name]}. {plan_text.signed(name, part, asked)}")
        typer.echo(f"  Each draw on its own: {plan_text.decision(name, part, asked)}")
    typer.echo(f"plan in {out}; bayesmoe report {fit} {out} --out report.html makes the page")
