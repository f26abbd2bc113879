"""``bayesmoe figures``: the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures(out: Annotated[Path, typer.Option(help="Folder of the gallery.")] = Path("figures")) -> None:
    """Draw the gallery of figures from the demo's fit and plan."""
    from bayesmoe.cli.progress import sampling_progress
    from bayesmoe.cli.settings import configure

    configure()
    from bayesmoe.demo import demo_results
    from bayesmoe.report.build import figures as make
    from bayesmoe.report.build import save_figures

    with sampling_progress() as show:
        results = demo_results(report=show)
    made = make(results.fit, results.risk)
    save_figures(made, out)
    for name in made:
        typer.echo(str(out / f"{name}.png"))
