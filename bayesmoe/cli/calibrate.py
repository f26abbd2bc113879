"""``bayesmoe calibrate``: are the bands right when the law is? On this machine's cores, or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bayesmoe.cli.echo import echo
from bayesmoe.cli.flags import DenseGroup, Group, Law, Seed, Size, Target

_BLOCK = 5


def calibrate(
    target: Target,
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
    law: Law = None,
    size: Size = None,
    group: Group = None,
    dense_group: DenseGroup = None,
    seed: Seed = None,
) -> None:
    """Simulate tables from the prior, refit each, and test the bands against the truth; exit with 1 where they fail.

    One law's ranks must be uniform. An average's bands, of the largest runs from the smaller, must cover what they say.
    """
    from bayesmoe.cli.runtime import configure
    from bayesmoe.files import require_writable, write_netcdf
    from bayesmoe.inference.spec import law_of, load_table, spec_from

    spec = spec_from(target, laws=law, size=size, groups={"column": group, "dense": dense_group}, sampler={"seed": seed})
    require_writable(out, ".nc", reads=(target, spec.data.file))
    configure()
    import xarray as xr

    from bayesmoe.criticism.cluster import finished_blocks
    from bayesmoe.criticism.sbc import calibration
    from bayesmoe.forecasting.average_sbc import average_calibration

    averaged = spec.average is not None
    table = load_table(spec.data, spec.groups, "loss" if averaged else law_of(spec.law).response)
    # An average's table takes minutes, a law's a second.
    step = 1 if averaged else _BLOCK
    blocks = [list(range(first, min(first + step, simulations))) for first in range(0, simulations, step)]
    kept = out.with_suffix(".partial.jsonl")
    finished = finished_blocks(
        average_ranks_in_worker if averaged else ranks_in_worker,
        blocks,
        (spec, table),
        kept=kept,
        scheduler=scheduler,
        workers=workers,
        on_progress=lambda line: echo(line, err=True),
    )
    ranks = xr.concat([xr.Dataset.from_dict(block) for block in finished], "simulation").sortby("simulation")
    test = average_calibration(ranks) if averaged else calibration(ranks)
    write_netcdf(out, ranks.merge(test))
    kept.unlink()
    for line in (f"{out}: {simulations} simulations", *(_of_average if averaged else _of_law)(ranks, test)):
        echo(line)
    if float(test["joint_p_value"]) < ERROR_RATE:
        raise typer.Exit(1)


def _of_law(ranks: Any, test: Any) -> list[str]:
    joint, worst = float(test["joint_p_value"]), test["p_value"].to_series().nsmallest(3)
    verdict = "are not" if joint < ERROR_RATE else "look"
    return [
        f"{int((ranks['divergences'] > 0).sum())} refits with divergences",
        "least uniform: " + ", ".join(f"{name} (p = {value:.3g})" for name, value in worst.items()),
        f"ranks {verdict} uniform: p = {joint:.3g} for all parameters jointly (error rate {ERROR_RATE})",
    ]


def _of_average(ranks: Any, test: Any) -> list[str]:
    joint, covered = float(test["joint_p_value"]), test["coverage"].to_series()
    verdict = "are too narrow" if joint < ERROR_RATE else "are not too narrow"
    return [
        "largest run in its band: " + ", ".join(f"{share:.0%} of {level:.0%}" for level, share in covered.items()),
        f"all runs held out in their 90% bands: {float(ranks['held_out'].mean()):.0%}",
        f"bands {verdict}: p = {joint:.3g} (error rate {ERROR_RATE})",
    ]


ERROR_RATE = 0.001
"""A calibrated model is rejected with at most this probability."""


def ranks_in_worker(numbers: list[int], spec: Any, table: Any) -> dict[str, Any]:
    """Ranks of some simulations, as plain data; runs in a worker, which may be a fresh process."""
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.criticism.sbc import ranks_of, without_seed
    from bayesmoe.inference.fit_law import arrange
    from bayesmoe.inference.priors import coordinates_of
    from bayesmoe.inference.repetition import resolved
    from bayesmoe.inference.spec import law_of

    spec, table = resolved(without_seed(spec), table)
    law = law_of(spec.law)
    _, structure, data = arrange(table, law, coordinates_of(law, spec.law.priors), spec)
    return ranks_of(structure, data, numbers, seed=spec.sampler.seed).to_dict()


def average_ranks_in_worker(numbers: list[int], spec: Any, table: Any) -> dict[str, Any]:
    """Percentiles of some simulations of an average, as plain data; runs in a worker."""
    from bayesmoe.cli.runtime import configure

    configure()
    import jax

    from bayesmoe.forecasting.average_sbc import average_ranks_of

    found = average_ranks_of(spec, table, numbers, seed=spec.sampler.seed).to_dict()
    # Compiled programs are never freed, and a worker has many tables to come.
    jax.clear_caches()
    return found
