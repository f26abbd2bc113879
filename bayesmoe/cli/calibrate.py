"""``bayesmoe calibrate``: are the bands right when the law is? On this machine's cores, or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_BLOCK = 5


def calibrate(
    target: Annotated[Path, typer.Argument(metavar="SPEC.toml|RUNS.csv", help="A model spec, or a CSV or Parquet of runs.")],
    out: Annotated[
        Path, typer.Option(help="Where the ranks go (netCDF); finished work is kept beside it until all is done.")
    ],
    simulations: Annotated[int, typer.Option(min=20, help="Simulated tables.")] = 200,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler; default: a cluster on this machine.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of the cluster on this machine; default: its cores.")
    ] = None,
    law: Annotated[str | None, typer.Option(help="Law: yun, clark, chinchilla, ... or package.module:MyLaw.")] = None,
    size: Annotated[str | None, typer.Option(help="Size column the law reads.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that groups the runs.")] = None,
    dense_group: Annotated[str | None, typer.Option(help="Group of the dense runs that all groups share.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same ranks, however many workers.")] = None,
) -> None:
    """Simulate tables from the prior, refit each, and test whether the truth's ranks are uniform; exit with 1 where they are not."""
    from bayesmoe.cli.settings import configure
    from bayesmoe.files import require_writable, write_netcdf
    from bayesmoe.inference.spec import law_of, load_table, spec_from

    spec = spec_from(
        target,
        laws=[law] if law else [],
        size=size,
        groups={"column": group, "dense": dense_group},
        data={},
        columns=[],
        sampler={"seed": seed},
    )
    require_writable(out)
    configure()
    import xarray as xr

    from bayesmoe.criticism.calibrate import calibration
    from bayesmoe.criticism.cluster import finished_blocks

    table = load_table(spec.data, spec.groups, law_of(spec.law).response)
    blocks = [list(range(first, min(first + _BLOCK, simulations))) for first in range(0, simulations, _BLOCK)]
    kept = out.with_suffix(".partial.jsonl")
    found = finished_blocks(
        ranks_in_worker,
        blocks,
        (spec, table),
        kept=kept,
        scheduler=scheduler,
        workers=workers,
        report=lambda line: typer.echo(line, err=True),
    )
    ranks = xr.concat([xr.Dataset.from_dict(block) for block in found], "simulation").sortby("simulation")
    test = calibration(ranks)
    write_netcdf(out, ranks.merge(test))
    kept.unlink()
    joint = float(test["joint_p_value"])
    worst = test["p_value"].to_series().nsmallest(3)
    typer.echo(f"{out}: {simulations} simulations, {int((ranks['divergences'] > 0).sum())} refits with divergences")
    typer.echo("least uniform: " + ", ".join(f"{name} (p = {value:.3g})" for name, value in worst.items()))
    typer.echo(
        f"ranks {'are not' if joint < ERROR_RATE else 'look'} uniform: p = {joint:.3g} for all parameters together (error rate {ERROR_RATE})"
    )
    if joint < ERROR_RATE:
        raise typer.Exit(1)


ERROR_RATE = 0.001
"""A calibrated model is rejected with at most this probability."""


def ranks_in_worker(numbers: list[int], spec: Any, table: Any) -> dict[str, Any]:
    """Ranks of some simulations, as plain data; runs in a worker, which may be a fresh process."""
    from bayesmoe.cli.settings import configure

    configure()
    from bayesmoe.criticism.calibrate import ranks_of
    from bayesmoe.inference.fit import arrange
    from bayesmoe.inference.spec import coordinates_of, law_of

    law = law_of(spec.law)
    _, structure, data = arrange(table, law, coordinates_of(law, spec.law.priors), spec)
    return ranks_of(structure, data, numbers, seed=spec.sampler.seed).to_dict()
