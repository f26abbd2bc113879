"""The end of a calibration: its file and what it found, or why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bayesmoe.cli.echo import echo

if TYPE_CHECKING:
    import xarray as xr

    from bayesmoe.costs.calibrations import Kind


def keep(found: xr.DataTree, kind: Kind, out: Path, said: str, *, draws: int) -> None:
    """Write a calibration and say what it found; end with 1 where its chains do not agree."""
    from bayesmoe.costs.hierarchical import settled

    if not settled(found):
        echo(
            f"FAIL: the chains do not agree (worst R-hat {found.attrs['rhat']:.3f}, {found.attrs['divergences']} divergences), nothing was "
            f"written; try --draws {4 * draws}.",
            err=True,
        )
        raise typer.Exit(1)
    kind.save(out, found)
    echo(said)
