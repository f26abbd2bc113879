"""MCMC chains on a compiled kernel: one thread per chain, a mass matrix pooled over chains, fixed-length chunks of transitions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from blackjax.adaptation.step_size import dual_averaging_adaptation

from bayesmoe.interrupts import keep_going
from bayesmoe.progress import Progress
from bayesmoe.sampling.kernels import CompiledKernel, kernel_of
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.sampling.signature import ArraySignature
from bayesmoe.sampling.start import Start, loss_and_gradient
from bayesmoe.threads import CORES, threads_of

CHUNK = 50
"""Transitions per compiled call: long enough to amortize Python overhead, short enough for a live progress bar."""

_FIRST_WINDOW = 100
_GROWTH = 1.5
_LAST_WINDOW = 100
# Largest ratio of between-chain to within-chain variance that counts as agreement: an R-hat of 1.1.
_MAX_BETWEEN = 0.2
_MAX_STRETCH = 4.0
# Chains that have moved less than a hundredth of a standard deviation do not identify a covariance.
_MIN_VARIANCE = 1e-4


class Samples(NamedTuple):
    """Draws on the unconstrained space and the sampler's statistics.

    Attributes
    ----------
    position : array, shape (chain, draw, dimension)
        Draws.
    stats : dict of array, shape (chain, draw)
        Per-draw statistics of the sampler.
    warmup : int
        Transitions of warm-up per chain.
    interrupted : bool
        Whether sampling was stopped before all draws were made.
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
    settings: SamplerSpec,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Samples:
    """Draw from a density with a compiled kernel.

    Warm-up runs in growing windows. After each one the dense inverse mass matrix is estimated from the draws of all chains; the
    step size adapts throughout. When the chains' means agree and the new matrix is within a factor of four of the previous one in
    every direction, a last window of 100 transitions adapts the step size. Chains run in threads rather than in one batch, which
    would wait for the longest trajectory, and are distributed over devices. The same key gives the same draws on any number of
    threads and devices. An interrupt while sampling keeps the draws that all chains have made.

    Parameters
    ----------
    log_density : callable
        ``log_density(position, *arguments)`` of a position of shape (dimension,) on the unconstrained space; pure JAX. Equal
        callables share one compiled program for arguments of one shape.
    arguments : tuple of pytree
        Data.
    start : Start
        One starting position per chain, and the initial inverse mass matrix.
    key : PRNG key
        Source of randomness; ``settings.seed`` is not read.
    settings : SamplerSpec
        Kernel (``hmc`` or ``nuts``), maximum warm-up, draws per chain and target acceptance rate.
    on_progress : callable
        Called after each chunk.

    Raises
    ------
    KeyboardInterrupt
        Interrupted before the first chunk of draws was complete.
    """
    on_progress(Progress("compiling", 0, 1))
    chains = _Chains(log_density, arguments, start, key, settings, on_progress)
    warmup, draws = settings.warmup, settings.draws
    with threads_of(chains.threads) as threads:
        done, steps, last = 0, min(_FIRST_WINDOW, -(-warmup // 2)), False
        while True:
            position = chains.window(threads, "warm-up", steps, done, warmup)["position"]
            done += steps
            if last or done >= warmup:
                break
            converged = chains.learn(position)
            remaining = warmup - done - _LAST_WINDOW
            last = converged or remaining <= 0
            steps = min(_LAST_WINDOW, warmup - done) if last else min(int(_GROWTH * steps) // CHUNK * CHUNK, remaining)
        record = chains.window(threads, "sampling", draws, 0, draws)
    position = record.pop("position")
    return Samples(position, record, done, interrupted=position.shape[1] < draws)


class _Chains:
    """State of all chains between chunks: positions, step sizes, devices and the shared inverse mass matrix."""

    def __init__(
        self,
        log_density: Callable[..., Any],
        arguments: tuple[Any, ...],
        start: Start,
        key: Any,
        settings: SamplerSpec,
        on_progress: Callable[[Progress], None],
    ) -> None:
        count = len(start.positions)
        devices = jax.local_devices()[:count]
        self.threads = min(count, max(CORES, len(devices)))
        self.on_progress = on_progress
        self.transitions = 0
        self.inverse_mass = start.covariance
        device_of = [devices[chain % len(devices)] for chain in range(count)]
        signature = ArraySignature.of(arguments)
        programs = {
            device: _compiled(log_density, settings.kernel, device, start.mode.size, signature) for device in devices
        }
        self.target_accept = np.asarray(settings.target_accept, dtype=jnp.result_type(float))
        placed = {device: jax.device_put(arguments, device) for device in devices}
        self.programs = [programs[device] for device in device_of]
        self.data = [placed[device] for device in device_of]
        self.keys = [jax.device_put(jax.random.fold_in(key, chain), device) for chain, device in enumerate(device_of)]
        self.devices = device_of
        self.states = []
        for c in range(count):
            loss, slope = loss_and_gradient(log_density)(start.positions[c], arguments)
            known = -np.asarray(loss), -np.asarray(slope)
            self.states.append(self.programs[c].begin(self.keys[c], start.positions[c], *known))

    def window(self, threads: Executor, stage: str, steps: int, done: int, total: int) -> dict[str, np.ndarray]:
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
                keep_going()
                break
        joined = [jax.tree.map(lambda *parts: np.concatenate(parts)[:steps], *parts) for parts in zip(*records, strict=True)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *joined)

    def learn(self, position: np.ndarray) -> bool:
        """Estimate the inverse mass matrix from a window's draws; True when it has converged and the chains agree."""
        late = position[:, position.shape[1] // 2 :]
        if (late.var(axis=1).mean(axis=0) < _MIN_VARIANCE * np.diag(self.inverse_mass)).all():
            return False
        covariance = _pooled_covariance(late)
        between = late.mean(axis=1).var(axis=0) if len(late) > 1 else np.zeros(late.shape[-1])
        agree = bool((between <= _MAX_BETWEEN * late.var(axis=1).mean(axis=0)).all())
        stretch = scipy.linalg.eigvalsh(covariance, self.inverse_mass)
        self.inverse_mass = covariance
        self.states = [(state, self.programs[c].restart(average)) for c, (state, average) in enumerate(self.states)]
        return agree and stretch[0] > 1 / _MAX_STRETCH and stretch[-1] < _MAX_STRETCH

    def _chunk(self, threads: Executor, *, adapt: bool) -> list[dict[str, np.ndarray]]:
        number = np.asarray(self.transitions)
        matrices = {device: jax.device_put(self.inverse_mass, device) for device in set(self.devices)}

        def advance(c: int) -> Any:
            state, average = self.states[c]
            return self.programs[c].chunk(
                self.keys[c],
                number,
                state,
                average,
                matrices[self.devices[c]],
                np.asarray(adapt),
                self.target_accept,
                self.data[c],
            )

        chunks = [job.result() for job in [threads.submit(advance, c) for c in range(len(self.states))]]
        self.states = [(state, average) for state, average, _ in chunks]
        self.transitions += CHUNK
        return [jax.tree.map(np.asarray, record) for _, _, record in chunks]


def _pooled_covariance(late: np.ndarray) -> np.ndarray:
    """Covariance of draws of shape (chain, draw, dimension), pooled over chains and shrunk towards its diagonal."""
    flat = late.reshape(-1, late.shape[-1])
    return shrunk(np.cov(flat, rowvar=False).reshape(flat.shape[1], flat.shape[1]), len(flat))


def shrunk(covariance: Any, draws: int) -> Any:
    """Shrink a covariance estimated from so many draws towards its diagonal."""
    size = len(covariance)
    weight = draws / (draws + 5.0 + size)
    return weight * covariance + (1.0 - weight) * np.eye(size) * (covariance + 1e-10)


class _Programs(NamedTuple):
    begin: Callable[..., Any]
    chunk: Callable[..., Any]
    restart: Callable[..., Any]


@lru_cache(maxsize=64)
def _compiled(
    log_density: Callable[..., Any],
    kernel: CompiledKernel,
    device: Any,
    dimension: int,
    signature: ArraySignature,
) -> _Programs:
    """Compile the programs of one device for arguments of one shape, before any thread calls them."""
    begin_at, step = kernel_of(kernel)
    average_init, _, average_final = dual_averaging_adaptation(target=0.8)

    def begin(key: Any, position: Any, height: Any, slope: Any) -> Any:
        # A plane of the density's height and slope stands in for it: what would be compiled again is known.
        return begin_at(position, lambda v: height + slope @ (v - position), key), average_init(0.1)

    def chunk(
        key: Any, first: Any, state: Any, average: Any, inverse_mass: Any, adapt: Any, target_accept: Any, data: Any
    ) -> Any:
        # A number and no constant: another attempt with smaller steps finds what the first one compiled.
        _, average_update, _ = dual_averaging_adaptation(target_accept)

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
    data = signature.placeholders()
    real = jnp.zeros(()).dtype
    vector = jax.ShapeDtypeStruct((dimension,), real)
    matrix = jax.ShapeDtypeStruct((dimension, dimension), real)
    flag, number = jax.ShapeDtypeStruct((), bool), jax.ShapeDtypeStruct((), real)
    count = jax.ShapeDtypeStruct((), jnp.zeros((), int).dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state, average = jax.eval_shape(begin, key, vector, number, vector)
    sharding: dict[str, Any] = {"in_shardings": placed, "out_shardings": placed}
    return _Programs(
        jax.jit(begin, **sharding).lower(key, vector, number, vector).compile(),
        jax.jit(chunk, **sharding).lower(key, count, state, average, matrix, flag, number, data).compile(),
        jax.jit(lambda average: average_init(average_final(average)), **sharding).lower(average).compile(),
    )
