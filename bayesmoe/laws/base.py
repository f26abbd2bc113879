"""What a law is: an equation for one run, coordinates around a reference run, and published coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.arrays import Elementwise

Size = Literal["n_dense", "n_active", "n_total"]
Support = Literal["real", "positive", "above_one", "unit"]

Coordinates = dict[str, Elementwise]
"""What is sampled: the value of each of a law's coordinates, by name."""

PaperParameters = dict[str, Elementwise]
"""A paper's parameters by symbol, in the units of :attr:`Law.symbols`."""

Run = dict[str, Any]
"""Covariates of one run by column of the run table."""

_TO_SUPPORT = {"real": lambda z: z, "positive": jnp.exp, "above_one": lambda z: 1.0 + jnp.exp(z), "unit": jax.nn.sigmoid}
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

    Examples
    --------
    >>> slope = bm.Coordinate("slope_total", "positive", -3.5, 0.7, 0.2, "experts", "1", "fall of ln loss per e-fold of n_total")
    >>> f"prior median {slope.to_support(slope.mean):.3f}"
    'prior median 0.030'
    """

    name: str
    support: Support
    mean: float
    sd: float
    spread: float
    of: Literal["dense", "experts", "shape"]
    unit: str
    meaning: str

    def to_support(self, real: Elementwise) -> Elementwise:
        """Map from the real line to the support."""
        return _TO_SUPPORT[self.support](real)

    def to_real(self, value: Elementwise) -> Elementwise:
        """Map from the support to the real line."""
        return _TO_REAL[self.support](value)


class Reference(NamedTuple):
    """The run that a law's coordinates are written around.

    Attributes
    ----------
    run : dict
        Value of every covariate of the law, under the run table's column names. ``num_experts`` is 1 where the table has
        dense runs, else ``gain_experts``.
    gain_experts : float
        Expert count up to which the gain over a dense model is counted.
    """

    run: Run
    gain_experts: Elementwise


@dataclass(frozen=True)
class Published:
    """A published coefficient set: name, values in the paper's symbols, and source.

    Provenance: from the paper or its code, from others that quote it, or made by this project. ``caveat``: why not to use it as printed.
    """

    name: str
    coefficients: dict[str, float]
    source: str
    provenance: Literal["primary", "secondary", "derived"]
    caveat: str = ""


@dataclass(frozen=True)
class Law:
    """A scaling law.

    A subclass writes :meth:`loss`, the paper's equation for one run, and lists its ``coordinates``. When these are not
    the paper's own parameters it also writes :meth:`to_paper` and its inverse :meth:`from_paper`. Batching over draws, runs and
    configurations is ``jax.vmap`` outside.

    Parameters
    ----------
    size : str
        Column that the law reads as its size N: ``n_dense``, ``n_active`` or ``n_total``.

    Attributes
    ----------
    name, source, equation : str
        Name in specs, citation with arXiv id, and the equation in the paper's symbols.
    coordinates : tuple of Coordinate
        What is sampled, with priors.
    symbols : dict of str
        The paper's own parameters and their units.
    other_covariates : tuple of str
        Columns read besides ``size``.
    published : tuple of Published
        Printed coefficient sets.
    fitted_range : dict of (low, high)
        Range of the runs behind the paper by column, as far as it is stated; a low of 0 means that none is.
    embeddings : {"in", "out", "not stated"}
        Whether the paper's N counts embeddings. Run tables here do not, so compare coefficients accordingly.
    response : {"loss", "leverage"}
        Column that the law predicts: nats per token, or efficiency leverage (a ratio of FLOP).
    noise_median : float
        Prior median of the noise scale on the logarithm of the response. The default suits losses: Yun et al. report an RMSLE
        of 0.0039, seeds differ by 0.0003 to 0.007.
    default_average : {"no", "where tokens vary", "yes"}
        Whether an average of no named laws holds it. At one token count the second kind adds nothing to the others.
    starter_for : tuple of str, optional
        Which of ``num_experts`` and ``tokens`` vary in the tables for which a starter spec proposes this law.

    Examples
    --------
    >>> chinchilla = bm.laws.law_named("chinchilla")
    >>> chinchilla.covariates
    ('n_total', 'tokens')
    """

    size: Size = "n_dense"

    name: ClassVar[str]
    source: ClassVar[str]
    equation: ClassVar[str]
    coordinates: ClassVar[tuple[Coordinate, ...]]
    symbols: ClassVar[dict[str, str]] = {}
    other_covariates: ClassVar[tuple[str, ...]] = ("tokens", "num_experts")
    published: ClassVar[tuple[Published, ...]] = ()
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {}
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "not stated"
    response: ClassVar[Literal["loss", "leverage"]] = "loss"
    noise_median: ClassVar[float] = 0.005
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "no"
    starter_for: ClassVar[tuple[str, ...] | None] = None

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the run table that the law reads."""
        return (self.size, *self.other_covariates)

    @property
    def has_experts(self) -> bool:
        """Whether some coordinate says what experts do; a law of dense models cannot choose an expert count."""
        return any(coordinate.of != "dense" for coordinate in self.coordinates)

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        """Loss of one run in nats per token (or its leverage), from the paper's parameters and the run's covariates."""
        raise TypeError(f"{type(self).__name__} must define loss(parameters, run)")

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        """Paper's own parameters from the coordinates."""
        return coordinates

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        """Coordinates from the paper's own parameters; the inverse of :meth:`to_paper`."""
        return parameters

    def coefficients(self, name: str) -> dict[str, float]:
        """Coefficients of the published set of that name."""
        return next(published.coefficients for published in self.published if published.name == name)
