"""Measured serving points: a table of TPOT and TTFT, checked and matched with exact shapes."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from bayesmoe.costs.hardware import ACCELERATORS
from bayesmoe.costs.measured import refuse_rows, require_known, shapes_named, unflagged
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT, Precision, cache_element_bytes
from bayesmoe.costs.serving.replica import Fleet, memory_batch
from bayesmoe.costs.serving.served_model import ServedModel, served_shapes
from bayesmoe.costs.serving.traffic import Traffic
from bayesmoe.tables import numbers_of, read_measurements

NUMBERS = ("n_gpus", "isl_tokens", "osl_tokens")
"""Columns of positive numbers that every point has."""

MEASURED = ("concurrency_requests", "tpot_ms")
"""Columns of positive numbers of a point at a load that is known."""

SATURATED = "output_tokens_per_s_per_gpu"
"""Column of the throughput of an engine with more requests than it can hold, where `concurrency_requests` is blank."""

NAMES = ("architecture", "hardware", "engine", "weight_precision")
"""Columns of names that every point has."""

REFERENCE = "reference"
"""Column that names the source of a point, where a table has several: the points of one err alike in part."""

OPTIONAL = {"ttft_ms": np.nan, "attention_data_parallel": 1.0, "length_share": 1.0}
"""Columns that may be left out or blank, and what then holds: no time to first token; attention split by heads, not by requests; real lengths
equal to the nominal ones."""

MOST_SATURATED = 2048.0
"""Cap on the batch of a saturated engine, whose own is not on record: TensorRT-LLM's default."""

MEMORY_FRACTION = 0.9
"""Share of memory that such an engine fills."""


@dataclass(frozen=True)
class Points:
    """Measured points.

    Attributes
    ----------
    frame : DataFrame
        One row a point, with all columns; ``batch`` requests decoded together, ``tpot_s``, and whether it is ``saturated``.
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
        """Shapes of some rows, with the ranks over which attention is data-parallel."""
        models = ServedModel(*(leaf[rows] for leaf in self.models))
        return models._replace(attention_ranks=self.frame["attention_data_parallel"].to_numpy(float)[rows])

    def traffic(self, rows: np.ndarray) -> Traffic:
        """Lengths of some rows, and bytes of a cached element: one where weights have eight bits or fewer."""
        frame = self.frame.iloc[rows]
        share = frame["length_share"].to_numpy(float)
        prompt, output = (share * frame[name].to_numpy(float) for name in ("isl_tokens", "osl_tokens"))
        return Traffic(prompt, output, frame["weight_precision"].map(cache_element_bytes).to_numpy(float))

    @property
    def deployments(self) -> pd.Series:
        """What the models of a comparison share: accelerator, engine, precision, source and kind of measurement."""
        frame = self.frame
        kind = frame["reference"].astype(str) + np.where(frame["saturated"], ", saturated", "")
        return frame["hardware"] + ", " + frame["engine"] + ", " + frame["weight_precision"] + ", " + kind

    @property
    def cells(self) -> pd.Series:
        """One model in one deployment on one number of GPUs: points that differ in lengths and load alone."""
        frame = self.frame
        layout = frame["n_gpus"].astype(int).astype(str) + "/" + frame["attention_data_parallel"].astype(int).astype(str)
        return frame["architecture"] + ", " + self.deployments + ", " + layout

    def where(self, keep: np.ndarray) -> Points:
        """The points that a mask keeps."""
        models = ServedModel(*(leaf[keep] for leaf in self.models))
        return Points(self.frame[keep].reset_index(drop=True), models, self.file, self.sha256)


def read_points(path: str | Path) -> Points:
    """Read measured points from a CSV; rows with ``quality_flags`` are left out.

    Columns: ``architecture`` (a public model, or a TOML file beside the CSV), ``hardware``, ``engine``, ``weight_precision``,
    ``n_gpus``, ``isl_tokens``, ``osl_tokens``, ``concurrency_requests``, ``tpot_ms``; optional ``ttft_ms``, ``attention_data_parallel``,
    ``length_share`` (real over nominal lengths), ``reference`` (its source), ``quality_flags``. A row without ``concurrency_requests`` is of a saturated engine and gives
    ``output_tokens_per_s_per_gpu``: its batch is what memory holds, at most 2,048.

    Raises
    ------
    InputError
        The file is unreadable, a column is missing, a number is not positive, or a name is not known.
    """
    path = Path(path)
    frame = read_measurements(path, (*NAMES, *NUMBERS), "points")
    if SATURATED not in frame:
        frame = read_measurements(path, (*NAMES, *NUMBERS, *MEASURED), "points")
    frame = unflagged(frame, path)
    for column, otherwise in {**dict.fromkeys((*MEASURED, SATURATED), np.nan), **OPTIONAL}.items():
        frame[column] = frame[column].fillna(otherwise) if column in frame else otherwise
    frame[REFERENCE] = frame[REFERENCE].fillna("") if REFERENCE in frame else ""
    frame["saturated"] = frame["concurrency_requests"].isna() & frame[SATURATED].notna()
    # A time to first token may be missing, but not wrong.
    missing = {"ttft_ms": frame["ttft_ms"].isna(), SATURATED: ~frame["saturated"]}
    missing |= dict.fromkeys(MEASURED, frame["saturated"])
    for column in (*NUMBERS, *MEASURED, SATURATED, *OPTIONAL):
        numbers = numbers_of(frame[column])
        refused = ~((numbers > 0) & np.isfinite(numbers)) & ~missing.get(column, np.zeros(len(frame), dtype=bool))
        refuse_rows(frame, path, column, refused, "must be a positive number")
        frame[column] = numbers
    refuse_rows(frame, path, "n_gpus", frame["n_gpus"] % 1 != 0, "must be a whole number")
    for column in NAMES:
        refuse_rows(frame, path, column, frame[column].isna(), "is blank", "every point needs one")
    for column, names in (("hardware", list(ACCELERATORS)), ("weight_precision", list(get_args(Precision)))):
        require_known(frame, path, column, names)
    models = served_shapes(shapes_named(frame["architecture"], path))
    found = Points(frame.reset_index(drop=True), models, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    return _with_batches(found)


def _with_batches(points: Points) -> Points:
    """The points with ``batch`` and ``tpot_s``: of a saturated engine, what memory holds and the time that its throughput takes."""
    frame, every = points.frame, np.arange(len(points.frame))
    gpus = frame["n_gpus"].to_numpy(float)
    fleet = Fleet(
        max_gpus=1,
        memory_bytes=np.array([ACCELERATORS[name].memory_bytes for name in frame["hardware"]]),
        memory_fraction=MEMORY_FRACTION,
        bytes_per_weight=frame["weight_precision"].map(BYTES_PER_WEIGHT).to_numpy(float),
        max_batch=MOST_SATURATED,
    )
    held = np.clip(np.asarray(memory_batch(points.served(every), gpus, points.traffic(every), fleet)), 1.0, MOST_SATURATED)
    batch = np.where(frame["saturated"], held, frame["concurrency_requests"])
    tpot_s = np.where(frame["saturated"], batch / (frame[SATURATED] * gpus), 1e-3 * frame["tpot_ms"])
    return dataclasses.replace(points, frame=frame.assign(batch=batch, tpot_s=tpot_s))
