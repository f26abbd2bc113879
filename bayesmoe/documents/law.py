"""What a law says, reads and assumes, and what its published sets give at a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bayesmoe.catalog import described, formula, law_at, outside_fitted_range
from bayesmoe.documents.base import Document, Number, Quantiles, Section
from bayesmoe.hyperparameters import HyperparameterLaw, PowerLaw
from bayesmoe.laws.base import Coordinate, Law, Published, Reference
from bayesmoe.laws.prior import TYPICAL, prior_draws, typical_reference
from bayesmoe.units import QUANTILES

PRIOR_DRAWS = 4000
Provenance = Literal["primary", "secondary", "derived"]


class ColumnSection(Section):
    """A column that a law reads."""

    column: str
    unit: str
    meaning: str

    @classmethod
    def of(cls, name: str) -> ColumnSection:
        """The section of a column by name."""
        return cls(column=name, unit=described(name).unit, meaning=described(name).meaning)


class ValueSection(Section):
    """A column of a run and its value."""

    column: str
    unit: str
    value: Number

    @classmethod
    def all_of(cls, run: Mapping[str, Any]) -> tuple[ValueSection, ...]:
        """The sections of a run."""
        return tuple(cls(column=name, unit=described(name).unit, value=value) for name, value in run.items())


class RangeSection(Section):
    """Runs behind the paper, along a column."""

    column: str
    unit: str
    low: float | None = Field(description="null where only an upper end is known")
    high: float

    @classmethod
    def all_of(cls, fitted_range: Mapping[str, tuple[float, float]]) -> tuple[RangeSection, ...]:
        """The sections of a range."""
        return tuple(
            cls(column=name, unit=described(name).unit, low=float(low) or None, high=high)
            for name, (low, high) in fitted_range.items()
        )


class CoordinateSection(Section):
    """A coordinate, which is sampled."""

    coordinate: str
    support: Literal["real", "positive", "above_one", "unit"]
    unit: str
    meaning: str
    prior: Quantiles = Field(description="on the support")

    @classmethod
    def of(cls, coordinate: Coordinate) -> CoordinateSection:
        """The section of a coordinate."""
        prior = NormalDist(coordinate.mean, coordinate.sd)
        return cls(
            coordinate=coordinate.name,
            support=coordinate.support,
            unit=coordinate.unit,
            meaning=coordinate.meaning,
            prior=Quantiles.of(coordinate.to_support(prior.inv_cdf(p)) for p in QUANTILES),
        )


class ParameterSection(Section):
    """A parameter of the paper."""

    parameter: str
    unit: str
    prior: Quantiles = Field(
        description="inherited from the coordinates; null where a typical run lacks a column of the law"
    )


class PublishedSection(Section):
    """A published set of coefficients."""

    name: str
    source: str
    provenance: Provenance = Field(description="from the paper or its code, from secondary sources, or made by this project")
    caveat: str | None
    coefficients: dict[str, Number]

    @classmethod
    def of(cls, known: Published) -> PublishedSection:
        """The section of a set."""
        return cls(
            name=known.name,
            source=known.source,
            provenance=known.provenance,
            caveat=known.caveat or None,
            coefficients=dict(known.coefficients),
        )


class PublishedAtRun(Section):
    """What a published set gives at the run."""

    published: str
    loss_nats_per_token: Number = None
    leverage_ratio: Number = Field(default=None, description="ratio of FLOP")


class LawDocument(Document):
    """A law of the loss or of the leverage."""

    kind: ClassVar[str] = "law"
    version: ClassVar[int] = 2
    command: ClassVar[str] = "bayesmoe laws show NAME --json"

    name: str
    equation: str = Field(description="in the paper's symbols")
    source: str
    response: Literal["loss", "leverage"] = Field(description="column that the law predicts")
    response_unit: str
    size_column: str | None = Field(description="column read as N; null for none")
    paper_size_embeddings: Literal["in", "out", "not stated"] = Field(description="whether the paper's N counts embeddings")
    columns: tuple[ColumnSection, ...]
    coordinates: tuple[CoordinateSection, ...]
    parameters: tuple[ParameterSection, ...]
    parameters_typical_run: tuple[ValueSection, ...]
    parameters_reference_run: tuple[ValueSection, ...] | None = Field(
        description="columns of the typical run that the law reads; null where it lacks one"
    )
    parameters_prior_draws: int
    published: tuple[PublishedSection, ...]
    fitted_range: tuple[RangeSection, ...] = Field(description="empty where none is stated")
    run: tuple[ValueSection, ...] | None = Field(description="the run of --at; null without")
    published_at_run: tuple[PublishedAtRun, ...]
    warnings: tuple[str, ...] = Field(description="one sentence for each covariate of the run outside fitted_range")

    @classmethod
    def of(cls, law: Law, run: dict[str, float] | None = None) -> LawDocument:
        """The document of a law; of its published sets at a run under the run table's column names and units, where one is given."""
        reference = typical_reference(law)
        return cls(
            name=law.name,
            equation=law.equation,
            source=law.source,
            response=law.response,  # type: ignore[arg-type]
            response_unit=described(law.response).unit,
            size_column=law.size if law.size in law.covariates else None,
            paper_size_embeddings=law.embeddings,
            columns=tuple(map(ColumnSection.of, law.covariates)),
            coordinates=tuple(map(CoordinateSection.of, law.coordinates)),
            parameters=_parameters(law, reference),
            parameters_typical_run=ValueSection.all_of(TYPICAL),
            parameters_reference_run=None if reference is None else ValueSection.all_of(reference.run),
            parameters_prior_draws=PRIOR_DRAWS,
            published=tuple(map(PublishedSection.of, law.published)),
            fitted_range=RangeSection.all_of(law.fitted_range),
            run=None if run is None else ValueSection.all_of(run),
            published_at_run=() if run is None else tuple(_at_run(law, known, run) for known in law.published),
            warnings=() if run is None else outside_fitted_range(law, run),
        )


