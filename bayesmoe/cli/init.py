"""``bayesmoe init``: files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def init(folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where the files go.")] = Path()) -> None:
    """Write a table of runs, a model spec and a scenario to edit, and say which commands come next."""
    from bayesmoe.demo.start import start_files

    for line in start_files(folder):
        echo(line)
