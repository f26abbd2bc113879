"""Measured serving points: a table of TPOT and TTFT, checked and matched with exact shapes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from bayesmoe.architecture import Shape, read_shape
from bayesmoe.costs.hardware import ACCELERATORS, Precision
from bayesmoe.costs.serving.roofline import Traffic
from bayesmoe.costs.serving.served_model import ServedModel, served_shapes
from bayesmoe.errors import InputError, nearest
from bayesmoe.tables import read_measurements, require, require_positive

NUMBERS = ("n_gpus", "isl_tokens", "osl_tokens", "concurrency_requests", "tpot_ms")
"""Columns of positive numbers that every point has."""

NAMES = ("architecture", "hardware", "engine", "weight_precision")
"""Columns of names that every point has."""

OPTIONAL = {"ttft_ms": np.nan, "attention_data_parallel": 1.0, "length_share": 1.0}
"""Columns that may be left out or blank, and what then holds: no time to first token; attention split by heads, not by requests; real lengths
equal to the nominal ones."""


@dataclass(frozen=True)
class Points:
    """Measured points.

    Attributes
    ----------
    frame : DataFrame
        One row a point, with all columns.
    models : Served
        Their shapes, one entry a row.
    file : str
        Where they came from.
    sha256 : str
        Checksum of that file.
    """

    frame: pd.DataFrame
    models: ServedModel
    file: str
    sha256: str

    def served(self, rows: np.ndarray) -> ServedModel:
        """Shapes of some rows; the cache splits over as many ranks as attention is data-parallel."""
        found = ServedModel(*(leaf[rows] for leaf in self.models))
        ranks = self.frame["attention_data_parallel"].to_numpy(float)[rows]
        return found._replace(cache_shards=np.maximum(found.cache_shards, ranks))

    def traffic(self, rows: np.ndarray, bytes_per_cache_element: float) -> Traffic:
        """Lengths of some rows."""
        share = self.frame["length_share"].to_numpy(float)[rows]
        prompt, output = (share * self.frame[name].to_numpy(float)[rows] for name in ("isl_tokens", "osl_tokens"))
        return Traffic(prompt, output, bytes_per_cache_element)

    def where(self, keep: np.ndarray) -> Points:
        """The points that a mask keeps."""
        return Points(
            self.frame[keep].reset_index(drop=True),
            ServedModel(*(leaf[keep] for leaf in self.models)),
            self.file,
            self.sha256,
        )


def read_points(path: str | Path) -> Points:
    """Read measured points from a CSV; rows with ``quality_flags`` are left out.

    Columns: ``architecture`` (a public model, or a TOML file beside the CSV), ``hardware``, ``engine``, ``weight_precision``,
    ``n_gpus``, ``isl_tokens``, ``osl_tokens``, ``concurrency_requests``, ``tpot_ms``; optional ``ttft_ms``, ``attention_data_parallel``,
    ``length_share`` (real over nominal lengths), ``quality_flags``.

    Raises
    ------
    InputError
        The file is unreadable, a column is missing, a number is not positive, or a name is not known.
    """
    path = Path(path)
    frame = read_measurements(path, (*NAMES, *NUMBERS), "points")
    if "quality_flags" in frame:
        flags = frame["quality_flags"].astype("string").str.strip()
        frame = frame[flags.isna() | (flags == "")]
    if frame.empty:
        raise InputError("has no points", file=path, hint="give measured points that carry no quality_flags")
    frame = frame.assign(**{name: frame[name].fillna(other) if name in frame else other for name, other in OPTIONAL.items()})
    for column in (*NUMBERS, *OPTIONAL):
        # A time to first token may be missing, but not wrong.
        missing = frame[column].isna() if column == "ttft_ms" else False
        frame[column] = require_positive(frame, path, column, unless=missing)
    require(frame, path, "n_gpus", frame["n_gpus"] % 1 == 0, "must be a whole number")
    for column in NAMES:
        require(frame, path, column, frame[column].notna(), "is blank", "every point needs one")
    for column, known in (("hardware", list(ACCELERATORS)), ("weight_precision", list(get_args(Precision)))):
        is_known = frame[column].isin(known)
        hint = "" if is_known.all() else nearest(str(frame.loc[~is_known, column].iloc[0]), known)
        require(frame, path, column, is_known, "is not known", hint)
    shapes = {name: _shape(frame, path, name) for name in frame["architecture"].unique()}
    models = served_shapes([shapes[name] for name in frame["architecture"]])
    return Points(frame.reset_index(drop=True), models, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _shape(frame: pd.DataFrame, path: Path, name: Any) -> Shape:
    try:
        return read_shape(str(name), folder=path.parent)
    except InputError as error:
        row = int(frame.index[frame["architecture"] == name][0])
        if error.file is None:
            raise InputError(
                error.rule, file=path, row=row, column="architecture", value=str(name), hint=error.hint
            ) from error
        hint = f"{error.hint or 'mend it'} (row {row} of {path} names it)"
        raise InputError(error.rule, file=error.file, column=error.column, value=error.value, hint=hint) from error
