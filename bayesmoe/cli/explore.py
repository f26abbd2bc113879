"""``bayesmoe explore``: a page on this machine with sliders for what a planner argues about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def explore(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    scenario: Annotated[
        Path | None, typer.Argument(metavar="[SCENARIO.toml]", help="Where the sliders start; Yun's fleet where left out.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Group of runs whose law is meant, or 'new'; overrides the scenario.")
    ] = None,
    despite_fail: Annotated[bool, typer.Option(help="Explore a fit that failed its gate; the page says so.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for any that is free.")] = 5006,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Serve a page with sliders to this machine only: move budget, demand, price, context, latency target and risk, and see the recommended design."""
    from importlib.util import find_spec

    from bayesmoe.cli.open_planning import open_planning
    from bayesmoe.errors import InputError
    from bayesmoe.resources import resource_folder

    if find_spec("panel") is None:
        raise InputError("the page needs Panel, which is not installed", hint="pip install 'bayesmoe[explore]'")
    start = scenario or resource_folder("models") / "scenarios" / "yun-2024.toml"
    planning = open_planning(fit, start, group=group, despite_fail=despite_fail)
    from bayesmoe.explore.serve import serve

    serve(
        planning.fit,
        planning.scenario,
        planning.gate,
        port=port,
        show=browser,
        preparing=lambda: echo(
            "preparing the first answer: seconds, or up to a minute the first time on this machine", err=True
        ),
        ready=lambda address: echo(f"{address} (Ctrl-C ends)"),
    )
