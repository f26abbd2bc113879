"""``bayesmoe sensitivity``: what each number of a scenario does to the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def sensitivity(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml")],
    group: Annotated[
        str | None, typer.Option(help="Group of runs whose law is meant, or 'new'; overrides the scenario.")
    ] = None,
    despite_fail: Annotated[bool, typer.Option(help="Go on with a fit that failed its gate.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Plan anew with each number of the scenario at either end of its band: a tornado of cost and of expert count."""
    import json

    from bayesmoe.errors import with_source
    from bayesmoe.planning.scenario import SECTIONS, in_group, read_scenario

    asked = in_group(read_scenario(scenario), group)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.decisions.sensitivity import sensitivity as turned
    from bayesmoe.documents.planning import sensitivity_document
    from bayesmoe.inference.store import FitInfo, load_fit
    from bayesmoe.report import advice_text

    posterior = load_fit(fit)
    FitInfo.read(posterior).required_gate(fit).refuse_failure(allow_failed=despite_fail, file=fit)
    with with_source(scenario, *SECTIONS):
        found = turned(posterior, asked, on_progress=lambda name: echo(f"turning {name}", err=True))
    echo(json.dumps(sensitivity_document(found), indent=2, allow_nan=False) if json_ else advice_text.tornado(found))
