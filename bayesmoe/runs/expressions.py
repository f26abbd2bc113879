"""Conditions that a user writes over the columns of a table, such as ``n_dense > 1e8 and group == 'Hash'``."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bayesmoe.errors import nearest
from bayesmoe.expressions import Evaluator, NotKnownError, negation

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


def evaluated(frame: pd.DataFrame, text: str) -> Any:
    """Value of an expression over the columns of a table.

    Beside what :mod:`bayesmoe.expressions` knows: text, ``in``, ``//``, ``&``, ``|`` and ``~`` as ``and``, ``or`` and ``not``, and ``isna``,
    ``notna`` and ``isin`` of a column.

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
            return Evaluator(partial(_column, frame, quoted), _FUNCTIONS, _further).value(tree.body)
    except SyntaxError as error:
        if re.search("[^=<>!]=[^=]", text):
            raise ValueError("a comparison is written ==, not =") from error
        raise
    except NotKnownError as error:
        only = "it may hold columns, numbers, text, comparisons and arithmetic only"
        raise ValueError(f"{only}, not {error.part!r}") from error
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


def _column(frame: pd.DataFrame, quoted: dict[str, str], name: str) -> pd.Series:
    name = quoted.get(name, name)
    if name not in frame:
        raise ValueError(f"name {name!r} is not defined: {nearest(name, list(map(str, frame.columns)))}")
    return frame[name]


def _further(node: ast.expr, value: Callable[[ast.expr], Any]) -> Any:
    """Value of a part that tables have and other quantities have not."""
    match node:
        case ast.Constant(value=bool() | str()):
            return node.value
        case ast.UnaryOp(op=ast.Invert()):
            return negation(value(node.operand))
        case ast.BinOp(op=ast.FloorDiv()):
            return value(node.left) // value(node.right)
        case ast.Compare(ops=[ast.In() | ast.NotIn() as op], comparators=[among]):
            column = value(node.left)
            if not (isinstance(column, pd.Series) and isinstance(among, ast.List | ast.Tuple | ast.Set)):
                raise ValueError("in asks whether a column holds one of a list, such as group in ['a', 'b']")
            found = column.isin([value(part) for part in among.elts])
            return ~found if isinstance(op, ast.NotIn) else found
        case ast.Call(func=ast.Attribute(value=of, attr=name), args=given, keywords=[]) if name in _METHODS:
            column = value(of)
            if not isinstance(column, pd.Series):
                raise ValueError(f"{name} is asked of a column")
            lists = [
                [value(each) for each in part.elts] for part in given if isinstance(part, ast.List | ast.Tuple | ast.Set)
            ]
            if len(lists) == len(given):
                return getattr(column, name)(*lists)
    raise NotKnownError(node)
