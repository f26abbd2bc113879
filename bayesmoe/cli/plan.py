"""``bayesmoe plan``: a posterior and scenarios in, plans out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo, note


def plan(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    scenarios: Annotated[
        list[Path], typer.Argument(metavar="SCENARIO.toml...", help="One scenario, or several to compare.")
    ],
    out: Annotated[Path, typer.Option(help="Where the plan goes (netCDF); a folder for several scenarios.")],
    group: Annotated[
        str | None, typer.Option(help="Group of runs whose law is meant, or 'new'; overrides the scenario.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="REQUESTS.csv", help="Log of requests (CSV, JSON lines): their lengths in place of the scenario's."
        ),
    ] = None,
    despite_fail: Annotated[bool, typer.Option(help="Plan on a fit that failed its gate; every page says so.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Choose the expert count, size and tokens under every posterior draw."""
    from bayesmoe.errors import InputError, with_source
    from bayesmoe.files import require_writable
    from bayesmoe.planning.reading import by_budget, read_roadmap
    from bayesmoe.planning.scenario import SECTIONS, in_group

    if len({path.stem for path in scenarios}) < len(scenarios):
        raise InputError("must not repeat a file name: each names its plan", value=", ".join(map(str, scenarios)))
    asked, files = {}, {}
    for path in scenarios:
        for name, one in by_budget(path.stem, read_roadmap(path, on_note=note, trace=trace)).items():
            asked[name], files[name] = in_group(one, group), path
    if len(asked) > 1 and out.suffix:
        raise InputError(
            "must be a folder for several scenarios or budgets", column="--out", value=str(out), hint="such as --out plans"
        )
    places = {name: out if len(asked) == 1 else out / f"{name}.nc" for name in asked}
    for place in places.values():
        require_writable(place, ".nc", reads=(fit, *scenarios))
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.cli.progress import planning_progress
    from bayesmoe.decisions.decide import decide
    from bayesmoe.decisions.gate import gate_of_plan
    from bayesmoe.documents import PlanDocument, PlansDocument
    from bayesmoe.inference.store import FitInfo, load_fit
    from bayesmoe.planning.planner import plan as plan_fit
    from bayesmoe.planning.store import save_plan
    from bayesmoe.progress import Progress, progress_of
    from bayesmoe.reporting import advice_text, plan_text, text

    posterior = load_fit(fit)
    gate = FitInfo.read(posterior).required_gate(fit)
    gate.refuse_failure(allow_failed=despite_fail, file=fit)
    plans, decided = {}, {}
    with progress_of(progress=True) as show:
        for name, one in asked.items():
            with with_source(files[name], *SECTIONS), planning_progress(posterior, one, show, f"planning {name}"):
                plans[name] = plan_fit(posterior, one, allow_failed=despite_fail)
        for done, (name, found) in enumerate(plans.items()):
            show(Progress("deciding", done, len(plans)))
            decided[name] = decide(found, posterior)
    for name, found in plans.items():
        save_plan(found, places[name])
    if json_:
        documents = [PlanDocument.of(found, decided[name]) for name, found in plans.items()]
        echo((documents[0] if len(documents) == 1 else PlansDocument.of(documents)).as_json(), exact=True)
        return
    for name, decisions in decided.items():
        own = gate_of_plan(gate, decisions)
        echo(text.gate_lines(own.verdict, own.method, own.checks))
        for decision in decisions:
            lines = [
                plan_text.summary(decision),
                f"Each draw with its own size: {plan_text.per_draw(decision)}",
                advice_text.worth_knowing(decision),
                advice_text.break_even(decision),
                advice_text.settings(decision),
            ]
            echo("\n  ".join(filter(None, lines)))
        echo(f"plan in {places[name]}; the page of it:\n  bayesmoe report {fit} {places[name]} --out report.html")
    if len(decided) > 1:
        echo(plan_text.compared(decided))
    for path in scenarios:
        if list(files.values()).count(path) > 1:
            echo(f"The next run that is worth most to all budgets of {path}:\n  bayesmoe next-run {fit} {path}")
