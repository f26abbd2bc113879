"""Yun's Algorithm 1: the cheapest model to serve that is as good as the base expert count at its loss optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Problem


@dataclass(frozen=True)
class CheapestServing(Problem):
    """``min cost(N, E)`` with ``L(N, D, E) <= L_base``, on the training budget.

    ``L_base`` is the lowest loss of the base expert count on the budget, or the scenario's ``limits.loss_nats``. The smaller a model, the
    cheaper it serves, so the solution is over-trained.

    References
    ----------
    Yun et al. 2024, arXiv:2404.02852, Algorithm 1.
    """

    name: ClassVar[str] = "cheapest_serving"
    source: ClassVar[str] = "Yun et al. 2024, arXiv:2404.02852, Algorithm 1"
    objective: ClassVar[str] = "serving_usd_per_million_tokens"
    threshold: ClassVar[str | None] = "loss"
