"""``bayesmoe figures``: the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures(out: Annotated[Path, typer.Option(help="Folder of the gallery.")] = Path("figures")) -> None:
    """Draw the gallery: the demo's fit and plan, and the priors of every law."""
    from bayesmoe.cli.progress import sampling_progress
    from bayesmoe.cli.settings import configure

    configure()
    from bayesmoe.demo import demo_results
    from bayesmoe.planning.next_run import next_runs
    from bayesmoe.planning.plan import scenario_of
    from bayesmoe.planning.sensitivity import sensitivity
    from bayesmoe.report.build import figures as make
    from bayesmoe.report.build import law_figures, save_figures, sensitivity_figures

    with sampling_progress() as show:
        results = demo_results(report=show)
    runs = next_runs(results.fit, results.plan)
    turned = sensitivity(results.fit, scenario_of(results.plan))
    made = make(results.fit, results.risk, plan=results.plan, next_run=runs)
    made |= {**sensitivity_figures(turned), **law_figures()}
    save_figures(made, out)
    for name in made:
        typer.echo(str(out / f"{name}.png"))
