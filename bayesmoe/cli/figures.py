"""``bayesmoe figures``: the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures(out: Annotated[Path, typer.Option(help="Folder of the gallery.")] = Path("figures")) -> None:
    """Draw the gallery as PNG and SVG, with a page of captions: the demo's fit and plan, forecasts, and the priors of every law."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.progress import sampling_progress

    configure()
    from bayesmoe.demo.gallery import gallery, save_gallery
    from bayesmoe.demo.run import demo_results

    with sampling_progress() as show:
        made = gallery(*demo_results(on_progress=show), on_progress=show)
    save_gallery(made, out)
    for name in made:
        typer.echo(str(out / f"{name}.png"))
