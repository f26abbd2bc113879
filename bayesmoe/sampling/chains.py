"""Chains on a compiled kernel: one chain a thread, a mass matrix pooled over chains, transitions in chunks of equal length."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from blackjax.adaptation.step_size import dual_averaging_adaptation

from bayesmoe.sampling.kernels import kernel_of
from bayesmoe.sampling.signature import ArraySignature
from bayesmoe.sampling.start import Start

KernelName = Literal["hmc", "nuts"]

CHUNK = 50
"""Transitions per compiled call: long enough that Python costs nothing, short enough for a live progress bar."""

_FIRST_WINDOW = 100
_GROWTH = 1.5
_LAST_WINDOW = 100
# Variance of the chains' means over the variance within them that still counts as agreement: an R-hat of 1.1.
_MOST_BETWEEN = 0.2
_MOST_STRETCH = 4.0
# Chains that have moved less than a hundredth of a standard deviation say nothing about a covariance.
_LEAST_MOVED = 1e-4


@dataclass(frozen=True)
class Progress:
    """What a progress bar may show after each chunk of all chains."""

    stage: str
    done: int
    total: int
    step_size: float
    divergences: int


class Samples(NamedTuple):
    """Draws on the unconstrained space and how they came about.

    Attributes
    ----------
    position : array, shape (chain, draw, dimension)
        Draws.
    stats : dict of array, shape (chain, draw)
        The sampler's own record.
    warmup : int
        Transitions of warm-up per chain.
    interrupted : bool
        Whether sampling was stopped before all draws were there.
    pareto_k : float or None
        For an approximation, Pareto's k of its importance weights.
    """

    position: np.ndarray
    stats: dict[str, np.ndarray]
    warmup: int = 0
    interrupted: bool = False
    pareto_k: float | None = None


def sample(
    log_density: Callable[..., Any],
    arguments: tuple[Any, ...],
    start: Start,
    key: Any,
    *,
    kernel: KernelName = "hmc",
    warmup: int,
    draws: int,
    target_accept: float,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Samples:
    """Draw from a density with a compiled kernel.

    The warm-up runs in growing windows. Each ends by setting a dense inverse mass matrix from the draws of all chains; the step
    size adapts throughout. When the chains agree on a window's means, and its covariance is that of the matrix in use within a
    factor of four in every direction, a last window of 100 transitions settles the step size. Chains run in threads, as many as
    there are cores: a compiled chain of small arrays gains nothing from batching and waits for the longest trajectory when it is
    batched. With several devices each has its share of the chains. Same key, same draws, whatever the threads and devices.

    An interrupt while sampling ends it, and what all chains have drawn is kept.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` of a position of shape (dimension,) on the unconstrained space; pure JAX. Equal
        callables share one compiled program for arguments of one shape.
    arguments : tuple of pytree
        Data.
    start : Start
        Starting positions and a first inverse mass matrix.
    key : PRNG key
        Source of randomness.
    kernel : {"hmc", "nuts"}
        Kernel; see :func:`~bayesmoe.sampling.kernels.kernel_of`.
    warmup : int
        Most transitions of warm-up per chain.
    draws : int
        Draws per chain.
    target_accept : float
        Target mean acceptance of the step-size adaptation.
    on_progress : callable
        Called after each chunk.

    Raises
    ------
    KeyboardInterrupt
        Interrupted before any draw was there.
    """
    on_progress(Progress("compiling", 0, 1, float("nan"), 0))
    chains = _Chains(log_density, arguments, start, key, kernel, target_accept, on_progress)
    with ThreadPoolExecutor(chains.threads, initializer=_in_precision_of, initargs=(jnp.result_type(float),)) as threads:
        done, steps, last = 0, min(_FIRST_WINDOW, -(-warmup // 2)), False
        while True:
            position = chains.window(threads, "warm-up", steps, done, warmup)["position"]
            done += steps
            if last or done >= warmup:
                break
            settled = chains.learn(position)
            room = warmup - done - _LAST_WINDOW
            last = settled or room <= 0
            steps = min(_LAST_WINDOW, warmup - done) if last else min(int(_GROWTH * steps) // CHUNK * CHUNK, room)
        record = chains.window(threads, "sampling", draws, 0, draws)
    position = record.pop("position")
    return Samples(position, record, done, interrupted=position.shape[1] < draws)


def _in_precision_of(dtype: Any) -> None:
    """Give a worker thread the caller's precision: JAX keeps ``enable_x64`` by thread."""
    jax.enable_x64(dtype == jnp.float64).__enter__()


class _Chains:
    """The chains of one run between chunks: their states, their devices and the matrix they share."""

    def __init__(
        self,
        log_density: Callable[..., Any],
        arguments: tuple[Any, ...],
        start: Start,
        key: Any,
        kernel: KernelName,
        target_accept: float,
        on_progress: Callable[[Progress], None],
    ) -> None:
        count = len(start.positions)
        devices = jax.local_devices()[:count]
        self.threads = min(count, max(os.cpu_count() or 1, len(devices)))
        self.on_progress = on_progress
        self.transitions = 0
        self.inverse_mass = start.covariance
        here = [devices[chain % len(devices)] for chain in range(count)]
        like = ArraySignature.of(arguments)
        programs = {
            device: _compiled(log_density, kernel, target_accept, device, start.mode.size, like) for device in devices
        }
        placed = {device: jax.device_put(arguments, device) for device in devices}
        self.programs = [programs[device] for device in here]
        self.data = [placed[device] for device in here]
        self.keys = [jax.device_put(jax.random.fold_in(key, chain), device) for chain, device in enumerate(here)]
        self.devices = here
        self.states = [
            self.programs[c].begin(self.keys[c], jax.device_put(start.positions[c], here[c]), self.data[c])
            for c in range(count)
        ]

    def window(self, threads: ThreadPoolExecutor, stage: str, steps: int, done: int, total: int) -> dict[str, np.ndarray]:
        """Advance all chains by that many transitions and return their record, shape (chain, transition)."""
        records: list[list[dict[str, np.ndarray]]] = []
        for before in range(0, steps, CHUNK):
            try:
                records.append(self._chunk(threads, adapt=stage == "warm-up"))
                diverging = sum(int(record["diverging"].sum()) for now in records for record in now)
                step_size = float(np.mean([record["step_size"][-1] for record in records[-1]]))
                self.on_progress(Progress(stage, min(done + before + CHUNK, total), total, step_size, diverging))
            except KeyboardInterrupt:
                if stage == "warm-up" or not records:
                    raise
                break
        joined = [jax.tree.map(lambda *parts: np.concatenate(parts)[:steps], *parts) for parts in zip(*records, strict=True)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *joined)

    def learn(self, position: np.ndarray) -> bool:
        """Set the inverse mass matrix from a window's draws; True when it was about right before and the chains agree."""
        late = position[:, position.shape[1] // 2 :]
        if (late.var(axis=1).mean(axis=0) < _LEAST_MOVED * np.diag(self.inverse_mass)).all():
            return False
        covariance = _pooled_covariance(late)
        between = late.mean(axis=1).var(axis=0) if len(late) > 1 else np.zeros(late.shape[-1])
        agree = bool((between <= _MOST_BETWEEN * late.var(axis=1).mean(axis=0)).all())
        stretch = scipy.linalg.eigvalsh(covariance, self.inverse_mass)
        self.inverse_mass = covariance
        self.states = [(state, self.programs[c].restart(average)) for c, (state, average) in enumerate(self.states)]
        return agree and stretch[0] > 1 / _MOST_STRETCH and stretch[-1] < _MOST_STRETCH

    def _chunk(self, threads: ThreadPoolExecutor, *, adapt: bool) -> list[dict[str, np.ndarray]]:
        number = np.asarray(self.transitions)
        matrices = {device: jax.device_put(self.inverse_mass, device) for device in set(self.devices)}

        def advance(c: int) -> Any:
            state, average = self.states[c]
            return self.programs[c].chunk(
                self.keys[c], number, state, average, matrices[self.devices[c]], np.asarray(adapt), self.data[c]
            )

        found = [job.result() for job in [threads.submit(advance, c) for c in range(len(self.states))]]
        self.states = [(state, average) for state, average, _ in found]
        self.transitions += CHUNK
        return [jax.tree.map(np.asarray, record) for _, _, record in found]


def _pooled_covariance(late: np.ndarray) -> np.ndarray:
    """Covariance of draws of shape (chain, draw, dimension), all chains together, shrunk towards its diagonal."""
    flat = late.reshape(-1, late.shape[-1])
    covariance = np.cov(flat, rowvar=False).reshape(flat.shape[1], flat.shape[1])
    weight = len(flat) / (len(flat) + 5.0 + flat.shape[1])
    return weight * covariance + (1 - weight) * np.diag(np.diag(covariance) + 1e-10)


class _Programs(NamedTuple):
    begin: Callable[..., Any]
    chunk: Callable[..., Any]
    restart: Callable[..., Any]


@lru_cache(maxsize=64)
def _compiled(
    log_density: Callable[..., Any],
    kernel: KernelName,
    target_accept: float,
    device: Any,
    dimension: int,
    like: ArraySignature,
) -> _Programs:
    """Programs of one device for arguments of one shape, compiled before any thread meets them."""
    begin_at, step = kernel_of(kernel)
    average_init, average_update, average_final = dual_averaging_adaptation(target_accept)

    def begin(key: Any, position: Any, data: Any) -> Any:
        return begin_at(position, lambda v: log_density(v, *data), key), average_init(0.1)

    def chunk(key: Any, first: Any, state: Any, average: Any, inverse_mass: Any, adapt: Any, data: Any) -> Any:
        def transition(carry: Any, number: Any) -> Any:
            state, average = carry
            step_size = jnp.exp(jnp.where(adapt, average.log_step_size, average.log_step_size_avg))
            state, info = step(
                jax.random.fold_in(key, number), state, lambda v: log_density(v, *data), step_size, inverse_mass
            )
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

    placed = jax.sharding.SingleDeviceSharding(device)
    data = like.placeholders()
    real = jnp.zeros(()).dtype
    vector = jax.ShapeDtypeStruct((dimension,), real)
    matrix = jax.ShapeDtypeStruct((dimension, dimension), real)
    flag, count = jax.ShapeDtypeStruct((), bool), jax.ShapeDtypeStruct((), jnp.zeros((), int).dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state, average = jax.eval_shape(begin, key, vector, data)
    there: dict[str, Any] = {"in_shardings": placed, "out_shardings": placed}
    return _Programs(
        jax.jit(begin, **there).lower(key, vector, data).compile(),
        jax.jit(chunk, **there).lower(key, count, state, average, matrix, flag, data).compile(),
        jax.jit(lambda average: average_init(average_final(average)), **there).lower(average).compile(),
    )
