"""Measured serving points: a table of TPOT and TTFT, checked and matched with exact shapes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from bayesmoe.architecture import Shape, read_shape
from bayesmoe.costs.hardware import ACCELERATORS, Precision
from bayesmoe.costs.serving.roofline import Traffic
from bayesmoe.costs.serving.served_model import ServedModel, served_shapes
from bayesmoe.costs.serving.table import refuse_rows
from bayesmoe.errors import InputError, nearest
from bayesmoe.tables import numbers_of, read_measurements

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
    models : ServedModel
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
        models = ServedModel(*(leaf[rows] for leaf in self.models))
        ranks = self.frame["attention_data_parallel"].to_numpy(float)[rows]
        return models._replace(cache_shards=np.maximum(models.cache_shards, ranks))

    def traffic(self, rows: np.ndarray, bytes_per_cache_element: float) -> Traffic:
        """Lengths of some rows."""
        share = self.frame["length_share"].to_numpy(float)[rows]
        prompt, output = (share * self.frame[name].to_numpy(float)[rows] for name in ("isl_tokens", "osl_tokens"))
        return Traffic(prompt, output, bytes_per_cache_element)

    def where(self, keep: np.ndarray) -> Points:
        """The points that a mask keeps."""
        models = ServedModel(*(leaf[keep] for leaf in self.models))
        return Points(self.frame[keep].reset_index(drop=True), models, self.file, self.sha256)


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
        frame = frame[flags.isna() | (flags == "")].copy()
    if frame.empty:
        raise InputError("has no points", file=path, hint="give measured points that carry no quality_flags")
    for column, otherwise in OPTIONAL.items():
        frame[column] = frame[column].fillna(otherwise) if column in frame else otherwise
    for column in (*NUMBERS, *OPTIONAL):
        numbers = numbers_of(frame[column])
        # A time to first token may be missing, but not wrong.
        missing = frame[column].isna() & (column == "ttft_ms")
        refuse_rows(frame, path, column, ~((numbers > 0) & np.isfinite(numbers)) & ~missing, "must be a positive number")
        frame[column] = numbers
    refuse_rows(frame, path, "n_gpus", frame["n_gpus"] % 1 != 0, "must be a whole number")
    for column in NAMES:
        refuse_rows(frame, path, column, frame[column].isna(), "is blank", "every point needs one")
    for column, names in (("hardware", list(ACCELERATORS)), ("weight_precision", list(get_args(Precision)))):
        unknown = ~frame[column].isin(names)
        hint = nearest(str(frame.loc[unknown, column].iloc[0]), names) if unknown.any() else None
        refuse_rows(frame, path, column, unknown, "is not known", hint)
    models = served_shapes(_shapes(frame["architecture"], path))
    return Points(frame.reset_index(drop=True), models, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _shapes(architectures: pd.Series, path: Path) -> list[Shape]:
    """Shape of each point; an error in a file of the user's own says which row names it."""
    shapes = {}
    for line, name in architectures.drop_duplicates().items():
        row = int(str(line))
        try:
            shapes[name] = read_shape(str(name), folder=path.parent)
        except InputError as error:
            if error.file is None:
                raise InputError(
                    error.rule, file=path, row=row, column="architecture", value=str(name), hint=error.hint
                ) from error
            hint = f"{error.hint or 'mend it'} (row {row} of {path} names it)"
            raise InputError(error.rule, file=error.file, column=error.column, value=error.value, hint=hint) from error
    return [shapes[name] for name in architectures]
