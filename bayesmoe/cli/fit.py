"""``bayesmoe fit``: a model spec or a table of runs in, a posterior out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesmoe.cli.echo import echo
from bayesmoe.cli.flags import DenseGroup, Group, Kernel, Law, Map, Method, Noise, Pointwise, Seed, Select, Size, Target

if TYPE_CHECKING:
    from xarray import DataTree


def fit(
    target: Target,
    out: Annotated[Path, typer.Option(help="Where the posterior goes (netCDF).")],
    law: Law = None,
    size: Size = None,
    group: Group = None,
    dense_group: DenseGroup = None,
    map_: Map = None,
    select: Select = None,
    noise: Noise = None,
    method: Method = None,
    sampler: Kernel = None,
    seed: Seed = None,
    chains: Annotated[int | None, typer.Option(help="Chains.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Most warm-up transitions per chain.")] = None,
    draws: Annotated[int | None, typer.Option(help="Draws per chain.")] = None,
    target_accept: Annotated[float | None, typer.Option(help="Target acceptance of the step size.")] = None,
    retries: Annotated[int | None, typer.Option(help="Further attempts when chains disagree or diverge; default 2.")] = None,
    pointwise: Pointwise = None,
) -> None:
    """Fit a scaling law, or an average of several, to a table of runs by MCMC."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.errors import with_source
    from bayesmoe.files import require_writable
    from bayesmoe.inference.spec import spec_from
    from bayesmoe.progress import sampling_progress

    spec = spec_from(
        target,
        laws=law,
        size=size,
        groups={"column": group, "dense": dense_group},
        data={"select": select},
        columns=map_,
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
    from bayesmoe.inference.store import save_fit

    by_flag = {"source": None, "law": law or size, "groups": group or dense_group, "noise": noise}
    in_file = [key for key, flag in by_flag.items() if not flag] if target.suffix == ".toml" else []
    with with_source(target, *in_file), sampling_progress() as show:
        tree = fit_spec(spec, on_progress=show)
    save_fit(tree, out)
    _echo_outcome(tree, out, spec.sampler.draws)


def _echo_outcome(tree: DataTree, out: Path, draws: int) -> None:
    """Law, runs and gate of a fit, its earlier attempts, and the checks that do not pass."""
    from bayesmoe.errors import printable
    from bayesmoe.inference.store import FitInfo

    info = FitInfo.read(tree)
    how = f", approximate ({info.method})" if info.approximate else ""
    verdict = info.gate.verdict if info.gate else "not checked (one chain)"
    if info.interrupted:
        kept = tree["posterior"].sizes["draw"]
        echo(f"interrupted: kept the {kept} of {draws} draws that every chain has made", err=True)
    echo(f"{out}: law {info.law_name}, {tree['observed_data'].sizes['run']} runs{how}, gate {verdict}")
    for number, attempt in enumerate(info.attempts[:-1], start=1):
        echo(f"  attempt {number} was not good enough ({attempt.problem}) and was made again")
    for check in info.gate.checks if info.gate else ():
        if check.verdict != "PASS":
            echo(f"  {check.name} {check.verdict}: {check.value:.4g} at {printable(check.where)}; {check.recommendation}")
