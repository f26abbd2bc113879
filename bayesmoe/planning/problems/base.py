"""What a planning problem is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bayesmoe.planning.landscape import Landscape


@dataclass(frozen=True)
class Problem:
    """A planning problem.

    Parameters
    ----------
    name : str
        Name in a plan's ``problem`` coordinate.
    objective : {"serving_usd_per_million_tokens", "loss"}
        What is minimised over expert counts.
    solve : callable
        ``solve(landscape, optimal, base) -> (ln_size, feasible, bound)`` with ``optimal`` the loss-optimal ln size of each
        candidate, shape (S, K), and ``base`` the index of the base expert count; ``ln_size`` and ``feasible`` have shape
        (S, K), ``bound`` (S,) is the constraint's value in each draw.
    source : str
        Paper and algorithm.
    """

    name: str
    objective: Literal["serving_usd_per_million_tokens", "loss"]
    solve: Callable[[Landscape, Any, int], tuple[Any, Any, Any]]
    source: str
