"""``bayesmoe backtest``: forecast larger runs from smaller ones, and see how the bands do."""

from __future__ import annotations

from typing import Annotated

import typer

from bayesmoe.cli.echo import echo
from bayesmoe.cli.flags import DenseGroup, Group, Map, Noise, Seed, Select, Size, Target


def backtest(
    target: Target,
    hold_out: Annotated[str | None, typer.Option(help='Hold out the runs where this holds: "n_dense > 1e9".')] = None,
    forward: Annotated[
        int | None,
        typer.Option(
            min=1, max=8, help="Instead: order runs by training compute, and hold out the larger at so many splits."
        ),
    ] = None,
    law: Annotated[list[str] | None, typer.Option(help="Laws of the average; repeatable. Default: by what varies.")] = None,
    size: Size = None,
    group: Group = None,
    dense_group: DenseGroup = None,
    map_: Map = None,
    select: Select = None,
    noise: Noise = None,
    seed: Seed = None,
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
        laws=[AVERAGE, *law] if law else None,
        size=size,
        groups={"column": group, "dense": dense_group},
        data={"select": select},
        columns=map_,
        noise=noise,
        sampler={"seed": seed},
    )
    configure()
    from bayesmoe.documents.backtest import BacktestDocument
    from bayesmoe.forecasting.backtest import backtest as run
    from bayesmoe.forecasting.hold_outs import forward_masks, held_out
    from bayesmoe.progress import sampling_progress
    from bayesmoe.reporting.backtest_text import lines

    table = load_table(spec.data, spec.groups)
    masks = {hold_out: held_out(table, hold_out)} if hold_out is not None else forward_masks(spec, table.frame, forward or 1)
    with sampling_progress() as show:
        found = {
            name: run(spec, table, mask, on_progress=lambda progress, name=name: show(progress.of(name)))
            for name, mask in masks.items()
        }
    if json_:
        echo(BacktestDocument.of(found).as_json(), exact=True)
        return
    for name, each in found.items():
        echo(f"held out: {name}")
        for line in lines(each):
            echo(f"  {line}")
