"""Many refits: one chain's warm-up and draws as one compiled program that takes new losses without recompiling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
from blackjax.adaptation.step_size import dual_averaging_adaptation

from bayesmoe.sampling.chains import shrunk

_WINDOWS = (100, 150, 100)


def chain_program(
    log_density: Callable[..., Any], *, draws: int, target_accept: float = 0.9
) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """Compile a NUTS chain of a density ``log_density(position, data)`` on the unconstrained space; pure JAX.

    The inverse mass matrix starts as the inverse Hessian at the starting position, eigenvalues clipped to [1e-8, 1], and is
    re-estimated once from the draws of the second of three warm-up windows, 350 transitions in all.

    Returns
    -------
    callable
        ``run(key, position, data)`` gives positions of shape (draws, dimension) and the number of divergences.
    """
    kernel = blackjax.nuts.build_kernel()
    begin, update, final = dual_averaging_adaptation(target_accept)
    first, second, last = _WINDOWS
    total = first + second + last + draws

    def run(key: Any, position: Any, data: Any) -> tuple[Any, Any]:
        def density(vector: Any) -> Any:
            return log_density(vector, data)

        def transition(carry: Any, number: Any) -> Any:
            state, average, inverse_mass, mean, square = carry
            adapting = number < total - draws
            step_size = jnp.exp(jnp.where(adapting, average.log_step_size, average.log_step_size_avg))
            state, info = kernel(jax.random.fold_in(key, number), state, density, step_size, inverse_mass)
            adapted = update(average, info.acceptance_rate)
            inside = (number >= first) & (number < first + second)
            mean = mean + jnp.where(inside, state.position / second, 0.0)
            square = square + jnp.where(inside, jnp.outer(state.position, state.position) / second, 0.0)
            learned = number == first + second - 1
            inverse_mass = jnp.where(learned, shrunk(square - jnp.outer(mean, mean), second), inverse_mass)
            average = jax.tree.map(lambda new, old: jnp.where(adapting, new, old), adapted, average)
            restarted = begin(final(average))
            average = jax.tree.map(lambda new, old: jnp.where(learned, new, old), restarted, average)
            return (state, average, inverse_mass, mean, square), (state.position, info.is_divergent)

        values, vectors = jnp.linalg.eigh(-jax.hessian(density)(position))
        inverse_mass = (vectors / jnp.clip(jnp.abs(values), 1.0, 1e8)) @ vectors.T
        empty = jnp.zeros_like(position)
        start = (blackjax.nuts.init(position, density), begin(0.1), inverse_mass, empty, jnp.outer(empty, empty))
        _, (positions, diverging) = jax.lax.scan(transition, start, jnp.arange(total))
        return positions[-draws:], diverging[-draws:].sum()

    return jax.jit(run)
