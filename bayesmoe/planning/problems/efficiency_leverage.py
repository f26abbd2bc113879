"""Efficiency leverage: how much more compute a dense model needs for the loss of an MoE on the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from bayesmoe.errors import InputError
from bayesmoe.planning.problems.base import Problem
from bayesmoe.planning.quantities import Quantities
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.surface import DesignSurface

_DECADES_BELOW, _DECADES_ABOVE, _POINTS = 2.0, 4.0, 97


@dataclass(frozen=True)
class EfficiencyLeverage(Problem):
    """``EL = C_dense / C`` with ``min L_dense(C_dense) = min L(C)``: the architecture of lowest loss has the most leverage.

    References
    ----------
    Tian et al. 2025, arXiv:2507.17702, Eq. 1.
    """

    name: ClassVar[str] = "efficiency_leverage"
    title: ClassVar[str] = "Most efficiency leverage over dense"
    label: ClassVar[str] = "most efficiency leverage"
    marker: ClassVar[str] = ">"
    color: ClassVar[str] = "#000000"
    source: ClassVar[str] = "Tian et al. 2025, arXiv:2507.17702, Eq. 1"
    other_budgets: ClassVar[bool] = True

    def require(self, scenario: Scenario) -> None:
        if 1 not in scenario.choices.counts:
            raise InputError(
                f"must hold the dense model, 1, for the problem {self.name!r}",
                column="choices.num_experts",
                value=list(scenario.choices.counts),
            )

    def more_quantities(self, here: DesignSurface, quantities: Quantities) -> dict[str, Any]:
        return {"efficiency_leverage": leverage(here, quantities.loss, quantities.train_flop)}


def leverage(here: DesignSurface, loss: Any, spent_flop: Any) -> Any:
    """Compute of the dense model of equal loss over the compute spent.

    The dense model's lowest loss falls with its budget; its curve is followed over six decades around the scenario's budget and drawn
    straight in between, in logarithms.

    Parameters
    ----------
    here : DesignSurface
        S draws; one of its candidates is dense.
    loss, spent_flop : array, shape (S, K)
        Loss and training FLOP of the models asked.

    Returns
    -------
    array, shape (S, K)
        A ratio; infinite where no dense budget considered is enough, 0 where every one is more than enough.
    """
    dense = here.candidate([one.num_experts for one in here.candidates].index(1))
    away = jnp.log(10.0) * jnp.linspace(-_DECADES_BELOW, _DECADES_ABOVE, _POINTS)
    # Around a budget in time, the curve is centered on what the first model spends.
    budget = jnp.broadcast_to(spent_flop[:, :1] if here.in_gpu_time else here.budget, (here.shape[0], 1))

    def lowest(step: Any) -> Any:
        part = dense.on_budget(budget * jnp.exp(step))
        return part.loss(part.loss_optimal())[:, 0]

    curve = jnp.minimum.accumulate(jax.lax.map(lowest, away), axis=0)
    # np.interp's table must rise, so losses are read from the largest budget down.
    found = jax.vmap(lambda asked, table: jnp.interp(asked, table[::-1], away[::-1], left=jnp.inf, right=-jnp.inf))(
        loss, curve.T
    )
    return jnp.exp(found) * budget / spent_flop
