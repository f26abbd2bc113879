"""``bayesmoe fit``: a model spec or a table of runs in, a posterior out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def fit(
    target: Annotated[
        Path, typer.Argument(metavar="SPEC.toml|RUNS.csv", help="A model spec, or runs as CSV, Parquet or JSON.")
    ],
    out: Annotated[Path, typer.Option(help="Where the posterior goes (netCDF).")],
    law: Annotated[
        list[str] | None,
        typer.Option(
            help="Law: yun, clark, chinchilla, ... or package.module:MyLaw. Given several times, or as 'average': laws averaged by "
            "how well they forecast larger runs."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Size column the law reads: n_dense, n_active or n_total.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that groups the runs (router, corpus, recipe, lab).")] = None,
    dense_group: Annotated[str | None, typer.Option(help="Group of the dense runs that all groups share.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="Your column for ours: loss=val_loss. Repeatable.")] = None,
    select: Annotated[str | None, typer.Option(help='Keep the runs where this holds: "n_dense > 1e8".')] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(help="Noise of a run depends on: loss, ratio (tokens per parameter), seed; or none. Repeatable."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="mcmc (default), or in seconds and approximate: laplace, pathfinder.")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="Kernel of the chains: hmc (default), nuts, or numpyro for reference.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same draws.")] = None,
    chains: Annotated[int | None, typer.Option(help="Chains.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Most warm-up transitions per chain.")] = None,
    draws: Annotated[int | None, typer.Option(help="Draws per chain.")] = None,
    target_accept: Annotated[float | None, typer.Option(help="Target acceptance of the step size.")] = None,
    retries: Annotated[int | None, typer.Option(help="Further attempts when chains disagree or diverge; default 2.")] = None,
    pointwise: Annotated[
        str | None, typer.Option(help="Keep each run's log-likelihood: auto (while it is small), always, never.")
    ] = None,
) -> None:
    """Fit a scaling law, or an average of several, to a table of runs by MCMC."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.errors import printable, with_source
    from bayesmoe.files import require_writable
    from bayesmoe.inference.spec import spec_from
    from bayesmoe.progress import sampling_progress

    spec = spec_from(
        target,
        laws=law or [],
        size=size,
        groups={"column": group, "dense": dense_group},
        data={"select": select},
        columns=map_ or [],
        noise=noise,
        sampler={
            "method": method,
            "kernel": sampler,
            "seed": seed,
            "chains": chains,
            "warmup": warmup,
            "draws": draws,
            "target_accept": target_accept,
            "retries": retries,
            "pointwise": pointwise,
        },
    )
    require_writable(out, ".nc", reads=(target, spec.data.file))
    configure()
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.store import FitInfo, save_fit

    by_flag = {"source": None, "law": law or size, "groups": group or dense_group, "noise": noise}
    in_file = [key for key, flag in by_flag.items() if not flag] if target.suffix == ".toml" else []
    with with_source(target, *in_file), sampling_progress() as show:
        tree = fit_spec(spec, on_progress=show)
    save_fit(tree, out)
    info = FitInfo.read(tree)
    how = f", approximate ({info.method})" if info.approximate else ""
    verdict = info.gate.verdict if info.gate else "not checked (one chain)"
    if info.interrupted:
        kept = tree["posterior"].sizes["draw"]
        echo(f"interrupted: kept the {kept} of {spec.sampler.draws} draws that every chain has made", err=True)
    echo(f"{out}: law {info.law_name}, {tree['observed_data'].sizes['run']} runs{how}, gate {verdict}")
    for number, attempt in enumerate(info.attempts[:-1], start=1):
        echo(f"  attempt {number} was not good enough ({attempt.problem}) and was made again")
    for check in info.gate.checks if info.gate else ():
        if check.verdict != "PASS":
            echo(f"  {check.name} {check.verdict}: {check.value:.4g} at {printable(check.where)}; {check.recommendation}")
