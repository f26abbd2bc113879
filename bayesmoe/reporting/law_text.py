"""The catalog of laws as text for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from bayesmoe.catalog import HYPER, Row, span
from bayesmoe.documents.base import Number, Quantiles
from bayesmoe.documents.law import (
    HyperparameterLawDocument,
    LawDocument,
    PublishedSection,
    QuantityAtRun,
    ValueSection,
)
from bayesmoe.terminal import line_width, table

_GAP, _INDENT = 2, 2
_EQUATION_SHARE = 0.43
_EMBEDDINGS = {
    "in": "the paper's counts embeddings, run tables here do not",
    "out": "without embeddings, in the paper and here",
    "not stated": "whether the paper's counts embeddings is not stated; run tables here do not",
}


def catalog_text(rows: Sequence[Row]) -> str:
    """One line a law: name, equation and source, cut to the width of a line."""
    names, width = max(len(row.name) for row in rows), line_width()
    equation = int(_EQUATION_SHARE * width)
    source = width - names - equation - 2 * _GAP
    return "\n".join(
        f"{row.name:<{names}}  {_cut(row.equation, equation):<{equation}}  {_cut(_short(row.source), source)}".rstrip()
        for row in rows
    )


def document_text(document: LawDocument | HyperparameterLawDocument) -> str:
    """Text of a law's document, in aligned columns."""
    parts = _law_parts(document) if isinstance(document, LawDocument) else _hyperparameter_parts(document)
    warnings = [_wrapped(f"warning: {said}", hang=9, indent=0) for said in document.warnings]
    return "\n".join([*parts, *warnings])


def _law_parts(d: LawDocument) -> list[str]:
    size = "none" if d.size_column is None else f"{d.size_column}; {_EMBEDDINGS[d.paper_size_embeddings]}"
    heads = [("predicts", f"{d.response}, {d.response_unit}"), ("size", size)]
    parts = [d.name, _wrapped(d.equation), _wrapped(d.source), "", _table(heads, indent=0)]
    parts += _columns(d)
    rows = [(c.coordinate, c.support, _interval(c.prior), c.unit, c.meaning) for c in d.coordinates]
    parts += ["", "coordinates, which are sampled: prior median (90% interval)", _table(rows)]
    parts += ["", *_parameters(d), "", "published coefficients"]
    parts += [_published(known) for known in d.published] or ["  none"]
    parts += _fitted_range(d)
    if d.run is not None:
        ofs = [at.loss_nats_per_token if d.response == "loss" else at.leverage_ratio for at in d.published_at_run]
        values = [(at.published, _value(value), d.response_unit) for at, value in zip(d.published_at_run, ofs, strict=True)]
        parts += ["", f"{d.response} at {_run(d.run)}", _table(values, none="none: no coefficients are published")]
    return parts


def _parameters(d: LawDocument) -> list[str]:
    table = [_table([(p.parameter, _interval(p.prior), p.unit) for p in d.parameters])]
    if d.parameters_reference_run is None:
        return ["the paper's own parameters: no prior here, because a typical run lacks a column that the law reads", *table]
    around = (
        "the paper's own parameters: prior median (90% interval) that they inherit, from "
        f"{d.parameters_prior_draws} draws around a typical run of {_run(d.parameters_typical_run)} (for this law: "
        f"{_run(d.parameters_reference_run)}); a fit takes the reference of its own runs"
    )
    return [_wrapped(around, indent=0), *table]


def _published(known: PublishedSection) -> str:
    coefficients = ", ".join(f"{symbol} {_value(value)}" for symbol, value in known.coefficients.items())
    lines = [_wrapped(f"{known.name} ({known.provenance}): {known.source}"), _wrapped(coefficients, indent=4)]
    return "\n".join([*lines, *([_wrapped(f"caveat: {known.caveat}", indent=4)] if known.caveat else [])])


def _hyperparameter_parts(d: HyperparameterLawDocument) -> list[str]:
    parts = [f"{HYPER}{d.name}", _wrapped(f"{d.source} ({d.provenance})"), *_columns(d)]
    rows = [(q.formula, q.unit, f"spread {q.spread}") for q in d.quantities]
    parts += ["", "quantities", _table(rows), *_fitted_range(d)]
    if d.notes:
        parts += ["", "notes", *(_wrapped(note) for note in d.notes)]
    if d.run is not None:
        values = [(at.quantity, _at(at), at.unit) for at in d.quantities_at_run]
        parts += ["", f"at {_run(d.run)}: value (90% interval)", _table(values)]
    return parts


def _columns(d: LawDocument | HyperparameterLawDocument) -> list[str]:
    return ["", "columns read", _table([(c.column, c.unit, c.meaning) for c in d.columns])]


def _fitted_range(d: LawDocument | HyperparameterLawDocument) -> list[str]:
    rows = [(r.column, span(r.low, r.high), r.unit) for r in d.fitted_range]
    return ["", "runs behind the paper", _table(rows, none="not stated")]


def _at(at: QuantityAtRun) -> str:
    if at.q05 is None:
        return f"{_value(at.value)} (spread not published)"
    return _interval(Quantiles(q05=at.q05, q50=at.value, q95=at.q95))


def _run(values: Sequence[ValueSection]) -> str:
    return ", ".join(f"{v.column} {_value(v.value)}" for v in values)


def _interval(prior: Quantiles) -> str:
    low, median, high = prior.q05, prior.q50, prior.q95
    if low is None and median is None and high is None:
        return "not known"
    if low == high:
        return f"{_value(median)} (fixed)"
    return f"{_value(median)} ({_value(low)} to {_value(high)})"


def _value(number: Number) -> str:
    return "not finite" if number is None else f"{number:.4g}"


def _short(source: str) -> str:
    """A source up to its last arXiv id."""
    found = re.match(r".*arXiv:[\d.]*\d", source)
    return found.group() if found else source


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip(" ,") + "…"


def _wrapped(text: str, *, indent: int = _INDENT, hang: int = 2) -> str:
    return textwrap.fill(
        text, line_width(), initial_indent=" " * indent, subsequent_indent=" " * (indent + hang), break_long_words=False
    )


def _table(rows: Sequence[tuple[str, ...]], *, indent: int = _INDENT, none: str = "none") -> str:
    """Align all columns; a cell that is too long goes on below itself. Without rows, say ``none``."""
    return (
        table([""] * len(rows[0]), rows, text=len(rows[0]), indent=indent, most=line_width())
        if rows
        else " " * indent + none
    )
