"""``bayesmoe laws``: the laws that can be fitted or quoted, and your own."""

from __future__ import annotations

from typing import Annotated

import typer

from bayesmoe.cli.echo import echo

app = typer.Typer(help="Scaling laws: list, show.", no_args_is_help=True)


@app.command("list", epilog="Example: bayesmoe laws list")
def list_() -> None:
    """One line per law: name, equation, source; hyperparameter laws stand under hyper/."""
    from bayesmoe.catalog import catalog
    from bayesmoe.reporting.law_text import catalog_text

    echo(catalog_text(catalog()))


@app.command(epilog="Example: bayesmoe laws show yun")
def show(
    name: Annotated[str, typer.Argument(help="A name of `bayesmoe laws list`, or package.module:MyLaw.")],
    at: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Column of a run at which to evaluate; repeat.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Equation, columns, priors, published coefficients and range of a law; with --at, its values at one run."""
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.documents.law import document_of
    from bayesmoe.reporting.law_text import document_text

    found = document_of(name, at or ())
    echo(found.as_json() if json_ else document_text(found), exact=json_)
