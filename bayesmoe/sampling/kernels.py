"""Transitions of a chain: the No-U-Turn sampler, and Hamiltonian Monte Carlo with trajectories of random length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import blackjax
import jax
import jax.numpy as jnp

CompiledKernel = Literal["hmc", "nuts"]

QUARTER_TURN = 1.5707963267948966
"""Trajectory length that gives an independent draw from a standard normal: pi/2."""

MAX_STEPS = 1023
"""Maximum leapfrog steps per trajectory."""

_TURNS = (0.35, 2.45)


class Kernel(NamedTuple):
    """``begin(position, density, key)`` gives a state; ``step(key, state, density, step_size, inverse_mass)`` the next one and its record."""

    begin: Callable[..., Any]
    step: Callable[..., Any]


def kernel_of(name: CompiledKernel) -> Kernel:
    """Return the kernel of that name.

    ``nuts`` doubles its trajectory until a U-turn. ``hmc`` draws the trajectory length uniformly between 0.35 and 2.45 times pi/2 in
    the metric of the inverse mass matrix: as good when that matrix is accurate, and cheaper, as no step is spent on the stopping
    rule. Both take at most 1,023 steps, which bounds the cost of a step size that collapses.

    References
    ----------
    Hoffman and Gelman 2014, arXiv:1111.4246; Bou-Rabee and Sanz-Serna 2017, arXiv:1511.09382 (random lengths).
    """
    if name == "nuts":
        nuts = blackjax.nuts.build_kernel()
        return Kernel(lambda position, density, key: blackjax.nuts.init(position, density), nuts)

    def steps(key: Any, step_size: Any) -> Any:
        length = QUARTER_TURN * jax.random.uniform(key, minval=_TURNS[0], maxval=_TURNS[1])
        return jnp.clip(jnp.round(length / step_size), 1, MAX_STEPS).astype(int)

    hmc = blackjax.dynamic_hmc.build_kernel(integration_steps_fn=steps)

    def step(key: Any, state: Any, density: Any, step_size: Any, inverse_mass: Any) -> Any:
        return hmc(key, state, density, step_size, inverse_mass, (step_size,))

    return Kernel(blackjax.dynamic_hmc.init, step)
