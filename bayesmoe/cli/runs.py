"""``bayesmoe runs``: your own table of runs, from a file or a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesmoe.cli.echo import echo, note

if TYPE_CHECKING:
    from bayesmoe.runs.audit.inspect import Inspection

app = typer.Typer(help="Your own table of runs: check, fetch.", no_args_is_help=True)

Map = Annotated[list[str] | None, typer.Option("--map", help="Your column for ours: loss=val_loss. Repeatable.")]
Clean = Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Write the runs that can stand, in our columns.")]
Spec = Annotated[Path | None, typer.Option(metavar="OUT.toml", help="Write a starter model spec.")]
Best = Annotated[
    bool, typer.Option("--best-of-learning-rate", help="Keep the lowest loss of each configuration; its bias is stated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")]


@app.callback()
def _runs() -> None:
    """Your own table of runs: check, fetch."""


@app.command(epilog="Example: bayesmoe runs check export.csv --clean runs.csv --spec fit.toml")
def check(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS.csv", help="CSV, Parquet or JSON, of pandas, W&B, MLflow or Trackio.")
    ],
    map_: Map = None,
    clean: Clean = None,
    spec: Spec = None,
    best_of_learning_rate: Best = False,
    json_: Json = False,
) -> None:
    """Say which columns of a table of runs are recognized, what is derived, and what looks wrong.

    Exit code 0, or 1 where something cannot stand and no --clean left it out.
    """
    _require_outputs(runs, clean, spec)
    _check(runs, map_ or [], clean, spec, best=best_of_learning_rate, json_=json_)


@app.command(epilog="Example: bayesmoe runs fetch wandb:my-team/moe-sweep --out export.csv --clean runs.csv")
def fetch(
    source: Annotated[str, typer.Argument(metavar="wandb:ENTITY/PROJECT", help="A project of Weights & Biases.")],
    out: Annotated[
        Path | None, typer.Option(metavar="RUNS.csv", help="Where its runs go; runs.csv, unless there is one.")
    ] = None,
    map_: Map = None,
    clean: Clean = None,
    spec: Spec = None,
    best_of_learning_rate: Best = False,
    json_: Json = False,
) -> None:
    """Fetch the settings, results and states of a project's runs as a table, and check it as `runs check` does."""
    from bayesmoe.errors import InputError
    from bayesmoe.files import require_writable, write_text
    from bayesmoe.progress import sampling_progress
    from bayesmoe.runs.remote import fetched
    from bayesmoe.runs.table import column_map

    written = out or Path("runs.csv")
    if out is None and written.exists():
        raise InputError("is there already", file=written, hint="name it with --out to replace it, or name another file")
    require_writable(written, ".csv")
    _require_outputs(written, clean, spec)
    column_map(map_ or [])
    with sampling_progress() as show:
        table, notes = fetched(source, show)
    write_text(written, table.to_csv(index=False))
    for said in (*notes, f"{len(table)} runs of {source} in {written}"):
        note(said)
    _check(written, map_ or [], clean, spec, best=best_of_learning_rate, json_=json_)


def _require_outputs(runs: Path, clean: Path | None, spec: Path | None) -> None:
    from bayesmoe.errors import InputError
    from bayesmoe.files import require_writable

    for flag, out in (("--clean", clean), ("--spec", spec)):
        if out is not None:
            require_writable(out)
        if out is not None and out.absolute() == runs.absolute():
            raise InputError("is the file that is read", file=out, column=flag, hint="name another file")


def _check(runs: Path, maps: list[str], clean: Path | None, spec: Path | None, *, best: bool, json_: bool) -> None:
    """Print what was found in a table, and write what was asked for."""
    from bayesmoe.files import write_text
    from bayesmoe.runs.audit.inspect import inspect_runs, require_tidy, write_tidy
    from bayesmoe.runs.audit.text import inspection_text, left_out_text
    from bayesmoe.runs.table import column_map

    found = inspect_runs(runs, columns=column_map(maps), best=best)
    if clean is not None:
        require_tidy(found, clean)
    started = _started(found, clean, spec) if spec is not None else None
    if clean is not None:
        write_tidy(found, clean)
    if spec is not None and started is not None:
        write_text(spec, started)
    if json_:
        from bayesmoe.documents.runs_check import RunsCheckDocument

        echo(RunsCheckDocument.of(found).as_json(), exact=True)
    else:
        echo(inspection_text(found))
        if clean is not None:
            echo("\n".join([*left_out_text(found), f"{len(found.table)} runs in {clean}"]))
        if spec is not None:
            echo(f"fit it with: bayesmoe fit {spec} --out fit.nc")
    if found.wrong and clean is None:
        raise typer.Exit(1)


def _started(found: Inspection, clean: Path | None, spec: Path) -> str:
    from bayesmoe.errors import InputError

    lacking = next((finding for finding in found.findings if finding.kind == "no law"), None)
    if lacking is not None:
        raise lacking.as_error(found.origin)
    if clean is None and (found.wrong or found.best is not None):
        why = "holds what cannot stand" if found.wrong else "holds more runs than the best of each learning rate"
        raise InputError(
            f"{why}, so that a spec cannot name it", file=found.origin, column="--spec", hint="add --clean OUT.csv"
        )
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.forecasting.spec_template import starter
    from bayesmoe.runs.schema import MAPPABLE

    own = {ours: yours for ours, yours in found.names.items() if ours in MAPPABLE and ours != yours}
    return starter(found.table, file=clean or found.origin, columns={} if clean else own, beside=spec)
