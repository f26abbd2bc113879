"""``bayesmoe demo``: the whole job on runs that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo")) -> None:
    """Fit, check, plan and report on simulated runs that come with the package."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.progress import sampling_progress

    configure()
    from bayesmoe.demo.run import run_demo

    with sampling_progress() as show:
        lines = run_demo(out, on_progress=show)
    typer.echo("\n".join(lines))
