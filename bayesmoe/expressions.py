"""Expressions that a user writes over named values, such as ``n_total <= 60e9 and tokens / n_active <= 400``.

The text may come from somebody else's file, so that nothing of it is run: it is read as a tree, of which numbers, names, arithmetic,
comparisons, ``and``, ``or``, ``not`` and named functions are known, elementwise.
"""

from __future__ import annotations

import ast
import functools
import itertools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_OF_TWO = ("min", "max")
_DEEPEST = 150


class NotKnownError(ValueError):
    """A part of an expression that is not evaluated.

    Attributes
    ----------
    part : str
        Its text.
    """

    def __init__(self, node: ast.expr):
        self.part = ast.unparse(node)
        super().__init__(self.part)


@dataclass(frozen=True)
class Evaluator:
    """Values of expressions.

    Parameters
    ----------
    named : callable
        Value of a name; raises where there is none.
    functions : mapping
        What may be called by name, of one argument; ``min`` and ``max`` of two.
    further : callable
        ``further(node, value)``: value of a part that is not known here, with what gives the value of its own parts.
    """

    named: Callable[[str], Any]
    functions: Mapping[str, Callable[..., Any]]
    further: Callable[[ast.expr, Callable[[ast.expr], Any]], Any] | None = None

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        """Value of a part.

        Raises
        ------
        NotKnownError
            It holds what is not known.
        RecursionError
            It nests too deep.
        ValueError
            ``and``, ``or`` or ``not`` of what is no comparison. Operators, functions and ``named`` raise their own errors.
        """
        if depth > _DEEPEST:
            raise RecursionError("it nests too deep")

        def inner(part: ast.expr) -> Any:
            return self.value(part, depth + 1)

        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                # Powers of whole numbers have no end of digits.
                return _as_float(number)
            case ast.Name():
                return self.named(node.id)
            case ast.BoolOp():
                joined = operator.and_ if isinstance(node.op, ast.And) else operator.or_
                return functools.reduce(joined, [_condition(inner(part)) for part in node.values])
            case ast.UnaryOp(op=ast.Not()):
                return negation(inner(node.operand))
            case ast.UnaryOp(op=ast.USub()):
                return -inner(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return +inner(node.operand)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _ARITHMETIC[type(node.op)](inner(node.left), inner(node.right))
            case ast.Compare() if all(type(op) in _COMPARISONS for op in node.ops):
                sides = itertools.pairwise([inner(part) for part in (node.left, *node.comparators)])
                pairs = [_COMPARISONS[type(op)](*pair) for op, pair in zip(node.ops, sides, strict=True)]
                return functools.reduce(operator.and_, pairs)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in self.functions:
                if len(node.args) == 1 + (name in _OF_TWO):
                    return self.functions[name](*map(inner, node.args))
        if self.further is not None:
            return self.further(node, inner)
        raise NotKnownError(node)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def negation(value: Any) -> Any:
    """``not``, elementwise."""
    return not value if isinstance(value, bool) else ~_condition(value)


def _condition(value: Any) -> Any:
    if isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "boolean"):
        return value
    raise ValueError("and, or and not join comparisons")
