"""``bayesmoe speedup``: is one group of runs better than another, by how much compute, and at which scale?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def speedup(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    of: Annotated[str, typer.Option(help="Group of runs that may be promoted.")],
    over: Annotated[str, typer.Option(help="Group of runs that it is compared with.")],
    at: Annotated[
        list[float] | None,
        typer.Option(
            help="Training budget, FLOP; repeatable, the verdict is the first's. The largest run of both if left out."
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Speedup to exceed.")] = 1.0,
    probability: Annotated[float, typer.Option(help="Probability of that to promote, and of the contrary to reject.")] = 0.9,
    experts: Annotated[int | None, typer.Option(help="Expert count of both; that of most runs of both if left out.")] = None,
    usd_per_gpu_hour: Annotated[float | None, typer.Option(help="Price runs, at an MFU of 0.4.")] = None,
    accelerator: Annotated[str, typer.Option(help="Accelerator of that price.")] = "H100-SXM",
    figure: Annotated[Path | None, typer.Option(help="Draw the speedup by compute to this PNG or SVG.")] = None,
    despite_fail: Annotated[bool, typer.Option(help="Go on with a fit that failed its gate.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Compare two groups of runs by compute for equal loss; exit with 0 on PROMOTE, 1 on REJECT or UNDECIDED, 2 on bad input."""
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.decisions.speedup import speedup as compared
    from bayesmoe.decisions.speedup_runs import usd_of
    from bayesmoe.documents.speedup import SpeedupDocument
    from bayesmoe.errors import InputError
    from bayesmoe.files import require_writable, written_whole
    from bayesmoe.inference.store import FitInfo, load_fit
    from bayesmoe.reporting import speedup_text, text

    if figure is not None:
        if figure.suffix not in (".png", ".svg"):
            raise InputError("must end in .png or .svg", column="--figure", value=str(figure))
        require_writable(figure, figure.suffix, reads=[fit])
    if usd_per_gpu_hour is not None:
        usd_of(1.0, usd_per_gpu_hour, accelerator)
    posterior = load_fit(fit)
    gate = FitInfo.read(posterior).required_gate(fit)
    gate.refuse_failure(allow_failed=despite_fail, file=fit)
    found = compared(posterior, of=of, over=over, at=at or (), threshold=threshold, probability=probability, experts=experts)
    usd = None if usd_per_gpu_hour is None else lambda flop: usd_of(flop, usd_per_gpu_hour, accelerator)
    if figure is not None:
        from bayesmoe import plots

        with written_whole(figure) as path:
            plots.speedup(found).savefig(path, format=figure.suffix[1:], dpi=130)
    if json_:
        echo(SpeedupDocument.of_result(found, usd).as_json(), exact=True)
    else:
        echo(text.gate_lines(gate.verdict, gate.method, gate.checks))
        echo(speedup_text.speedup(found, usd))
    if found.attrs["verdict"] != "PROMOTE":
        raise typer.Exit(1)
