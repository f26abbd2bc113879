"""Templates filled in; whatever a user wrote is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from bayesmoe.reporting.brief import Brief

STYLE = Path(__file__).with_name("style.css")
"""Look of the pages."""


def rendered(template: str, **values: Any) -> str:
    """HTML of a template in ``reporting/templates``."""
    return _environment().get_template(template).render(**values)


def rendered_answer(brief: Brief, decision: dict[str, Any]) -> str:
    """HTML of what a page shows first: the answer, and the designs of :func:`bayesmoe.reporting.decision.card`."""
    made: Any = _environment().get_template("card.html.jinja").module
    return str(made.first(brief, decision))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bayesmoe.reporting"),
        autoescape=select_autoescape(["html", "jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
