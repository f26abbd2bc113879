"""``bayesmoe check``: has the sampler converged?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def check(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Print the gate of a fit; exit with 1 on FAIL."""
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.criticism.gate import check as check_fit
    from bayesmoe.documents.check import CheckDocument
    from bayesmoe.inference.store import load_fit

    gate = check_fit(load_fit(fit))
    if json_:
        echo(CheckDocument.of(gate).as_json(), exact=True)
    else:
        echo(str(gate))
    if gate.verdict == "FAIL":
        raise typer.Exit(1)
