"""The lowest loss on a training budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bayesmoe.planning.problems.base import Problem


@dataclass(frozen=True)
class LossOptimal(Problem):
    """``min L(N, D, E)`` with ``C(N, E) D = budget``, in FLOP, or in USD where that is what the scenario gives.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, Eq. 4.
    """

    name: ClassVar[str] = "loss_optimal"
    title: ClassVar[str] = "Lowest loss on the training budget"
    label: ClassVar[str] = "loss-optimal"
    marker: ClassVar[str] = "D"
    color: ClassVar[str] = "#6b6b6b"
    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv:2203.15556, Eq. 4"
