"""``bayesmoe sensitivity``: how each input of a scenario moves the recommendation."""

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
    from bayesmoe.cli.open_planning import open_planning

    planning = open_planning(fit, scenario, group=group, despite_fail=despite_fail)
    from bayesmoe.decisions.sensitivity import sensitivity as vary_inputs
    from bayesmoe.documents import SensitivityDocument
    from bayesmoe.errors import with_source
    from bayesmoe.planning.scenario import SECTIONS
    from bayesmoe.progress import sampling_progress
    from bayesmoe.reporting import advice_text

    with with_source(scenario, *SECTIONS), sampling_progress() as show:
        table = vary_inputs(planning.fit, planning.scenario, allow_failed=despite_fail, on_progress=show)
    echo(SensitivityDocument.of(table).as_json() if json_ else advice_text.tornado(table), exact=json_)