class QuantitySection(Section):
    """A quantity that a hyperparameter law gives."""

    quantity: str
    unit: str
    formula: str
    spread: str


class QuantityAtRun(Section):
    """A quantity at the run."""

    quantity: str
    unit: str
    value: Number
    q05: Number = Field(description="null where the source publishes no spread")
    q95: Number

    @classmethod
    def of(cls, law: PowerLaw, run: Mapping[str, float]) -> QuantityAtRun:
        """The section of a power law at a run."""
        inputs = {name: run[name] for name in law.inputs}
        value, covariance = float(law.value(**inputs)), law.around(**inputs).covariance
        low = high = None
        if covariance is not None:
            spread = NormalDist(0.0, math.sqrt(covariance[0][0]))
            low, _, high = (value * math.exp(spread.inv_cdf(level)) for level in QUANTILES)
        return cls(quantity=law.quantity, unit=law.unit, value=value, q05=low, q95=high)


class HyperparameterLawDocument(Document):
    """A law of learning rate, batch or allocation."""

    kind: ClassVar[str] = "hyperparameter_law"
    version: ClassVar[int] = 2
    command: ClassVar[str] = "bayesmoe laws show hyper/NAME --json"

    name: str
    source: str
    provenance: Provenance
    columns: tuple[ColumnSection, ...]
    quantities: tuple[QuantitySection, ...]
    fitted_range: tuple[RangeSection, ...]
    notes: tuple[str, ...]
    run: tuple[ValueSection, ...] | None
    quantities_at_run: tuple[QuantityAtRun, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, law: HyperparameterLaw, run: dict[str, float] | None = None) -> HyperparameterLawDocument:
        """The document of a law; of its quantities at a run that has every input, where one is given."""
        quantities = (
            QuantitySection(quantity=one.quantity, unit=one.unit, formula=formula(one), spread=one.spread)
            for one in law.laws
        )
        return cls(
            name=law.name,
            source=law.source,
            provenance=law.provenance,
            columns=tuple(map(ColumnSection.of, law.inputs)),
            quantities=tuple(quantities),
            fitted_range=RangeSection.all_of(law.fitted_range),
            notes=tuple(law.notes),
            run=None if run is None else ValueSection.all_of(run),
            quantities_at_run=() if run is None else tuple(QuantityAtRun.of(one, run) for one in law.laws),
            warnings=() if run is None else tuple(law.outside_fitted_range(**run)),
        )


def document_of(name: str, at: Sequence[str] = ()) -> LawDocument | HyperparameterLawDocument:
    """Document of the law of that name, at a run of ``COLUMN=VALUE``; parameters and errors as of :func:`bayesmoe.catalog.law_at`."""
    law, run = law_at(name, at)
    return HyperparameterLawDocument.of(law, run) if isinstance(law, HyperparameterLaw) else LawDocument.of(law, run)


def _at_run(law: Law, known: Published, run: dict[str, float]) -> PublishedAtRun:
    key = {"loss": "loss_nats_per_token", "leverage": "leverage_ratio"}[law.response]
    return PublishedAtRun(published=known.name, **{key: law.loss(known.coefficients, run)})


def _parameters(law: Law, reference: Reference | None) -> tuple[ParameterSection, ...]:
    """The paper's parameters with the quantiles that they inherit from the coordinates."""
    units = {coordinate.name: coordinate.unit for coordinate in law.coordinates} | law.symbols
    if reference is None:
        nothing = Quantiles.of([None] * 3)
        return tuple(ParameterSection(parameter=name, unit=units[name], prior=nothing) for name in law.symbols)
    draws = prior_draws(law, reference, PRIOR_DRAWS)
    ordered = [*(name for name in law.symbols if name in draws), *(name for name in draws if name not in law.symbols)]
    return tuple(
        ParameterSection(
            parameter=name,
            unit=units.get(name, ""),
            prior=Quantiles.of(np.quantile(np.asarray(draws[name], float), QUANTILES)),
        )
        for name in ordered
    )
