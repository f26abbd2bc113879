"""The catalog of laws as documents: what a law says, reads and assumes, and its published sets at one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmoe.architecture import train_flop
from bayesmoe.errors import InputError, nearest
from bayesmoe.hyperparameters import HyperparameterLaw, PowerLaw, all_hyperparameter_laws, hyperparameter_law_named
from bayesmoe.laws import all_laws, law_named
from bayesmoe.laws.base import Coordinate, Law, Reference
from bayesmoe.laws.prior import TYPICAL, prior_draws, typical_reference
from bayesmoe.runs.schema import COLUMNS, Column, checked

HYPER = "hyper/"
"""Prefix of hyperparameter laws in the catalog: several papers have both a law of the loss and one of these."""

LAW_SCHEMA, HYPERPARAMETER_SCHEMA = "bayesmoe.law", "bayesmoe.hyperparameter_law"
VERSION = 1

PRIOR_DRAWS = 4000
_LEVELS = {"q05": 0.05, "q50": 0.5, "q95": 0.95}
_RESPONSE_KEY = {"loss": "loss_nats_per_token", "leverage": "leverage_ratio"}
_RATIO = "tokens_per_parameter"
_MORE_COLUMNS = {
    "d_model": Column("count", "width of the residual stream"),
    "num_layers": Column("count", "layers"),
    _RATIO: Column("tokens/parameter", "tokens over the law's size"),
}
_UNKNOWN_COLUMN = Column("", "a column of your own")


class Row(NamedTuple):
    """One line of the catalog: name, equation (or quantities and their inputs), and source."""

    name: str
    equation: str
    source: str


def catalog() -> tuple[Row, ...]:
    """Rows of all laws, then of all hyperparameter laws under ``hyper/``."""
    laws = [Row(law.name, law.equation, law.source) for law in all_laws]
    hyper = [
        Row(f"{HYPER}{law.name}", f"{', '.join(one.quantity for one in law.laws)} from {', '.join(law.inputs)}", law.source)
        for law in all_hyperparameter_laws
    ]
    return (*laws, *hyper)


def document(name: str, at: Sequence[str] = ()) -> dict[str, Any]:
    """Document of the law of that name: ``bayesmoe.law`` or ``bayesmoe.hyperparameter_law``.

    Parameters
    ----------
    name : str
        A name of :func:`catalog` (``hyper/`` may be left out where no law of the loss has the name), or
        ``package.module:MyLaw``.
    at : sequence of str
        ``COLUMN=VALUE`` of one run, in the run table's units; empty for none.

    Raises
    ------
    InputError
        The name is unknown, or ``at`` is not a run that the law can read; see :func:`run_from`.
    """
    known = {law.name for law in all_laws}
    bare = name.removeprefix(HYPER)
    if bare != name or (bare not in known and bare in {law.name for law in all_hyperparameter_laws}):
        hyper = hyperparameter_law_named(bare)
        return hyperparameter_document(hyper, run_from(at, hyper) if at else None)
    law = law_named(name)
    return law_document(law, run_from(at, law) if at else None)


def law_document(law: Law, run: dict[str, float] | None = None) -> dict[str, Any]:
    """What a law says, reads and assumes, as one JSON object.

    Parameters
    ----------
    law : Law
        The law.
    run : dict, optional
        Covariates of a run, under the run table's column names and in its units: adds the response of each published set
        there, and a warning for each covariate outside the runs behind the paper.

    Returns
    -------
    dict
        Keys as in ``docs/json.md``; numbers that are not finite are None.
    """
    parameters, reference = _paper_priors(law)
    return {
        "schema": LAW_SCHEMA,
        "schema_version": VERSION,
        "name": law.name,
        "equation": law.equation,
        "source": law.source,
        "response": law.response,
        "response_unit": COLUMNS[law.response].unit,
        "size_column": law.size if law.size in law.covariates else None,
        "paper_size_embeddings": law.embeddings,
        "columns": [_column(name) for name in law.covariates],
        "coordinates": [_coordinate(coordinate) for coordinate in law.coordinates],
        "parameters": parameters,
        "parameters_typical_run": _values(TYPICAL),
        "parameters_reference_run": None if reference is None else _values(reference.run),
        "parameters_prior_draws": PRIOR_DRAWS,
        "published": [
            {
                "name": known.name,
                "source": known.source,
                "grade": known.provenance,
                "trap": known.caveat or None,
                "coefficients": {symbol: _finite(value) for symbol, value in known.coefficients.items()},
            }
            for known in law.published
        ],
        "fitted_range": _ranges(law.fitted_range),
        "run": None if run is None else _values(run),
        "published_at_run": []
        if run is None
        else [
            {"published": known.name, _RESPONSE_KEY[law.response]: _finite(law.loss(known.coefficients, run))}
            for known in law.published
        ],
        "warnings": [] if run is None else list(outside_fitted_range(law, run)),
    }


def hyperparameter_document(law: HyperparameterLaw, run: dict[str, float] | None = None) -> dict[str, Any]:
    """What a hyperparameter law says, as one JSON object; with the value of each quantity at a run where one is given.

    Parameters
    ----------
    law : HyperparameterLaw
        The law.
    run : dict, optional
        Every input of the law.

    Returns
    -------
    dict
        Keys as in ``docs/json.md``. A quantity has ``q05`` and ``q95`` where its source publishes a spread, else None.
    """
    return {
        "schema": HYPERPARAMETER_SCHEMA,
        "schema_version": VERSION,
        "name": law.name,
        "source": law.source,
        "grade": law.provenance,
        "columns": [_column(name) for name in law.inputs],
        "quantities": [
            {"quantity": one.quantity, "unit": one.unit, "formula": formula(one), "spread": one.spread} for one in law.laws
        ],
        "fitted_range": _ranges(law.fitted_range),
        "notes": list(law.notes),
        "run": None if run is None else _values(run),
        "quantities_at_run": [] if run is None else [_quantity_at(one, run) for one in law.laws],
        "warnings": [] if run is None else list(law.outside_fitted_range(**run)),
    }


def formula(law: PowerLaw) -> str:
    """Write a power law with its numbers: ``y = exp(k) (x_1/c_1)^p_1 ...``, digits rounded to four."""
    powers = []
    for name, exponent in law.exponents.items():
        center = law.center.get(name, 1.0)
        powers.append(f"{name if center == 1.0 else f'({name}/{center:.4g})'}^{exponent:.4g}")
    return f"{law.quantity} = {math.exp(law.ln_coefficient):.4g} {' '.join(powers)}"


def outside_fitted_range(law: Law, run: dict[str, float]) -> tuple[str, ...]:
    """Say which covariates of a run lie outside the runs behind the paper, and by which factor.

    Tokens per parameter and ``train_flop = 6 n_active tokens`` are worked out where the run does not give them. A column
    of ``fitted_range`` that the run neither gives nor implies is passed over.

    Parameters
    ----------
    law : Law
        Has ``fitted_range``.
    run : dict
        Covariates of one run, in the run table's units.

    Returns
    -------
    tuple of str
        One sentence for each covariate outside; empty when the runs cover it or no range is stated.
    """
    run = {**_implied(law, run), **run}
    said = []
    for name, (low, high) in law.fitted_range.items():
        if name not in run or low <= run[name] <= high:
            continue
        value = run[name]
        side, factor = ("above", value / high) if value > high else ("below", low / value)
        times = "less than 1.01" if factor < 1.01 else f"{factor:.3g}"
        said.append(
            f"{name} {value:.4g} lies {side} the runs behind {law.name} ({span(low, high)}), by a factor of {times}."
        )
    return tuple(said)


def span(low: float | None, high: float) -> str:
    """Write a range; a low end of 0 or None is not known."""
    if not low:
        return f"up to {high:.4g}"
    return f"all at {high:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def run_from(pairs: Sequence[str], law: Law | HyperparameterLaw) -> dict[str, float]:
    """Covariates of one run from ``COLUMN=VALUE`` pairs.

    Parameters
    ----------
    pairs : sequence of str
        Each column that the law reads; a law of the loss also takes the other columns of its ``fitted_range``.
    law : Law or HyperparameterLaw
        What reads the run.

    Returns
    -------
    dict
        Value by column, in the run table's units.

    Raises
    ------
    InputError
        A pair is not one, a column is given twice, is missing or is not read by the law, or a value is no number or breaks
        a rule of the run table.
    """
    needed = law.covariates if isinstance(law, Law) else law.inputs
    more = tuple(name for name in law.fitted_range if name != _RATIO) if isinstance(law, Law) else ()
    run: dict[str, float] = {}
    for pair in pairs:
        name, separator, written = (part.strip() for part in pair.partition("="))
        if not (name and separator and written):
            raise InputError("must be COLUMN=VALUE, such as tokens=2e10", column="--at", value=pair)
        if name not in (*needed, *more):
            hint = nearest(name, tuple(dict.fromkeys((*needed, *more))))
            raise InputError(f"is not read by the law {law.name!r}", column=f"--at {name}", hint=hint)
        if name in run:
            raise InputError("is given twice", column=f"--at {name}", value=pair, hint="keep one of the two")
        run[name] = _number(name, written)
    for name in needed:
        if name not in run:
            hint = f"add --at {name}=VALUE"
            raise InputError(f"is needed by the law {law.name!r}", column=f"--at {name}", hint=hint)
    _check(run)
    return run


def _number(name: str, written: str) -> float:
    try:
        value = float(written)
    except ValueError as error:
        hint = "write a plain number such as 2.5e9, without a unit"
        raise InputError("must be a number", column=f"--at {name}", value=written, hint=hint) from error
    if not math.isfinite(value):
        raise InputError("must be a finite number", column=f"--at {name}", value=written, hint="write one such as 2.5e9")
    return value


def _check(run: dict[str, float]) -> None:
    """Hold a run against the rules of the run table; ``leverage`` stands in for a response where none is given."""
    row = pd.DataFrame([{"run_id": "--at", "leverage": 1.0, **run}])
    try:
        checked(row, "--at", "leverage")
    except InputError as error:
        raise InputError(error.rule, column=f"--at {error.column}", value=error.value, hint=error.hint) from error


def _implied(law: Law, run: dict[str, float]) -> dict[str, float]:
    found = {}
    if "tokens" in run and law.size in run:
        found[_RATIO] = run["tokens"] / run[law.size]
    if "tokens" in run and "n_active" in run:
        found["train_flop"] = train_flop(run["n_active"], run["tokens"])
    return found


def _described(name: str) -> Column:
    return COLUMNS.get(name) or _MORE_COLUMNS.get(name, _UNKNOWN_COLUMN)


def _column(name: str) -> dict[str, Any]:
    return {"column": name, "unit": _described(name).unit, "meaning": _described(name).meaning}


def _values(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"column": name, "unit": _described(name).unit, "value": _finite(value)} for name, value in run.items()]


def _ranges(fitted_range: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    return [
        {"column": name, "unit": _described(name).unit, "low": float(low) or None, "high": float(high)}
        for name, (low, high) in fitted_range.items()
    ]


def _coordinate(coordinate: Coordinate) -> dict[str, Any]:
    prior = NormalDist(coordinate.mean, coordinate.sd)
    return {
        "coordinate": coordinate.name,
        "support": coordinate.support,
        "unit": coordinate.unit,
        "meaning": coordinate.meaning,
        "prior": {level: _finite(coordinate.to_support(prior.inv_cdf(p))) for level, p in _LEVELS.items()},
    }


def _paper_priors(law: Law) -> tuple[list[dict[str, Any]], Reference | None]:
    """The paper's parameters with the quantiles that they inherit from the coordinates, and the reference run used."""
    units = {coordinate.name: coordinate.unit for coordinate in law.coordinates} | law.symbols
    reference = typical_reference(law)
    if reference is None:
        nothing = dict.fromkeys(_LEVELS)
        return [{"parameter": name, "unit": units[name], "prior": nothing} for name in law.symbols], None
    draws = prior_draws(law, reference, PRIOR_DRAWS)
    ordered = [*(name for name in law.symbols if name in draws), *(name for name in draws if name not in law.symbols)]
    quantiles = {name: np.quantile(np.asarray(draws[name], float), list(_LEVELS.values())) for name in ordered}
    return [
        {
            "parameter": name,
            "unit": units.get(name, ""),
            "prior": {level: _finite(value) for level, value in zip(_LEVELS, quantiles[name], strict=True)},
        }
        for name in ordered
    ], reference


def _quantity_at(law: PowerLaw, run: dict[str, float]) -> dict[str, Any]:
    inputs = {name: run[name] for name in law.inputs}
    value = float(law.value(**inputs))
    found = {"quantity": law.quantity, "unit": law.unit, "value": _finite(value), "q05": None, "q95": None}
    covariance = law.around(**inputs).covariance
    if covariance is None:
        return found
    spread = NormalDist(0.0, math.sqrt(covariance[0][0]))
    return {**found, **{level: _finite(value * math.exp(spread.inv_cdf(_LEVELS[level]))) for level in ("q05", "q95")}}


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
