"""Cells that hold the settings or results of a run, as trackers and pandas write them."""

from __future__ import annotations

import ast
import itertools
import json
import re
from typing import Any, NamedTuple

import pandas as pd

_FEW_CELLS, _SHOWN = 20, 60


class Mapping(NamedTuple):
    """What a cell holds, the parts of it that are no plain values, and whether it cannot be read at all."""

    values: dict[str, Any]
    parts: tuple[str, ...] = ()
    broken: bool = False


_NAMED = {
    "nan": float("nan"),
    "inf": float("inf"),
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "null": None,
    "true": True,
    "false": False,
}
_NUMBER = re.compile(r"(?:^|\.)(?:float|int|tensor)\d*$")
_OBJECT = re.compile(r"<[^<>]*>")


def mapping(value: Any) -> Mapping:
    """A mapping from what a tracker wrote: itself, JSON, or Python's own text (what pandas makes of a dict in a CSV)."""
    if isinstance(value, dict):
        return Mapping(value)
    if not isinstance(value, str) or not value.strip():
        return Mapping({})
    try:
        found = json.loads(value)
        return Mapping(found if isinstance(found, dict) else {})
    except (ValueError, RecursionError):
        pass
    # An object without a text of its own is written <Name at 0x1>.
    for text in (value.strip(), _OBJECT.sub(lambda found: f"__object__({found[0]!r})", value.strip())):
        parts = list[str]()
        try:
            found = _literal(ast.parse(text, mode="eval").body, parts)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return Mapping(found if isinstance(found, dict) else {}, tuple(parts))
    return Mapping({}, broken=value.lstrip().startswith("{"))


def _literal(node: ast.expr, parts: list[str]) -> Any:
    """Value of a literal; what is none becomes blank, and its text goes into ``parts``."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return {
                str(key.value) if isinstance(key, ast.Constant) else ast.unparse(key): _literal(value, parts)
                for key, value in pairs
                if key is not None
            }
        case ast.List() | ast.Tuple() | ast.Set():
            return [_literal(each, parts) for each in node.elts]
        case ast.Name(id=name) if name in _NAMED:
            return _NAMED[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)):
            return -number if isinstance(sign, ast.USub) else number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
            return float("-inf")
        case ast.Call(args=[ast.Constant(value=int() | float()) | ast.UnaryOp() as number]) if _NUMBER.search(
            ast.unparse(node.func)
        ):
            return _literal(number, parts)
        case ast.Call(func=ast.Name(id="__object__"), args=[ast.Constant(value=str() as text)]):
            parts.append(text[:_SHOWN])
        case _:
            parts.append(ast.unparse(node)[:_SHOWN])
    return None


def holds_mappings(column: pd.Series) -> bool:
    """Whether the cells of a column are settings or results, each a mapping of names to values."""
    few = list(itertools.islice((value for value in column if _is_there(value)), _FEW_CELLS))
    if any(isinstance(value, dict) for value in few):
        return True
    texts = [value for value in few if isinstance(value, str) and value.lstrip().startswith("{")]
    return len(texts) > len(few) / 2 and any(found.values or found.broken for found in map(mapping, texts))


def _is_there(value: Any) -> bool:
    return not (value is None or (isinstance(value, float) and value != value))


def flat(mapping: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Nested keys joined with dots; W&B's ``{"value": ...}`` around a setting is taken off, private keys are left out."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        if str(key).startswith("_wandb"):
            continue
        if isinstance(value, dict) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict):
            found |= flat(value, name)
        else:
            found[name] = value
    return found


def where_it_stops(text: str) -> str:
    """Where a text stops being a literal: what stands there."""
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        place = max((error.offset or 1) - 1, 0)
        return text.strip()[max(place - 20, 0) : place + 20] if (error.lineno or 1) == 1 else text[-40:]
    except (ValueError, RecursionError, MemoryError):
        pass
    return text[:40]
