"""What a law is: an equation for one run, coordinates around a reference run, and published coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayesmoe.errors import InputError

Size = Literal["n_dense", "n_active", "n_total"]
Support = Literal["real", "positive", "above_one", "unit"]

Values = dict[str, Any]
"""Values by name: of coordinates, of a paper's parameters, or of one run's covariates."""

_TO_SUPPORT = {
    "real": lambda z: z,
    "positive": jnp.exp,
    "above_one": lambda z: 1.0 + jnp.exp(z),
    "unit": jax.nn.sigmoid,
}
_TO_REAL = {
    "real": lambda x: x,
    "positive": jnp.log,
    "above_one": lambda x: jnp.log(x - 1.0),
    "unit": lambda x: jnp.log(x) - jnp.log1p(-x),
}


@dataclass(frozen=True)
class Coordinate:
    """One sampled number of a law, with its prior on the real line of its support.

    Parameters
    ----------
    name : str
        Name in the posterior.
    support : {"real", "positive", "above_one", "unit"}
        The real line is mapped there by identity, exp, 1 + exp and the logistic function.
    mean, sd : float
        Normal prior of the value (of its population mean when runs are grouped), on the real line.
    spread : float
        Prior median of the between-group standard deviation, on the real line.
    of : {"dense", "experts", "shape"}
        Whether it describes the dense model, what experts add, or the shape of their saturation. Groups that share their
        dense runs share the first; groups of which some hardly vary the expert count share the last.
    unit, meaning : str
        For tables and docs.
    """

    name: str
    support: Support
    mean: float
    sd: float
    spread: float
    of: Literal["dense", "experts", "shape"]
    unit: str
    meaning: str

    def to_support(self, real: Any) -> Any:
        """Map from the real line to the support."""
        return _TO_SUPPORT[self.support](real)

    def to_real(self, value: Any) -> Any:
        """Map from the support to the real line."""
        return _TO_REAL[self.support](value)


class Reference(NamedTuple):
    """The run that a law's coordinates are written around.

    Attributes
    ----------
    size : float
        Parameters, in the law's own size column.
    tokens : float
        Training tokens.
    num_experts : float
        Expert count at which the loss and the slopes are taken: 1 where the table has dense runs, else ``gain_experts``.
    gain_experts : float
        Expert count up to which the gain over a dense model is counted.
    """

    size: Any
    tokens: Any
    num_experts: Any
    gain_experts: Any


@dataclass(frozen=True)
class Published:
    """A published coefficient set: name, values in the paper's symbols, source and grade: P from the paper or its
    code, S or SS from one or two secondary sources, D made by this project."""

    name: str
    coefficients: dict[str, float]
    source: str
    grade: str


@dataclass(frozen=True)
class Law:
    """A scaling law.

    A subclass writes :meth:`loss`, the paper's equation for one run, and lists its ``coordinates``. When these are not
    the paper's own parameters it also writes :meth:`paper` and its inverse :meth:`centre`. Batching over draws, runs and
    configurations is ``jax.vmap`` outside.

    Parameters
    ----------
    size : str
        Column that the law reads as its size N: ``n_dense``, ``n_active`` or ``n_total``.
    """

    size: Size = "n_dense"

    name: ClassVar[str]
    source: ClassVar[str]
    equation: ClassVar[str]
    coordinates: ClassVar[tuple[Coordinate, ...]]
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "num_experts")
    published: ClassVar[tuple[Published, ...]] = ()

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the run table that the law reads."""
        return (self.size, *self.other_covariates)

    def loss(self, parameters: Values, run: Values) -> Any:
        """Loss of one run in nats per token, from the paper's parameters and the run's covariates."""
        raise TypeError(f"{type(self).__name__} must define loss(parameters, run)")

    def paper(self, coordinates: Values, reference: Reference) -> Values:
        """Paper's own parameters from the coordinates."""
        return coordinates

    def centre(self, parameters: Values, reference: Reference) -> Values:
        """Coordinates from the paper's own parameters; the inverse of :meth:`paper`."""
        return parameters


def reference_run(frame: pd.DataFrame, law: Law) -> Reference:
    """Reference run of a table: geometric means of size and tokens, and the two reference expert counts.

    Parameters
    ----------
    frame : DataFrame
        Validated runs.
    law : Law
        Says which column is the size.
    """
    experts = frame["num_experts"].to_numpy(float)
    routed = experts[experts > 1]
    gain = float(np.exp(np.mean(np.log(routed)))) if routed.size else 32.0
    tokens = frame["tokens"].to_numpy(float) if "tokens" in frame else np.full(len(frame), np.nan)
    return Reference(
        size=_geometric_mean(frame[law.size]),
        tokens=float(np.exp(np.mean(np.log(tokens)))),
        num_experts=1.0 if (experts == 1).any() else gain,
        gain_experts=gain,
    )


def _geometric_mean(column: pd.Series) -> float:
    return float(np.exp(np.mean(np.log(column.to_numpy(float)))))


def require_covariates(frame: pd.DataFrame, law: Law, *, file: Any = None) -> None:
    """Raise :class:`InputError` that names the first covariate of ``law`` that ``frame`` lacks, and how to get it."""
    for column in law.covariates:
        if column not in frame or frame[column].isna().all():
            raise InputError(
                f"is needed by the law {law.name!r}", file=file, column=column, cure=_CURES.get(column, "add the column")
            )
        if frame[column].isna().any():
            row = int(np.flatnonzero(frame[column].isna())[0])
            raise InputError(
                f"is needed by the law {law.name!r} and is blank in run {frame['run_id'].iloc[row]!r}",
                file=file,
                column=column,
                cure="fill it in, or leave those runs out with --select",
            )


_CURES = {
    "n_dense": "add it (backbone parameters before expert expansion), add shape columns (d_model, num_layers, d_ff), "
    "or let the law read another size with --size n_active",
    "n_active": "add it, or n_dense, n_total and top_k to derive it",
    "n_total": "add it, or shape columns (d_model, num_layers, d_expert) to derive it",
    "tokens": "add the training tokens of each run, or choose a law without them (clark)",
    "num_experts": "add the routed experts of each run, 1 for dense",
}


E_START = Coordinate("e_start", "above_one", 0.3, 0.6, 0.4, "shape", "experts", "effective experts of a dense model")
E_MAX = Coordinate(
    "e_max", "positive", float(np.log(350.0)), 0.7, 0.4, "shape", "experts", "effective experts at saturation"
)
LOSS_REFERENCE = Coordinate(
    "loss_reference", "positive", float(np.log(2.7)), 0.35, 0.05, "dense", "nats/token", "loss of the reference run"
)
SLOPE_SIZE = Coordinate(
    "slope_size",
    "positive",
    float(np.log(0.06)),
    0.5,
    0.1,
    "dense",
    "1",
    "fall of ln loss per e-fold of size, at the reference run",
)
SLOPE_TOKENS = Coordinate(
    "slope_tokens",
    "positive",
    float(np.log(0.06)),
    0.5,
    0.1,
    "dense",
    "1",
    "fall of ln loss per e-fold of tokens, at the reference run",
)
GAIN = Coordinate(
    "gain",
    "positive",
    float(np.log(0.1)),
    0.7,
    0.2,
    "experts",
    "1",
    "fall of ln loss from a dense model to the reference expert count",
)
