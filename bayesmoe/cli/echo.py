"""What a command prints: plain text, whatever the names in it hold."""

from __future__ import annotations

import typer

from bayesmoe.errors import printable
from bayesmoe.terminal import fitted


def echo(text: str, *, err: bool = False, exact: bool = False) -> None:
    """Print lines of text, fitted to the terminal unless they are a document; what a terminal would act on is written as an escape."""
    said = "\n".join(map(printable, text.split("\n")))
    typer.echo(said if exact else fitted(said), err=err)


def note(text: str) -> None:
    """Print what was read as something else, beside the output."""
    echo(text, err=True)
