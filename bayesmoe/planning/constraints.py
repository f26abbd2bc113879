"""Constraints that a user writes, such as ``n_total <= 60e9`` or ``tokens / n_active <= 400``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesmoe.errors import InputError, nearest
from bayesmoe.expressions import Evaluator, NotKnownError

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

_COLUMN = "limits.constraints"
_EXAMPLE = "such as 'n_total <= 60e9'"


class Comparison(NamedTuple):
    """A quantity held to a number, as a constraint says it.

    Attributes
    ----------
    value : callable
        ``value(quantities) -> array``.
    number : float
        What it is held to.
    at_least : bool
        Whether that is the least allowed, and not the most.
    """

    value: Callable[[Mapping[str, Any]], Any]
    number: float
    at_least: bool


def comparison(text: str, known: tuple[str, ...]) -> Comparison | None:
    """A constraint that :func:`constraint` reads as one comparison with a number, such as ``n_total <= 60e9``; None for any other."""
    tree = ast.parse(text.strip(), mode="eval").body
    if not (
        isinstance(tree, ast.Compare) and len(tree.ops) == 1 and isinstance(tree.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    ):
        return None
    sides, at_least = (tree.left, tree.comparators[0]), isinstance(tree.ops[0], ast.Gt | ast.GtE)
    fixed = [not any(isinstance(node, ast.Name) and node.id in known for node in ast.walk(side)) for side in sides]
    if fixed[0] == fixed[1]:
        return None
    side, number = (sides[1], sides[0]) if fixed[0] else sides

    def value(quantities: Mapping[str, Any], node: ast.expr = side) -> Any:
        return Evaluator(partial(_named, known, quantities), FUNCTIONS).value(node)

    return Comparison(value, float(value({}, number)), at_least != fixed[0])


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
    names = f"quantities: {', '.join(known)}; functions: {', '.join(FUNCTIONS)}"

    def holds(quantities: Mapping[str, Any]) -> Any:
        return Evaluator(partial(_named, known, quantities), FUNCTIONS).value(tree)

    try:
        tree = ast.parse(text.strip(), mode="eval").body
        failed = _failure(lambda: holds(dict.fromkeys(known, jnp.ones(1))))
    except NotKnownError as error:
        rule = "may hold numbers, quantities, arithmetic and comparisons only"
        raise InputError(rule, column=_COLUMN, value=error.part, hint=names) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError("is not an expression", column=_COLUMN, value=text, hint=_EXAMPLE) from error
    if not _is_condition(tree):
        raise InputError("must compare something", column=_COLUMN, value=text, hint=_EXAMPLE)
    if failed is not None:
        raise InputError(f"cannot be evaluated ({failed})", column=_COLUMN, value=text, hint=names) from failed
    return holds


def _named(known: tuple[str, ...], quantities: Mapping[str, Any], name: str) -> Any:
    if name in known:
        return quantities[name]
    if name in FUNCTIONS:
        raise TypeError(f"{name} is a function")
    raise InputError("is not a quantity of a plan", column=_COLUMN, value=name, hint=nearest(name, known))


def _failure(evaluate: Callable[[], Any]) -> Exception | None:
    """What an operator or function raises; what is no expression at all is raised on."""
    try:
        evaluate()
    except (InputError, NotKnownError, RecursionError, MemoryError):
        raise
    except Exception as error:
        return error
    return None


def _is_condition(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return all(map(_is_condition, node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _is_condition(node.operand)
    return isinstance(node, ast.Compare)
