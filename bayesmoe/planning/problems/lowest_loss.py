"""Yun's Algorithm 2: the lowest loss that serves no dearer than the base expert count at its loss optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Problem


@dataclass(frozen=True)
class LowestLoss(Problem):
    """``min L(N, D, E)`` with ``cost(N, E) <= cost_base``, on the training budget.

    ``cost_base`` is that of the base expert count at its lowest loss, or the scenario's ``limits.serving_usd_per_million_tokens``.

    References
    ----------
    Yun et al. 2024, arXiv:2404.02852, Algorithm 2.
    """

    name: ClassVar[str] = "lowest_loss"
    source: ClassVar[str] = "Yun et al. 2024, arXiv:2404.02852, Algorithm 2"
    threshold: ClassVar[str | None] = "serving_usd_per_million_tokens"
