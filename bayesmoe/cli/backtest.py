"""``bayesmoe backtest``: forecast larger runs from smaller ones, and see how the bands do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def backtest(
    target: Annotated[
        Path, typer.Argument(metavar="SPEC.toml|RUNS.csv", help="A model spec, or runs as CSV, Parquet or JSON.")
    ],
    hold_out: Annotated[str | None, typer.Option(help='Hold out the runs where this holds: "n_dense > 1e9".')] = None,
    forward: Annotated[
        int | None,
        typer.Option(
            min=1, max=8, help="Instead: order runs by training compute, and hold out the larger at so many splits."
        ),
    ] = None,
    law: Annotated[list[str] | None, typer.Option(help="Laws of the average; repeatable. Default: by what varies.")] = None,
    size: Annotated[str | None, typer.Option(help="Size column the laws read: n_dense, n_active or n_total.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that groups the runs.")] = None,
    dense_group: Annotated[str | None, typer.Option(help="Group of the dense runs that all groups share.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="Your column for ours: loss=val_loss. Repeatable.")] = None,
    select: Annotated[str | None, typer.Option(help='Use the runs where this holds: "n_dense > 1e8".')] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(help="Noise of a run depends on: loss, ratio (tokens per parameter), seed; or none. Repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same forecasts.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Fit the smaller runs, forecast the larger, and print coverage, bias and CRPS beside today's practice."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.errors import InputError
    from bayesmoe.inference.spec import AVERAGE, load_table, spec_from

    if (hold_out is None) == (forward is None):
        raise InputError("give one of them", column="--hold-out or --forward", hint='such as --hold-out "n_dense > 1e9"')
    spec = spec_from(
        target,
        laws=[AVERAGE, *law] if law else [],
        size=size,
        groups={"column": group, "dense": dense_group},
        data={"select": select},
        columns=map_ or [],
        noise=noise,
        sampler={"seed": seed},
    )
    configure()
    from bayesmoe.documents.backtest import BacktestDocument
    from bayesmoe.forecasting.backtest import backtest as run
    from bayesmoe.forecasting.backtest import forward_masks, held_out
    from bayesmoe.forecasting.backtest_text import lines

    table = load_table(spec.data, spec.groups)
    masks = {hold_out: held_out(table, hold_out)} if hold_out is not None else forward_masks(spec, table.frame, forward or 1)
    found = {name: run(spec, table, mask, on_progress=lambda line: echo(line, err=True)) for name, mask in masks.items()}
    if json_:
        echo(BacktestDocument.of(found).as_json())
        return
    for name, each in found.items():
        echo(f"held out: {name}")
        for line in lines(each):
            echo(f"  {line}")
