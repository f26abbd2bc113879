"""NUTS on a compiled kernel: one chain a thread, a mass matrix pooled over chains, transitions in chunks of equal length."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import dual_averaging_adaptation

from bayesmoe.inference.start import Start

CHUNK = 50
"""Transitions per compiled call: long enough that Python costs nothing, short enough for a live progress bar."""

_WINDOWS = (100, 150, 250)
_LAST_WINDOW = 150


@dataclass(frozen=True)
class Progress:
    """What a progress bar may show after each chunk of all chains."""

    stage: str
    done: int
    total: int
    step_size: float
    divergences: int


class Samples(NamedTuple):
    """Draws on the unconstrained space, shape (chain, draw, dimension), the sampler's own record, shape (chain, draw), and
    for an approximation Pareto's k of its importance weights."""

    position: np.ndarray
    stats: dict[str, np.ndarray]
    pareto_k: float | None = None


def nuts(
    log_density: Callable[..., Any],
    arguments: tuple[Any, ...],
    start: Start,
    key: Any,
    *,
    warmup: int,
    draws: int,
    target_accept: float,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Samples:
    """Draw from a density with the No-U-Turn sampler.

    The warm-up runs in windows that end by setting a dense inverse mass matrix from the draws of all chains; the step size
    adapts throughout. Chains run in threads, as many as there are cores: a compiled chain of small arrays gains nothing
    from batching and waits for the longest tree when it is batched. Same key, same draws, whatever the threads.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` of a position of shape (dimension,) on the unconstrained space; pure JAX.
    arguments : tuple of pytree
        Data, passed as arguments so that tables of one shape share one compiled program.
    start : Start
        Starting positions and a first inverse mass matrix.
    key : PRNG key
        Source of randomness.
    warmup, draws : int
        Transitions per chain.
    target_accept : float
        Target mean acceptance of the step-size adaptation.
    report : callable
        Called after each chunk.
    """
    flat = jnp.asarray(start.positions)
    begin, chunk, restart = _programs(lambda vector, data: log_density(vector, *data), target_accept)
    report(Progress("compiling", 0, 1, float("nan"), 0))
    keys = [jax.random.fold_in(key, chain) for chain in range(len(flat))]
    chains = [begin(vector, arguments) for vector in flat]
    inverse_mass = jnp.asarray(start.covariance)
    # Compiled before the threads start: a jitted function that two threads meet first is compiled by both.
    run = chunk.lower(keys[0], jnp.asarray(0), *chains[0], inverse_mass, jnp.asarray(True), arguments).compile()

    with ThreadPoolExecutor(max_workers=min(len(flat), os.cpu_count() or 1)) as threads:

        def advance(stage: str, steps: int, done: int, total: int) -> dict[str, np.ndarray]:
            adapt = jnp.asarray(stage == "warm-up")
            records: list[list[Any]] = []
            for before in range(0, steps, CHUNK):
                step = jnp.asarray(done + before + (0 if stage == "warm-up" else warmup))
                jobs = [
                    threads.submit(run, keys[c], step, *chains[c], inverse_mass, adapt, arguments)
                    for c in range(len(chains))
                ]
                for c, job in enumerate(jobs):
                    state, average, record = job.result()
                    chains[c] = (state, average)
                    jobs[c] = jax.tree.map(np.asarray, record)
                records.append(jobs)
                diverging = sum(int(r["diverging"].sum()) for now in records for r in now)
                step_size = float(np.mean([r["step_size"][-1] for r in records[-1]]))
                report(Progress(stage, min(done + before + CHUNK, total), total, step_size, diverging))
            joined = [
                jax.tree.map(lambda *parts: np.concatenate(parts)[:steps], *parts) for parts in zip(*records, strict=True)
            ]
            return jax.tree.map(lambda *leaves: np.stack(leaves), *joined)

        windows = _windows(warmup)
        for number, steps in enumerate(windows):
            record = advance("warm-up", steps, sum(windows[:number]), sum(windows))
            if number < len(windows) - 1:
                inverse_mass = _pooled_covariance(record["position"])
                chains[:] = [(state, restart(average)) for state, average in chains]
        record = advance("sampling", draws, 0, draws)
    return Samples(record.pop("position"), record)


def _windows(warmup: int) -> list[int]:
    middle = warmup - sum(_WINDOWS) - _LAST_WINDOW
    if middle < 0:
        return [warmup // 2, warmup - warmup // 2]
    return [*_WINDOWS, *([middle] if middle else []), _LAST_WINDOW]


def _pooled_covariance(position: np.ndarray) -> Any:
    """Covariance over the later half of a window, all chains together, shrunk towards its diagonal."""
    late = position[:, position.shape[1] // 2 :].reshape(-1, position.shape[-1])
    covariance = np.cov(late, rowvar=False).reshape(late.shape[1], late.shape[1])
    weight = len(late) / (len(late) + 5.0 + late.shape[1])
    diagonal = np.diag(np.diag(covariance) + 1e-10)
    return jnp.asarray(weight * covariance + (1 - weight) * diagonal)


def _programs(density: Callable[..., Any], target_accept: float) -> tuple[Callable[..., Any], ...]:
    kernel = blackjax.nuts.build_kernel()
    average_init, average_update, average_final = dual_averaging_adaptation(target_accept)

    def begin(vector: Any, data: Any) -> Any:
        return blackjax.nuts.init(vector, lambda v: density(v, data)), average_init(0.1)

    def chunk(key: Any, first: Any, state: Any, average: Any, inverse_mass: Any, adapt: Any, data: Any) -> Any:
        def transition(carry: Any, number: Any) -> Any:
            state, average = carry
            running = jnp.where(adapt, average.log_step_size, average.log_step_size_avg)
            step_size = jnp.exp(running)
            state, info = kernel(jax.random.fold_in(key, number), state, lambda v: density(v, data), step_size, inverse_mass)
            adapted = average_update(average, info.acceptance_rate)
            average = jax.tree.map(lambda new, old: jnp.where(adapt, new, old), adapted, average)
            record = {
                "position": state.position,
                "lp": state.logdensity,
                "energy": info.energy,
                "diverging": info.is_divergent,
                "acceptance_rate": info.acceptance_rate,
                "n_steps": info.num_integration_steps,
                "step_size": step_size,
            }
            return (state, average), record

        (state, average), record = jax.lax.scan(transition, (state, average), first + jnp.arange(CHUNK))
        return state, average, record

    return jax.jit(begin), jax.jit(chunk), jax.jit(lambda average: average_init(average_final(average)))
