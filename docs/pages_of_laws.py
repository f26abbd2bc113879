"""A page for every law, from its docstring and from what it says of itself."""

from __future__ import annotations

from docstrings import markdown, table

from bayesmoe.catalog import HYPER, catalog, span
from bayesmoe.documents.base import Quantiles
from bayesmoe.documents.law import HyperparameterLawDocument, LawDocument, PublishedSection
from bayesmoe.hyperparameters import HyperparameterLaw, all_hyperparameter_laws
from bayesmoe.laws import all_laws
from bayesmoe.laws.base import Law

EMBEDDINGS = {
    "in": "The paper's size counts embeddings; run tables here do not.",
    "out": "Sizes are without embeddings, in the paper and here.",
    "not stated": "Whether the paper's size counts embeddings is not stated; run tables here do not.",
}
PROVENANCE = """Provenance of published coefficients: **primary** from the paper or its code, **secondary** from others that quote it, **derived** by
this project."""


def law_nav() -> list[tuple[str, str]]:
    """Title and place of every law's page."""
    return [(row.name, place(row.name)) for row in catalog()]


def place(name: str) -> str:
    """Where a law's page lies."""
    return f"laws/{name.replace('/', '-')}.md"


def law_pages() -> dict[str, str]:
    """Markdown of the list of laws and of each law."""
    pages = {"laws/index.md": index_page()}
    pages |= {place(kind.name): law_page(kind()) for kind in all_laws}
    return pages | {place(f"{HYPER}{law.name}"): hyperparameter_page(law) for law in all_hyperparameter_laws}


def index_page() -> str:
    """All laws in a table."""
    rows = [
        (
            f"[{row.name}]({place(row.name).removeprefix('laws/')})",
            f"`{row.equation}`" if "=" in row.equation else row.equation,
            row.source,
        )
        for row in catalog()
    ]
    laws, hyper = rows[: len(all_laws)], rows[len(all_laws) :]
    return "\n\n".join(
        [
            "# Laws",
            "Every page here is made from the law's own docstring and priors; `bayesmoe laws show NAME` prints the same. "
            "[A law of your own](../own-law.md) is one class. [Every law on every table](../laws-on-tables.md) says how they fit.",
            "## Of the loss",
            table(("name", "equation", "source"), laws),
            "## Of learning rate, batch and allocation",
            table(("name", "gives", "source"), hyper),
            PROVENANCE,
            "",
        ]
    )


def law_page(law: Law) -> str:
    """Equation, docstring, columns, priors, published coefficients and range."""
    d = LawDocument.of(law)
    said = [f"# {law.name}", markdown(type(law)), f"**Source**: {law.source}", "## Columns"]
    said.append(f"Predicts `{d.response}` ({d.response_unit}).")
    if d.size_column:
        said[-1] += f" Its size is `{d.size_column}` unless a spec says otherwise. {EMBEDDINGS[law.embeddings]}"
    said += [_columns(d), "## Coordinates", "What is sampled, around a reference run."]
    said.append(
        table(
            ("coordinate", "on", "prior median (90% interval)", "unit", "meaning"),
            [(f"`{c.coordinate}`", c.support, interval(c.prior), c.unit, c.meaning) for c in d.coordinates],
        )
    )
    said += ["## The paper's parameters", *_parameters(d), "## Published coefficients"]
    said += [_published(known) for known in d.published] or ["None."]
    return "\n\n".join([*said, *_range(d), ""])


def _parameters(d: LawDocument) -> list[str]:
    if d.parameters_reference_run is None:
        about = "No prior is shown: a typical run lacks a column that the law reads."
    else:
        run = ", ".join(f"{v.column} {value(v.value)}" for v in d.parameters_typical_run)
        about = f"What they inherit from the priors of the coordinates, around a typical run of {run}."
    rows = [(f"`{p.parameter}`", interval(p.prior), p.unit) for p in d.parameters]
    return [about, table(("parameter", "prior median (90% interval)", "unit"), rows)]


def _published(known: PublishedSection) -> str:
    names = list(known.coefficients)
    rows = table(tuple(f"`{name}`" for name in names), [tuple(value(known.coefficients[name]) for name in names)])
    caveat = f"\n\nCaveat: {known.caveat}" if known.caveat else ""
    return f"**{known.name}** ({known.provenance}): {known.source}{caveat}\n\n{rows}"


def hyperparameter_page(law: HyperparameterLaw) -> str:
    """Quantities, columns, notes and range."""
    d = HyperparameterLawDocument.of(law)
    rows = [(f"`{q.formula}`", q.unit, q.spread) for q in d.quantities]
    said = [f"# {HYPER}{law.name}", f"**Source**: {law.source} ({law.provenance})", "## Quantities"]
    said += [table(("formula", "unit", "spread"), rows), "## Columns", _columns(d)]
    if law.notes:
        said += ["## Notes", "\n".join(f"- {note}" for note in law.notes)]
    return "\n\n".join([*said, *_range(d), ""])


def _columns(d: LawDocument | HyperparameterLawDocument) -> str:
    return table(("column", "unit", "meaning"), [(f"`{c.column}`", c.unit, c.meaning) for c in d.columns])


def _range(d: LawDocument | HyperparameterLawDocument) -> list[str]:
    rows = [(f"`{r.column}`", span(r.low, r.high), r.unit) for r in d.fitted_range]
    return ["## Runs behind the paper", table(("column", "range", "unit"), rows) if rows else "Not stated."]


def interval(prior: Quantiles) -> str:
    """Median and band."""
    low, median, high = prior.q05, prior.q50, prior.q95
    if low is None and median is None and high is None:
        return "not known"
    return f"{value(median)} (fixed)" if low == high else f"{value(median)} ({value(low)} to {value(high)})"


def value(number: float | None) -> str:
    """Four digits."""
    return "not finite" if number is None else f"{number:.4g}"
