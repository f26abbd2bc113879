"""The lowest loss that a fleet serves within its latency targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Bound, Problem, Thresholds
from bayesmoe.planning.quantities import Quantities
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface


@dataclass(frozen=True)
class FixedHardware(Problem):
    """``min L(N, D, E)`` such that some replica of the fleet holds the model and meets ``max_tpot_s`` and ``max_ttft_s``.

    With ``limits.output_tokens_per_s``, whole replicas of one size on ``serving.fleet_gpus`` must also serve that many tokens per second together; of
    sizes, the one that serves the most counts.

    References
    ----------
    Constraints T_inf <= T_c as in Bian et al. 2025, arXiv:2501.18107; the replica is Yun's (arXiv:2404.02852).
    """

    name: ClassVar[str] = "fixed_hardware"
    title: ClassVar[str] = "Lowest loss that the fleet serves in time"
    label: ClassVar[str] = "lowest loss served in time"
    marker: ClassVar[str] = "<"
    color: ClassVar[str] = "#8c6d1f"
    source: ClassVar[str] = "Bian et al. 2025, arXiv:2501.18107 (latency as a constraint)"
    needs_serving: ClassVar[bool] = True

    def bound(self, here: DesignSurface, quantities: Quantities, thresholds: Thresholds) -> Bound | None:
        demand = here.scenario.limits.output_tokens_per_s
        if demand is None:
            return None
        return Bound("limits.output_tokens_per_s", quantities.fleet_tokens_per_s, demand, at_least=True)

    def goal(self, scenario: Scenario) -> str:
        return "served by the fleet within its targets"
