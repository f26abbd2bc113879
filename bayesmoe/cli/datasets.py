"""``bayesmoe datasets``: the registered public run tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo

app = typer.Typer(help="Registered run tables: list, show, fetch.", no_args_is_help=True)


@app.command("list", epilog="Example: bayesmoe datasets list")
def list_() -> None:
    """One line per registered data set."""
    from bayesmoe.runs import registered
    from bayesmoe.terminal import table

    echo(table(("name", "title"), [(name, entry.title) for name, entry in registered().items()], text=2))


@app.command(epilog="Example: bayesmoe datasets show clark2022")
def show(name: str) -> None:
    """Source, license, citation and files of a data set."""
    from bayesmoe.runs import registered_as

    entry = registered_as(name)
    echo(f"{name}: {entry.title}\ncite: {entry.citation}\nlicense: {entry.license}\nupstream: {entry.upstream}")
    for file in entry.files.values():
        echo(f"file: {file.name} sha256 {file.sha256} {file.url or '(comes with bayesmoe)'}")


@app.command(epilog="Example: bayesmoe datasets fetch clark2022 --out clark.csv")
def fetch(
    name: str, out: Annotated[Path | None, typer.Option(help="Also write the tidy table here (.csv or .parquet).")] = None
) -> None:
    """Download a data set into the user's cache and verify its checksum."""
    from bayesmoe.errors import InputError
    from bayesmoe.files import require_writable, written_whole
    from bayesmoe.runs import fetch as fetch_files
    from bayesmoe.runs import load_source

    if out is not None:
        if out.suffix not in (".csv", ".parquet"):
            raise InputError("must end in .csv or .parquet", column="--out", value=str(out))
        require_writable(out)
    for path in fetch_files(name):
        echo(str(path))
    if out is not None:
        frame = load_source(name).frame
        with written_whole(out) as temporary:
            frame.to_csv(temporary, index=False) if out.suffix == ".csv" else frame.to_parquet(temporary, index=False)
        echo(f"{len(frame)} runs in {out}")
