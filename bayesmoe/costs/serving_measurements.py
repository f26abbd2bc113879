"""Measured serving points: a table of TPOT and TTFT, checked and matched with exact shapes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from bayesmoe.costs.hardware import ACCELERATORS, Precision
from bayesmoe.costs.measured import refuse_rows, require_known, shapes_named, unflagged
from bayesmoe.costs.serving.roofline import Traffic
from bayesmoe.costs.serving.served_model import ServedModel, served_shapes
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
    frame = unflagged(read_measurements(path, (*NAMES, *NUMBERS), "points"), path)
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
        require_known(frame, path, column, names)
    models = served_shapes(shapes_named(frame["architecture"], path))
    return Points(frame.reset_index(drop=True), models, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
