"""The lowest loss of a model that fits a memory with its cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Bound, Problem, Thresholds
from bayesmoe.planning.quantities import Quantities
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.units import short


@dataclass(frozen=True)
class MemoryLimited(Problem):
    """``min L(N, D, E)`` with ``w N_total + 2 b_kv T L d <= memory``, on the training budget.

    T is ``limits.cached_tokens``, and the memory ``limits.memory_bytes``.

    References
    ----------
    Ludziejewski et al. 2025, arXiv:2502.05172, section 5.3.
    """

    name: ClassVar[str] = "memory_limited"
    title: ClassVar[str] = "Lowest loss that fits a memory"
    label: ClassVar[str] = "lowest loss in a memory"
    marker: ClassVar[str] = "^"
    color: ClassVar[str] = "#56b4e9"
    source: ClassVar[str] = "Ludziejewski et al. 2025, arXiv:2502.05172, section 5.3"

    def require(self, scenario: Scenario) -> None:
        self._need(scenario.limits.memory_bytes, "limits.memory_bytes", "give the memory, such as 80e9")

    def bound(self, here: DesignSurface, quantities: Quantities, thresholds: Thresholds) -> Bound:
        return Bound("limits.memory_bytes", quantities.memory_bytes, here.scenario.limits.memory_bytes)

    def goal(self, scenario: Scenario) -> str:
        limits = scenario.limits
        cached = f" with {short(limits.cached_tokens)} tokens cached" if limits.cached_tokens else ""
        return f"within {short(limits.memory_bytes or 0.0)} bytes{cached}"
