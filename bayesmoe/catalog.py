"""The catalog of laws: one line a law, its power laws written out, and one run for it to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from bayesmoe.architecture import train_flop
from bayesmoe.errors import InputError, nearest
from bayesmoe.hyperparameters import HyperparameterLaw, PowerLaw, all_hyperparameter_laws, hyperparameter_law_named
from bayesmoe.laws import all_laws, law_named
from bayesmoe.laws.base import Law
from bayesmoe.runs.schema import COLUMNS, Column, checked

HYPER = "hyper/"
"""Prefix of hyperparameter laws in the catalog: several papers have both a law of the loss and one of these."""

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


def law_at(name: str, at: Sequence[str] = ()) -> tuple[Law | HyperparameterLaw, dict[str, float] | None]:
    """The law of that name, and the run of ``at``.

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
    is_hyper = bare != name or (bare not in known and bare in {law.name for law in all_hyperparameter_laws})
    law = hyperparameter_law_named(bare) if is_hyper else law_named(name)
    return law, run_from(at, law) if at else None


def described(name: str) -> Column:
    """Unit and meaning of a column."""
    return COLUMNS.get(name) or _MORE_COLUMNS.get(name, _UNKNOWN_COLUMN)


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
