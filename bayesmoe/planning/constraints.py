"""Constraints that a user writes, such as ``n_total <= 60e9`` or ``tokens / n_active <= 400``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

import jax.numpy as jnp

from bayesmoe.errors import InputError, nearest

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": jnp.abs,
    "exp": jnp.exp,
    "log": jnp.log,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "sqrt": jnp.sqrt,
    "min": jnp.minimum,
    "max": jnp.maximum,
}
"""What an expression may call, elementwise; ``min`` and ``max`` of two."""

_ALLOWED = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant,
    ast.And, ast.Or, ast.Not, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Mod, ast.USub, ast.UAdd,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq,
)  # fmt: skip
_COLUMN = "limits.constraints"


class _Elementwise(ast.NodeTransformer):
    """``and``, ``or``, ``not`` and chained comparisons of arrays as the operators that work on arrays."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """A number as a float."""
        # Powers of whole numbers have no end of digits.
        return ast.Constant(float(str(node.value)))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """``and`` and ``or`` as ``&`` and ``|``."""
        joined: ast.operator = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        return self._joined([self.visit(value) for value in node.values], joined)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """``not`` as ``~``."""
        self.generic_visit(node)
        return ast.UnaryOp(ast.Invert(), node.operand) if isinstance(node.op, ast.Not) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """A chain as comparisons of pairs."""
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        pairs: list[ast.expr] = [
            ast.Compare(left, [op], [right]) for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return self._joined(pairs, ast.BitAnd())

    @staticmethod
    def _joined(parts: list[ast.expr], op: ast.operator) -> ast.expr:
        found = parts[0]
        for part in parts[1:]:
            found = ast.BinOp(found, op, part)
        return found


def constraint(text: str, known: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """A predicate of quantities from its text.

    Parameters
    ----------
    text : str
        A comparison in Python's syntax, joined by ``and``, ``or``, ``not``: numbers, the names in ``known``, arithmetic and
        :data:`FUNCTIONS`. Nothing else is evaluated.
    known : tuple of str
        Names of quantities.

    Returns
    -------
    callable
        ``holds(quantities) -> array of bool``, elementwise; a comparison with NaN does not hold, so ``!=`` and ``not`` of one do.

    Raises
    ------
    InputError
        The text is no expression, uses something else, or names an unknown quantity.
    """
    try:
        code = _compiled(text, known)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError("is not an expression", column=_COLUMN, value=text, hint="such as 'n_total <= 60e9'") from error

    def holds(quantities: Mapping[str, Any]) -> Any:
        return eval(code, {"__builtins__": {}}, {**FUNCTIONS, **quantities})

    try:
        holds(dict.fromkeys(known, jnp.ones(1)))
    except Exception as error:
        raise InputError(f"cannot be evaluated ({error})", column=_COLUMN, value=text, hint=_cure(known)) from error
    return holds


def _compiled(text: str, known: tuple[str, ...]) -> CodeType:
    """Code of an expression in which nothing else is left; what nests too deep for Python is no expression, wherever it shows."""
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and (node.keywords or not isinstance(node.func, ast.Name))
        number = not isinstance(node, ast.Constant) or type(node.value) in (int, float)
        if not isinstance(node, _ALLOWED) or called or not number:
            part = ast.unparse(node) if not isinstance(node, ast.operator | ast.cmpop | ast.boolop | ast.unaryop) else text
            raise InputError(
                "may hold numbers, quantities, arithmetic and comparisons only",
                column=_COLUMN,
                value=part,
                hint=_cure(known),
            )
        if isinstance(node, ast.Name) and node.id not in known and node.id not in FUNCTIONS:
            raise InputError("is not a quantity of a plan", column=_COLUMN, value=node.id, hint=nearest(node.id, known))
    if not _is_condition(tree.body):
        raise InputError("must compare something", column=_COLUMN, value=text, hint="such as 'n_total <= 60e9'")
    return compile(ast.fix_missing_locations(_Elementwise().visit(tree)), _COLUMN, "eval")


def _is_condition(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return all(map(_is_condition, node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _is_condition(node.operand)
    return isinstance(node, ast.Compare)


def _cure(known: tuple[str, ...]) -> str:
    return f"quantities: {', '.join(known)}; functions: {', '.join(FUNCTIONS)}"
