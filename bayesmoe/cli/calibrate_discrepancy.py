"""``bayesmoe calibrate-discrepancy``: past sweeps in, the prior of how far laws miss beyond their runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def calibrate_discrepancy(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="[LAB=]TABLE ...",
            help="Model specs (.toml) or run tables of past sweeps; tables of one lab count as one. Without a lab, each is its own.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the prior goes (TOML); name it in average.discrepancy.")],
) -> None:
    """Learn from past sweeps how far laws that were fitted to small runs miss larger ones."""
    from bayesmoe.cli.runtime import configure
    from bayesmoe.files import require_writable, write_text
    from bayesmoe.inference.spec import load_table, spec_from

    named = [(lab or Path(file).stem, file) for lab, _, file in (text.rpartition("=") for text in tables)]
    require_writable(out, ".toml", reads=[file for _, file in named])
    specs = [(lab, spec_from(file)) for lab, file in named]
    read = [(lab, spec, load_table(spec.data, spec.groups)) for lab, spec in specs]
    configure()
    from bayesmoe.forecasting.calibrate_discrepancy import learned_prior, misses_of_table
    from bayesmoe.progress import sampling_progress
    from bayesmoe.specs import to_toml

    with sampling_progress() as show:
        found = [
            misses
            for lab, spec, table in read
            for misses in misses_of_table(spec, table, lab, on_progress=lambda progress, lab=lab: show(progress.of(lab)))
        ]
    prior = learned_prior(found)
    write_text(out, to_toml(prior))
    scales = ", ".join(f"{kind} {value:g}" for kind, value in prior.scale.items())
    echo(
        f"{out}: scales {scales}; log-sd {prior.log_sd:g}, from {len(prior.learned_from)} tables of {len({lab for lab, _ in named})} labs"
    )
