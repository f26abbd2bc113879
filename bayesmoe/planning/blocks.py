"""A function of draws, compiled and run block by block: as many sizes together as stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.planning.problems import Problem
from bayesmoe.planning.search import POINTS
from bayesmoe.planning.surface import DesignSurface

_ELEMENTS = 200_000
"""Sizes computed together."""


_on_done: ContextVar[Callable[[], Any]] = ContextVar("on_done", default=lambda: None)


@contextmanager
def counted(on_done: Callable[[], Any]) -> Iterator[None]:
    """Call ``on_done`` after each program that is run over draws within the block."""
    token = _on_done.set(on_done)
    try:
        yield
    finally:
        _on_done.reset(token)


def programs_of_plan(laws: int, problems: tuple[Problem, ...]) -> int:
    """How many programs a plan runs: levels, two searches and the options of each law, and tokens where a loss decides."""
    return laws * (4 + 2 * sum(not one.spends_budget for one in problems))


def over_draws(
    function: Any,
    problems: tuple[Problem, ...],
    here: DesignSurface,
    per_draw: Any,
    shared: Any = (),
    *,
    single_precision: bool = False,
) -> Any:
    """``function(problems, surface, per_draw, weight, shared)`` over blocks of draws; leaves of what it returns are joined along their first axis.

    The last block is filled up with draws that are cut off again; ``weight`` of each draw, 1 or 0, says which.

    Parameters
    ----------
    function : callable
        Of blocks.
    problems : tuple of Problem
        Constants to the compiler.
    here : DesignSurface
        S draws.
    per_draw : pytree of array
        Leaves of shape (S, ...).
    shared : pytree of array
        The same in every block.
    single_precision : bool
        Whether ``function`` computes in it: sums may then be added in another order.
    """
    count, candidates = here.shape
    sizes = max([np.size(leaf) for leaf in jax.tree.leaves(shared)], default=candidates * POINTS)
    block = max(1, min(count, _ELEMENTS // sizes))

    def joined(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        return leaf.reshape(-1, *leaf.shape[2:])[: count if leaf.shape[1] == block else None]

    mapped = _mapped_in_single if single_precision else _mapped
    found = jax.tree.map(joined, mapped(function, problems, block, here, per_draw, shared))
    _on_done.get()()
    return found


def _blockwise(
    function: Any, problems: tuple[Problem, ...], block: int, here: DesignSurface, per_draw: Any, shared: Any
) -> Any:
    count = here.shape[0]
    blocks = -(-count // block)
    rows = jnp.minimum(jnp.arange(blocks * block), count - 1)
    weight = (jnp.arange(blocks * block) < count).astype(float)

    def cut(leaf: Any) -> Any:
        return jnp.asarray(leaf)[rows].reshape(blocks, block, *jnp.shape(leaf)[1:])

    def one(part: Any) -> Any:
        draws, own, counted = part
        return function(problems, replace(here, **draws), own, counted, shared)

    taken = jax.tree.map(cut, (here.draws, per_draw))
    return jax.lax.map(one, (*taken, weight.reshape(blocks, block)))


_WIDE = {"xla_cpu_prefer_vector_width": 512}
_LOOSE = {"xla_cpu_enable_fast_math": True, "xla_cpu_fast_math_honor_nans": True, "xla_cpu_fast_math_honor_infs": True}
_mapped = jax.jit(_blockwise, static_argnums=(0, 1, 2), compiler_options=_WIDE)
_mapped_in_single = jax.jit(_blockwise, static_argnums=(0, 1, 2), compiler_options=_WIDE | _LOOSE)
