"""Transitions of a chain: the No-U-Turn sampler, and Hamiltonian Monte Carlo with trajectories of random length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import blackjax
import jax
import jax.numpy as jnp

QUARTER_TURN = 1.5707963267948966
"""Length of a trajectory that turns a normal draw of unit scale into an independent one."""

MOST_STEPS = 1023
"""Longest trajectory."""

_TURNS = (0.35, 2.45)


class Kernel(NamedTuple):
    """``begin(position, density, key)`` gives a state; ``step(key, state, density, step_size, inverse_mass)`` the next one and its record."""

    begin: Callable[..., Any]
    step: Callable[..., Any]


def kernel_of(name: Literal["hmc", "nuts"]) -> Kernel:
    """The kernel of that name.

    ``nuts`` doubles its trajectory until it turns back. ``hmc`` follows one of random length, uniform between 0.35 and 2.45 quarter
    turns in the metric of the inverse mass matrix: right where that matrix is, and then cheaper, as no step is taken to find out
    where to stop. Both take at most 1,023 steps, so that a step size that collapses costs time and not the run.

    References
    ----------
    Hoffman and Gelman 2014, arXiv:1111.4246; Bou-Rabee and Sanz-Serna 2017, arXiv:1511.09382 (random lengths).
    """
    if name == "nuts":
        nuts = blackjax.nuts.build_kernel()
        return Kernel(lambda position, density, key: blackjax.nuts.init(position, density), nuts)

    def steps(key: Any, step_size: Any) -> Any:
        length = QUARTER_TURN * jax.random.uniform(key, minval=_TURNS[0], maxval=_TURNS[1])
        return jnp.clip(jnp.round(length / step_size), 1, MOST_STEPS).astype(int)

    hmc = blackjax.dynamic_hmc.build_kernel(integration_steps_fn=steps)

    def step(key: Any, state: Any, density: Any, step_size: Any, inverse_mass: Any) -> Any:
        return hmc(key, state, density, step_size, inverse_mass, (step_size,))

    return Kernel(blackjax.dynamic_hmc.init, step)
