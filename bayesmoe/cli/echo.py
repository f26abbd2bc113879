"""What a command prints: plain text, whatever the names in it hold."""

from __future__ import annotations

import typer

from bayesmoe.errors import printable


def echo(text: str, *, err: bool = False) -> None:
    """Print lines of text; what a terminal would act on is written as an escape."""
    typer.echo("\n".join(map(printable, text.split("\n"))), err=err)


def note(text: str) -> None:
    """Print what was read as something else, beside the output."""
    echo(text, err=True)
