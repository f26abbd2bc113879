"""Calibrations as files, and draws from them for groups that were measured and for others."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

import bayesmoe
from bayesmoe.errors import InputError
from bayesmoe.files import read_dataset, read_header, require_file, require_format, write_netcdf

FARTHEST = 5.0
"""Where draws of a Student t are cut, in scales: its exponential has no mean."""


def draw_of(calibration: xr.Dataset, draws: int, rng: np.random.Generator) -> xr.Dataset:
    """Draws of a calibration at random, with replacement; dimension ``sample``."""
    sample = rng.integers(calibration.sizes["chain"] * calibration.sizes["draw"], size=draws)
    return calibration.stack(sample=("chain", "draw")).isel(sample=sample).astype(float)


def effect(
    posterior: xr.Dataset, name: str, dim: str, spread: str, which: str | None, rng: np.random.Generator
) -> np.ndarray:
    """Draws of a group's effect, or of one that was not measured: from the spread between those that were; shape (S,)."""
    if which in posterior[dim].values:
        return posterior[name].sel({dim: which}).values
    return posterior[spread].values * rng.standard_normal(posterior.sizes["sample"])


class Kind(NamedTuple):
    """A kind of calibration file: what it is called, the command that makes one, where the shipped one lies, and the layout of its files."""

    name: str
    command: str
    shipped: Path
    format: int = 1

    def save(self, path: str | Path, tree: xr.DataTree) -> None:
        """Write a calibration as netCDF, whole or not at all, in single precision."""
        posterior = tree["posterior"].to_dataset().astype("float32")
        posterior.attrs = tree.attrs | {
            "format": self.format,
            "kind": self.name,
            "bayesmoe_version": bayesmoe.__version__,
        }
        write_netcdf(path, posterior)

    def read(self, path: str | Path | None = None) -> xr.Dataset:
        """Read a calibration; the shipped one where no path is given.

        Raises
        ------
        InputError
            The file is missing, unreadable, or no such calibration.
        """
        return _shipped(self).copy() if path is None else _read(self, Path(path))


@cache
def _shipped(kind: Kind) -> xr.Dataset:
    return _read(kind, kind.shipped)


def _read(kind: Kind, path: Path) -> xr.Dataset:
    hint = f"make one with `bayesmoe {kind.command} POINTS.csv`"
    attrs = read_header(require_file(path, hint=hint), hint).attrs
    if attrs.get("kind") != kind.name or "format" not in attrs:
        raise InputError("is not a calibration", file=path, hint=hint)
    require_format(attrs, kind.format, path, again="calibrate again")
    return read_dataset(path, hint)
