"""Measured training throughput: a table of tokens per second and GPU with layouts, checked and matched with exact shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmoe.costs.hardware import ACCELERATORS, accelerator_named
from bayesmoe.costs.measured import refuse_rows, require_known, shapes_named, unflagged
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.step import PRECISIONS, Chip, Software
from bayesmoe.costs.training.trained_model import TrainedModel, trained_shapes
from bayesmoe.tables import numbers_of, read_measurements

NUMBERS = ("num_gpus", "global_batch", "sequence_tokens", "tokens_per_s_per_gpu")
"""Columns of positive numbers that every point has; a batch is counted in sequences."""

NAMES = ("architecture", "hardware", "precision")
"""Columns of names that every point has."""

DEGREES = {
    "micro_batch": "micro_batch",
    "tp": "tensor",
    "pp": "pipeline",
    "vp": "virtual",
    "cp": "context",
    "ep": "expert",
    "etp": "expert_tensor",
}
"""Columns of a layout, 1 where left out or blank, and their names in :class:`bayesmoe.costs.training.layout.Layout`."""

CHOICES = {
    "routing": ("balanced", "learned"),
    "recompute": ("none", "some", "full"),
    "cuda_graph": ("none", "partial", "full"),
    "dispatch": ("fused", "plain"),
    "sharded": ("no", "yes"),
    "overlap": ("no", "yes"),
}
"""Columns of words that may be left out or blank, the first one then holds."""

_SOURCE = "this table"


class Rows(NamedTuple):
    """What is known of points besides their throughput; leaves are arrays with one entry a point."""

    model: TrainedModel
    layout: Layout
    chip: Chip
    software: Software

    def where(self, keep: np.ndarray) -> Rows:
        """The points that a mask or an index keeps."""
        return Rows(
            TrainedModel(*(leaf[keep] for leaf in self.model)),
            Layout(*(leaf[keep] for leaf in self.layout)),
            Chip(*(leaf[keep] for leaf in self.chip)),
            Software(*(leaf[keep] for leaf in self.software)),
        )


@dataclass(frozen=True)
class TrainingPoints:
    """Measured points.

    Attributes
    ----------
    frame : DataFrame
        One row a point: ``architecture``, ``hardware``, ``precision``, ``source``, ``learned_router`` and ``tokens_per_s_per_gpu``.
    rows : Rows
        Shapes, layouts, rates and software.
    file : str
        Where they came from.
    sha256 : str
        Checksum of that file.
    """

    frame: pd.DataFrame
    rows: Rows
    file: str
    sha256: str

    @property
    def seconds_per_token(self) -> np.ndarray:
        """Seconds of one GPU per token."""
        return 1.0 / self.frame["tokens_per_s_per_gpu"].to_numpy(float)

    def where(self, keep: np.ndarray) -> TrainingPoints:
        """The points that a mask keeps."""
        return TrainingPoints(self.frame[keep].reset_index(drop=True), self.rows.where(keep), self.file, self.sha256)


def read_training_points(path: str | Path) -> TrainingPoints:
    """Read measured points from a CSV; rows with ``quality_flags`` are left out.

    Columns: ``architecture`` (a public model, or a TOML file beside the CSV), ``hardware``, ``precision`` of the matrices, ``num_gpus``,
    ``global_batch`` and ``sequence_tokens`` of a step, ``tokens_per_s_per_gpu``; optional the degrees of :data:`DEGREES`, the words of
    :data:`CHOICES`, ``age_years`` of the software, ``source``, ``quality_flags``.

    Raises
    ------
    InputError
        The file is unreadable, a column is missing, a number is not positive or whole, a layout does not divide the GPUs, or a name is
        not known.
    """
    path = Path(path)
    frame = unflagged(read_measurements(path, (*NAMES, *NUMBERS), "points"), path)
    for column in DEGREES:
        frame[column] = frame[column].fillna(1.0) if column in frame else 1.0
    for column, words in CHOICES.items():
        frame[column] = frame[column].fillna(words[0]) if column in frame else words[0]
    frame["age_years"] = frame["age_years"].fillna(0.0) if "age_years" in frame else 0.0
    frame["source"] = frame["source"].fillna(_SOURCE) if "source" in frame else _SOURCE
    _require_numbers(frame, path)
    for column in NAMES:
        refuse_rows(frame, path, column, frame[column].isna(), "is blank", "every point needs one")
    for column, names in {"hardware": list(ACCELERATORS), "precision": list(PRECISIONS), **CHOICES}.items():
        require_known(frame, path, column, list(names))
    split = frame["tp"] * frame["pp"] * frame["cp"]
    rule = "must be a multiple of tp * pp * cp"
    refuse_rows(frame, path, "num_gpus", (frame["num_gpus"] % split) != 0, rule)
    models = trained_shapes(shapes_named(frame["architecture"], path), frame["sequence_tokens"].to_numpy(float))
    rows = Rows(models, layout_of(frame), chips_of(frame["hardware"], frame["precision"]), software_of(frame))
    frame["learned_router"] = (frame["routing"] == "learned").astype(float)
    return TrainingPoints(frame.reset_index(drop=True), rows, str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def _require_numbers(frame: pd.DataFrame, path: Path) -> None:
    whole = ("num_gpus", "global_batch", "sequence_tokens", *DEGREES)
    for column in (*NUMBERS, *DEGREES):
        numbers = numbers_of(frame[column])
        refuse_rows(frame, path, column, ~((numbers > 0) & np.isfinite(numbers)), "must be a positive number")
        frame[column] = numbers
    for column in whole:
        refuse_rows(frame, path, column, frame[column] % 1 != 0, "must be a whole number")
    ages = numbers_of(frame["age_years"])
    refuse_rows(frame, path, "age_years", ~((ages >= 0) & np.isfinite(ages)), "must be a number from 0 up")
    frame["age_years"] = ages


def layout_of(frame: pd.DataFrame) -> Layout:
    """Layouts of points, by the columns of :data:`DEGREES` and :data:`CHOICES`."""
    numbers = {name: frame[column].to_numpy(float) for column, name in DEGREES.items()}
    return Layout(
        **{name: frame[name].to_numpy(float) for name in ("num_gpus", "global_batch", "sequence_tokens")},
        **numbers,
        sharded=_is(frame, "sharded", "yes"),
        recompute=_is(frame, "recompute", "full"),
        recompute_some=_is(frame, "recompute", "some"),
    )


def software_of(frame: pd.DataFrame) -> Software:
    """Software of points, by the columns of :data:`CHOICES` and ``age_years``."""
    return Software(
        age_years=frame["age_years"].to_numpy(float),
        full_graph=_is(frame, "cuda_graph", "full"),
        partial_graph=_is(frame, "cuda_graph", "partial"),
        plain_dispatch=_is(frame, "dispatch", "plain"),
        overlap=_is(frame, "overlap", "yes"),
    )


def chips_of(hardware: Iterable[Any], precision: Iterable[Any]) -> Chip:
    """Rates of points, by the names of accelerators and precisions."""
    chips = [Chip.of(accelerator_named(name), kind) for name, kind in zip(hardware, precision, strict=True)]
    return Chip(*(np.asarray(column, dtype=float) for column in zip(*chips, strict=True)))


def _is(frame: pd.DataFrame, column: str, word: str) -> np.ndarray:
    return (frame[column] == word).to_numpy(float)
