"""Conditions that a user writes over the columns of a table, such as ``n_dense > 1e8 and group == 'Hash'``."""

from __future__ import annotations

import ast
import io
import itertools
import operator
import re
import tokenize
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bayesmoe.errors import nearest

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
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
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
}
_METHODS = ("isna", "notna", "isin")
_QUOTED = re.compile("`([^`]*)`")
_DEEPEST = 100


def evaluated(frame: pd.DataFrame, text: str) -> Any:
    """Value of an expression over the columns of a table.

    The text may come from somebody else's file, so that nothing of it is run: it is read as a tree, of which comparisons, ``and``, ``or``,
    ``not``, ``in``, arithmetic, a few functions, and ``isna``, ``notna`` and ``isin`` of a column are known.

    Parameters
    ----------
    frame : DataFrame
        The table.
    text : str
        The expression; a name that Python could not read stands between backquotes.

    Returns
    -------
    Series or scalar
        One value a row, where the expression names a column.

    Raises
    ------
    ValueError, SyntaxError
        The text is no such expression, or names no column; the reason is short enough for a sentence.
    """
    if not text.strip():
        raise ValueError("it cannot be an empty string")
    quoted: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        name = f"_quoted_{len(quoted)}_"
        quoted[name] = found[1]
        return name

    try:
        tree = ast.parse(_spelt_out(_QUOTED.sub(stand_in, text)), mode="eval")
        with np.errstate(all="ignore"):
            return _Reader(frame, quoted).value(tree.body)
    except SyntaxError as error:
        if re.search("[^=<>!]=[^=]", text):
            raise ValueError("a comparison is written ==, not =") from error
        raise
    except (RecursionError, MemoryError) as error:
        raise ValueError("it nests too deep") from error
    except (TypeError, OverflowError, ZeroDivisionError, ArithmeticError) as error:
        raise ValueError(str(error)) from error


def _spelt_out(text: str) -> str:
    """``&`` and ``|`` as ``and`` and ``or``: between comparisons people mean these."""
    words = {"&": "and", "|": "or"}
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text.strip()).readline))
    except (tokenize.TokenError, SyntaxError):
        return text.strip()
    if not any(token.string in words for token in tokens):
        return text.strip()
    return " ".join(words.get(token.string, token.string) for token in tokens if token.type != tokenize.COMMENT).strip()


class _Reader:
    """Values of the parts of an expression."""

    def __init__(self, frame: pd.DataFrame, quoted: dict[str, str]):
        self.frame, self.quoted = frame, quoted

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        """Value of a part."""
        if depth > _DEEPEST:
            raise ValueError("it nests too deep")

        def inner(part: ast.expr) -> Any:
            return self.value(part, depth + 1)

        match node:
            case ast.Constant(value=bool() | str()):
                return node.value
            case ast.Constant(value=int() | float() as number):
                # Powers of whole numbers have no end of digits.
                return float(number)
            case ast.Name():
                return self.column(node.id)
            case ast.List() | ast.Tuple() | ast.Set():
                return [inner(part) for part in node.elts]
            case ast.BoolOp():
                parts = [_condition(inner(part)) for part in node.values]
                joined = operator.and_ if isinstance(node.op, ast.And) else operator.or_
                found = parts[0]
                for part in parts[1:]:
                    found = joined(found, part)
                return found
            case ast.UnaryOp(op=ast.Not() | ast.Invert()):
                return ~_condition(inner(node.operand))
            case ast.UnaryOp(op=ast.USub()):
                return -inner(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return +inner(node.operand)
            case ast.BinOp() if type(node.op) in _BINARY:
                return _BINARY[type(node.op)](inner(node.left), inner(node.right))
            case ast.Compare():
                sides = [inner(part) for part in (node.left, *node.comparators)]
                pairs = [_compared(op, *pair) for op, pair in zip(node.ops, itertools.pairwise(sides), strict=True)]
                found = pairs[0]
                for pair in pairs[1:]:
                    found = found & pair
                return found
            case ast.Call(func=ast.Name(id=name), args=[part], keywords=[]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](inner(part))
            case ast.Call(func=ast.Attribute(value=of, attr=name), args=given, keywords=[]) if name in _METHODS:
                column = inner(of)
                if not isinstance(column, pd.Series):
                    raise ValueError(f"{name} is asked of a column")
                return getattr(column, name)(*map(inner, given))
        raise ValueError(f"it may hold columns, numbers, text, comparisons and arithmetic only, not {ast.unparse(node)!r}")

    def column(self, name: str) -> pd.Series:
        """The column of that name."""
        name = self.quoted.get(name, name)
        if name not in self.frame:
            raise ValueError(f"name {name!r} is not defined: {nearest(name, list(map(str, self.frame.columns)))}")
        return self.frame[name]


def _condition(value: Any) -> Any:
    if isinstance(value, pd.Series) and pd.api.types.is_bool_dtype(value):
        return value
    raise ValueError("and, or and not join comparisons of a column")


def _compared(op: ast.cmpop, left: Any, right: Any) -> Any:
    if isinstance(op, ast.In | ast.NotIn):
        if not (isinstance(left, pd.Series) and isinstance(right, list)):
            raise ValueError("in asks whether a column holds one of a list, such as group in ['a', 'b']")
        found = left.isin(right)
        return ~found if isinstance(op, ast.NotIn) else found
    if type(op) not in _COMPARISONS or isinstance(left, list) or isinstance(right, list):
        raise ValueError("it compares a column with a number, a text or a column")
    return _COMPARISONS[type(op)](left, right)
