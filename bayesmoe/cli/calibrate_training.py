"""``bayesmoe calibrate-training``: measured training throughput in, a calibration of the training step out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.calibrated import keep


def calibrate_training(
    points: Annotated[Path, typer.Argument(metavar="POINTS.csv", help="Measured tokens per second and GPU, with layouts.")],
    out: Annotated[Path, typer.Option(help="Where the calibration goes (netCDF); name it in training.calibration.")],
    draws: Annotated[int, typer.Option(min=50, max=100_000, help="Draws a chain.")] = 500,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Fit the training step's efficiencies and overheads to your own measurements."""
    from bayesmoe.costs.training_measurements import read_training_points
    from bayesmoe.files import require_writable

    require_writable(out, ".nc", reads=(points,))
    measured = read_training_points(points)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.costs.hierarchical import Settings
    from bayesmoe.costs.training.calibration import KIND
    from bayesmoe.costs.training.fit_calibration import calibrate_training as calibrate
    from bayesmoe.reporting.cost_text import training_calibration

    found = calibrate(measured, settings=Settings(draws, draws, 2, seed, sys.stderr.isatty()))
    keep(found, KIND, out, training_calibration(found, out), draws=draws)
