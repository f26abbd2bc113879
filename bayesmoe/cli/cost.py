"""``bayesmoe cost``: an architecture and a scenario in, bands on what it costs out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo, note


def cost(
    architecture: Annotated[str, typer.Argument(metavar="ARCH.toml", help="A shape in TOML, or a public model by name.")],
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.toml")],
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", metavar="ARCH.toml", help="Another architecture to set beside it; repeat."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="REQUESTS.csv", help="Log of requests (CSV, JSON lines): their lengths in place of the scenario's."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, max=1_000_000, help="Draws of everything uncertain.")] = 4000,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Bands on memory, GPUs, batch, latency, throughput and USD of serving and training, and what limits them."""
    from bayesmoe.architecture import read_shape
    from bayesmoe.planning.reading import read_scenario

    shapes = [read_shape(each) for each in (architecture, *(beside or ()))]
    asked = read_scenario(scenario, on_note=note, trace=trace)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.costs.cost import bands
    from bayesmoe.costs.cost import cost as cost_of
    from bayesmoe.documents.cost import CostDocument
    from bayesmoe.reporting.cost_text import costs

    found = bands(cost_of(shapes, asked.training, asked.serving, draws=draws, seed=asked.seed))
    echo(CostDocument.of(found).as_json() if json_ else costs(found), exact=json_)
