"""``bayesmoe calibrate-serving``: measured serving points in, a calibration of the roofline out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.calibrated import keep


def calibrate_serving(
    points: Annotated[Path, typer.Argument(metavar="POINTS.csv", help="Measured TPOT, and TTFT where known.")],
    out: Annotated[Path, typer.Option(help="Where the calibration goes (netCDF); name it in serving.calibration.")],
    draws: Annotated[int, typer.Option(min=50, max=100_000, help="Draws a chain.")] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Fit the roofline's efficiencies and overheads to your own measurements."""
    from bayesmoe.costs.serving_measurements import read_points
    from bayesmoe.files import require_writable

    require_writable(out, ".nc", reads=(points,))
    measured = read_points(points)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.costs.serving.calibration import KIND
    from bayesmoe.costs.serving.fit_calibration import calibrate_serving as calibrate
    from bayesmoe.reporting.cost_text import calibration

    found = calibrate(measured, draws=draws, warmup=draws, seed=seed, progress=sys.stderr.isatty())
    keep(found, KIND, out, calibration(found, out), draws=draws)
