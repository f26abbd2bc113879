"""Every key of a scenario as the code has it: unit, allowed values, default and where the default comes from."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from bayesmoe.costs.prices import BOOKS
from bayesmoe.costs.uncertain import Uncertain, UncertainShare
from bayesmoe.planning.roadmap import RoadmapSpec
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.traffic import TrafficSpec
from bayesmoe.planning.workloads import WorkloadSpec
from bayesmoe.specs import About

_BESIDE: dict[str, tuple[Any, ...]] = {"training": (RoadmapSpec,), "serving": (WorkloadSpec,)}
"""What a section may hold beside its own keys: read before it is, and resolved into them."""

_COMPARED = {annotated_types.Gt: ">", annotated_types.Ge: ">=", annotated_types.Lt: "<", annotated_types.Le: "<="}
_KINDS = {str: "text", int: "whole number", float: "number"}


class Key(NamedTuple):
    """A key of a scenario.

    Attributes
    ----------
    section, key : str
        Where it stands; the section is empty for keys before the first heading.
    says : str
        What it means.
    allowed : str
        Type and range of values.
    default : object
        The value where it is left out; None without one.
    about : About
        Unit, source of the default, and plausible values.
    """

    section: str
    key: str
    says: str
    allowed: str
    default: Any
    about: About

    @property
    def name(self) -> str:
        """Dotted name."""
        return f"{self.section}.{self.key}" if self.section else self.key


@functools.cache
def keys() -> tuple[Key, ...]:
    """Every key in the order of a scenario, from the dataclasses that read it."""
    found = _keys_of("", Scenario)
    sections = {name: field.annotation for name, field in _fields(Scenario).items() if _is_section(field.annotation)}
    for section, kind in {**sections, "traffic": TrafficSpec}.items():
        found += _keys_of(section, kind)
        found += [row for one in _BESIDE.get(section, ()) for row in _keys_of(section, one)]
    return tuple(found)


def key_named(name: str) -> Key:
    """The key of a dotted name."""
    return next(one for one in keys() if one.name == name)


def _fields(kind: Any) -> dict[str, FieldInfo]:
    return dict(kind.__pydantic_fields__)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def _keys_of(section: str, kind: Any) -> list[Key]:
    says = _parameters(kind)
    rows = []
    for name, field in _fields(kind).items():
        if _is_section(field.annotation):
            continue
        about = next((one for one in field.metadata if isinstance(one, About)), About())
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        rows.append(Key(section, name, says.get(name, ""), _allowed(name, field), default, about))
    return rows


def _parameters(kind: Any) -> dict[str, str]:
    """Descriptions of a class's parameters, from its docstring in numpydoc."""
    text = inspect.getdoc(kind) or ""
    body = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in (body[1] if body else "").splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
        else:
            found |= {name: f"{found.get(name, '')} {line.strip()}".strip() for name in names}
    return found


def _allowed(name: str, field: FieldInfo) -> str:
    if name == "accelerator":
        return "a known accelerator or a TOML file"
    inside = _without_none(field.annotation)
    bounds = [text for part in (field.metadata, _metadata(inside)) for text in map(_bound, part) if text]
    return f"{_kind(inside)} {' and '.join(dict.fromkeys(bounds))}".rstrip()


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        kept = [one for one in get_args(annotation) if one is not type(None)]
        return kept[0] if len(kept) == 1 else annotation
    return annotation


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def _bound(part: Any) -> str:
    for bound in part.metadata if isinstance(part, FieldInfo) else (part,):
        sign = _COMPARED.get(type(bound))
        if sign:
            return f"{sign} {getattr(bound, {'>': 'gt', '>=': 'ge', '<': 'lt', '<=': 'le'}[sign])}"
    return ""


def _kind(annotation: Any) -> str:
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    members = [one.__origin__ if hasattr(one, "__metadata__") else one for one in get_args(annotation)]
    if Uncertain in members and str in members:
        return f"number or spread > 0, or {', '.join(BOOKS)}"
    if Uncertain in members:
        least = next((text for one in get_args(annotation) for text in map(_bound, _metadata(one)) if text), "> 0")
        return f"number {least}, or spread" if least != "> 0" else "number or spread > 0"
    if UncertainShare in members:
        return "share or spread, > 0 and <= 1"
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        inner = _without_none(get_args(annotation)[0])
        bounds = " ".join(filter(None, map(_bound, _metadata(inner))))
        return f"list of {_kind(inner)}{' ' if bounds else ''}{bounds}"
    return _KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
