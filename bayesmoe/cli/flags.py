"""Arguments and options of the commands that fit, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Target = Annotated[Path, typer.Argument(metavar="SPEC.toml|RUNS.csv", help="A model spec, or runs as CSV, Parquet or JSON.")]
Law = Annotated[
    list[str] | None,
    typer.Option(
        help="Law: yun, clark, chinchilla, ... or package.module:MyLaw. Given several times, or as 'average': laws averaged by "
        "how well they forecast larger runs."
    ),
]
Size = Annotated[str | None, typer.Option(help="Size column the law reads: n_dense, n_active or n_total.")]
Group = Annotated[str | None, typer.Option("--group-by", help="Column that groups the runs (router, corpus, recipe, lab).")]
DenseGroup = Annotated[str | None, typer.Option(help="Group of the dense runs that all groups share.")]
Map = Annotated[list[str] | None, typer.Option("--map", help="Your column for ours: loss=val_loss. Repeatable.")]
Select = Annotated[str | None, typer.Option(help='Keep the runs where this holds: "n_dense > 1e8".')]
Noise = Annotated[
    list[str] | None,
    typer.Option(help="Noise of a run depends on: loss, ratio (tokens per parameter), seed; or none. Repeatable."),
]
Seed = Annotated[int | None, typer.Option(help="Same seed, same result.")]
Method = Annotated[str | None, typer.Option(help="mcmc (default), or in seconds and approximate: laplace, pathfinder.")]
Kernel = Annotated[str | None, typer.Option(help="Kernel of the chains: hmc (default), nuts, or numpyro for reference.")]
Pointwise = Annotated[
    str | None, typer.Option(help="Keep each run's log-likelihood: auto (while it is small), always, never.")
]
