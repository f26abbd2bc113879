"""``bayesmoe runs``: your own table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesmoe.cli.echo import echo

if TYPE_CHECKING:
    from bayesmoe.runs.audit.inspect import Inspection

app = typer.Typer(help="Your own table of runs: check.", no_args_is_help=True)


@app.callback()
def _runs() -> None:
    """Your own table of runs: check."""


@app.command(epilog="Example: bayesmoe runs check export.csv --clean runs.csv --spec fit.toml")
def check(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS.csv", help="CSV, Parquet or JSON, of pandas, W&B, MLflow or Trackio.")
    ],
    map_: Annotated[list[str] | None, typer.Option("--map", help="Your column for ours: loss=val_loss. Repeatable.")] = None,
    clean: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="Write the runs that can stand, in our columns.")
    ] = None,
    spec: Annotated[Path | None, typer.Option(metavar="OUT.toml", help="Write a starter model spec.")] = None,
    best_of_learning_rate: Annotated[
        bool, typer.Option("--best-of-learning-rate", help="Keep the lowest loss of each configuration; its bias is stated.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Say which columns of a table of runs are recognized, what is derived, and what looks wrong.

    Exit code 0, or 1 where something cannot stand and no --clean left it out.
    """
    from bayesmoe.errors import InputError
    from bayesmoe.files import require_writable, write_text
    from bayesmoe.runs.audit.inspect import inspect_runs, require_tidy, write_tidy
    from bayesmoe.runs.audit.text import inspection_text, left_out_text
    from bayesmoe.runs.table import column_map

    for flag, out in (("--clean", clean), ("--spec", spec)):
        if out is not None:
            require_writable(out)
        if out is not None and out.absolute() == runs.absolute():
            raise InputError("is the file that is read", file=out, column=flag, hint="name another file")
    found = inspect_runs(runs, columns=column_map(map_ or []), best=best_of_learning_rate)
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
