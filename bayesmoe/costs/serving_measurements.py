"""Measured serving points: a table of TPOT and TTFT, checked and matched with exact shapes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from bayesmoe.architecture import read_shape
from bayesmoe.costs.hardware import ACCELERATORS, Precision
from bayesmoe.costs.serving.roofline import Traffic
from bayesmoe.costs.serving.served_model import ServedModel, served_shapes
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
    frame = frame.assign(row=frame.index).reset_index(drop=True)
    if "quality_flags" in frame:
        flags = frame["quality_flags"].astype("string").str.strip()
        frame = frame[flags.isna() | (flags == "")].reset_index(drop=True)
    if frame.empty:
        raise InputError("has no points", file=path, hint="give measured points that carry no quality_flags")
    for column, otherwise in OPTIONAL.items():
        frame[column] = frame[column].fillna(otherwise) if column in frame else otherwise
    for column in (*NUMBERS, *OPTIONAL):
        numbers = numbers_of(frame[column])
        # A time to first token may be missing, but not wrong.
        missing = frame[column].isna() if column == "ttft_ms" else False
        _complain(frame, path, column, ~((numbers > 0) & np.isfinite(numbers)) & ~missing, "must be a positive number")
        frame[column] = numbers
    _complain(frame, path, "n_gpus", frame["n_gpus"] % 1 != 0, "must be a whole number")
    for column in NAMES:
        _complain(frame, path, column, frame[column].isna(), "is blank", "every point needs one")
    _known(frame, path, "hardware", list(ACCELERATORS))
    _known(frame, path, "weight_precision", list(get_args(Precision)))
    shapes = {}
    for name in frame["architecture"].unique():
        try:
            shapes[name] = read_shape(str(name), folder=path.parent)
        except InputError as error:
            row = int(frame.loc[frame["architecture"] == name, "row"].iloc[0])
            if error.file is not None:
                raise InputError(
                    error.rule,
                    file=error.file,
                    column=error.column,
                    value=error.value,
                    hint=f"{error.hint or 'mend it'} (row {row} of {path} names it)",
                ) from error
            raise InputError(
                error.rule, file=path, row=row, column="architecture", value=str(name), hint=error.hint
            ) from error
    models = served_shapes([shapes[name] for name in frame["architecture"]])
    return Points(frame, models, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _known(frame: pd.DataFrame, path: Path, column: str, known: list[str]) -> None:
    broken = ~frame[column].isin(known)
    if broken.any():
        _complain(frame, path, column, broken, "is not known", nearest(str(frame.loc[broken, column].iloc[0]), known))


def _complain(frame: pd.DataFrame, path: Path, column: str, broken: Any, rule: str, hint: str | None = None) -> None:
    if broken.any():
        first = frame[broken].iloc[0]
        raise InputError(rule, file=path, row=int(first["row"]), column=column, value=str(first[column]), hint=hint)
