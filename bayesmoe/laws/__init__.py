"""Scaling laws: one file per law; a new law is one file in ``forms`` and its name here.

A law of your own needs no line: name it ``package.module:MyLaw`` wherever a law is named.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from bayesmoe.errors import InputError, nearest
from bayesmoe.laws.base import Coordinate, Law, Published, Reference
from bayesmoe.laws.reference import reference_run, require_columns, require_covariates
from bayesmoe.laws.saturation import effective_experts
from bayesmoe.plugins import imported
from bayesmoe.specs import from_mapping

_FORMS = (
    *("kaplan", "chinchilla", "nested", "gadre", "bian", "clark", "yun", "effective_size", "ludziejewski", "wang", "flame"),
    *("krajewski", "abnar", "zhao", "hossain", "frantar", "tian"),
)


def _laws_of(form: str) -> tuple[type[Law], ...]:
    """Laws that a module of :mod:`bayesmoe.laws.forms` writes, in its order."""
    module = importlib.import_module(f"bayesmoe.laws.forms.{form}")
    classes = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Law))
    return tuple(law for law in classes if law.__module__ == module.__name__)


all_laws: tuple[type[Law], ...] = tuple(law for form in _FORMS for law in _laws_of(form))

__all__ = [
    "Coordinate",
    "Law",
    "Published",
    "Reference",
    "all_laws",
    "default_average",
    "effective_experts",
    "law_named",
    "reference_run",
    "require_columns",
    "require_covariates",
    "starter_law",
]

_NEEDS = ("name", "source", "equation", "coordinates")


def __getattr__(name: str) -> type[Law]:
    """A shipped law by its class's name, such as ``bayesmoe.laws.Yun``."""
    for law in all_laws:
        if law.__name__ == name:
            return law
    raise AttributeError(f"module 'bayesmoe.laws' has no attribute {name!r}")


def default_average(varying: Collection[str]) -> tuple[type[Law], ...]:
    """Laws about which a table can say something, by which of ``num_experts`` and ``tokens`` vary in it.

    Laws with experts where their number varies, else laws of size and tokens; laws without tokens only where tokens do not vary.
    """
    kept = "tokens" in varying
    return tuple(
        law
        for law in all_laws
        if law().has_experts == ("num_experts" in varying)
        and (law.default_average == "yes" or (kept and law.default_average == "where tokens vary"))
        and (not kept or "tokens" in law().covariates)
    )


def starter_law(varying: Collection[str]) -> type[Law]:
    """The simplest law for a table in which those of ``num_experts`` and ``tokens`` vary."""
    return next(law for law in all_laws if law.starter_for is not None and set(law.starter_for) == set(varying))


def law_named(name: str, **options: Any) -> Law:
    """Return the law of that name.

    Parameters
    ----------
    name : str
        A name of ``all_laws``, or ``package.module:MyLaw`` for a law of your own.
    **options
        Fields of the law, such as ``size="n_active"``.

    Raises
    ------
    InputError
        The name is unknown, the module cannot be imported, or what it names is not a law.
    """
    laws = {law.name: law for law in all_laws}
    kind = imported(name, Law, column="law", needs=_NEEDS) if ":" in name else laws.get(name)
    if kind is None:
        hint = f"{nearest(name, list(laws))} (your own: package.module:MyLaw)"
        raise InputError("is not a known law", column="law", value=name, hint=hint)
    allowed = {field.name for field in fields(kind)}
    for option in options:
        if option not in allowed:
            raise InputError(f"is not an option of the law {name!r}", column=option, hint=nearest(option, list(allowed)))
    try:
        return from_mapping(options, kind)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"has a field that cannot be read from TOML ({said})", column="law", value=name) from error
