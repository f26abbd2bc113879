"""MoE against dense with the same total parameters, compute and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from bayesmoe.planning.problems.base import Problem
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface


@dataclass(frozen=True)
class EqualResources(Problem):
    """``min L(N, D, E)`` with ``N_total = M`` and ``C(N, E) D = budget``, where only what is active differs.

    A model whose FLOP a token are ``R_c`` of the dense one's trains on ``D_dense / R_c`` tokens: with the dense model's unique data, for that
    many epochs. With ``limits.unique_tokens`` at the dense model's tokens, repeats are worth less than fresh tokens
    (:class:`bayesmoe.laws.repetition.Repeated`), and ``limits.max_epochs`` bounds how often data are reused.

    References
    ----------
    Li et al. 2025, arXiv:2506.12119, sections 3 and 5.
    """

    name: ClassVar[str] = "equal_resources"
    title: ClassVar[str] = "Lowest loss at equal parameters, compute and data"
    label: ClassVar[str] = "lowest loss at equal resources"
    marker: ClassVar[str] = "X"
    color: ClassVar[str] = "#e69f00"
    source: ClassVar[str] = "Li et al. 2025, arXiv:2506.12119"

    def require(self, scenario: Scenario) -> None:
        hint = "give the total parameters that all candidates have"
        self._need(scenario.limits.n_total_parameters, "limits.n_total_parameters", hint)

    def sizes(self, here: DesignSurface) -> Any:
        ratio = here.total_ratio()
        return jnp.broadcast_to(jnp.log(here.scenario.limits.n_total_parameters / ratio), here.shape)
