"""The model's log density as a function of one flat vector, and the way there and back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.infer import Predictive, log_likelihood
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

from bayesmoe.inference.model import EXPECTED, RUN_NOISE, Data, Structure, noisy, scaling_law
from bayesmoe.sampling.signature import ArraySignature

SPREAD_SUFFIX = "_spread"
_BLOCK = 250
"""Draws whose runs are computed together."""

_NUMPYRO = threading.RLock()


def _one_thread[**P, R](program: Callable[P, R]) -> Callable[P, R]:
    """NumPyro has one stack of handlers for all threads: models of two fits must not be traced at once."""

    @wraps(program)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _NUMPYRO:
            return program(*args, **kwargs)

    return alone


@dataclass(frozen=True)
class LogDensity:
    """Log density of the model's free sites, flat and unconstrained, with the data as arguments.

    Two densities of one structure are equal, so that a program compiled for the first is found again by the second, whatever
    their numbers: tables of one shape share it.

    Parameters
    ----------
    structure : Structure
        The model.
    """

    structure: Structure

    def __call__(self, position: Any, data: Data, loss: Any) -> Any:
        """Log density at a position of shape (dimension,)."""
        return _traced(self)(position, data, loss)

    def model(self, data: Data, loss: Any) -> None:
        """The NumPyro model."""
        scaling_law(self.structure, data, loss)

    def shapes(self, data: Data, loss: Any) -> dict[str, tuple[int, ...]]:
        """Shape of each free site."""
        return dict(_shapes(self, ArraySignature.of((data, loss))))

    def unbounded(self, data: Data, loss: Any) -> np.ndarray:
        """Entries of a position along which the density has peaks without mass, shape (dimension,).

        A between-group spread that goes to zero, with its groups, and degrees of freedom that go to zero, with a noise that fits some
        runs exactly: the density grows without bound there, and a climb must not follow it.
        """
        shapes = self.shapes(data, loss)
        marks = {name: np.full(shape, name.endswith(SPREAD_SUFFIX) or name == "noise_df") for name, shape in shapes.items()}
        return np.asarray(ravel_pytree(marks)[0]).astype(bool)

    def entries(self, data: Data, loss: Any) -> list[str]:
        """Name of each entry of a position: the site's, with an index where it has several."""
        shapes = self.shapes(data, loss)
        # Flattening a dictionary sorts its names.
        return [
            f"{name}[{','.join(map(str, index))}]" if index else name
            for name in sorted(shapes)
            for index in np.ndindex(*shapes[name])
        ]

    def prior(self, key: Any, count: int, data: Data, loss: Any) -> np.ndarray:
        """Positions of draws from the prior, shape (count, dimension)."""
        return np.asarray(_prior(self, count)(key, data, loss), dtype=float)

    def unconstrained(self, draws: dict[str, Any], data: Data, loss: Any) -> np.ndarray:
        """Positions of draws of the free sites, shape (draws, dimension)."""
        return np.asarray(_unconstrained(self)(draws, data, loss), dtype=float)

    def sites(self, positions: Any, data: Data, loss: Any) -> dict[str, np.ndarray]:
        """Free sites on their supports and the law's own parameters, at positions of shape (chain, draw, dimension)."""
        return _in_blocks(_mapped(self, expected=False), positions, data, loss)

    def expected(self, positions: Any, data: Data, loss: Any) -> dict[str, np.ndarray]:
        """Each run's response without noise and its noise scale, shape (chain, draw, n), and ``noise_df``, shape (chain, draw)."""
        return _in_blocks(_mapped(self, expected=True), positions, data, loss)

    @_one_thread
    def pointwise(self, draws: dict[str, Any], data: Data, loss: Any) -> np.ndarray:
        """Log likelihood of each run at draws of the free sites, shape (draws, n), nats."""
        return np.asarray(log_likelihood(self.model, draws, data, loss)[self.structure.law.response])

    def responses(self, positions: Any, data: Data, loss: Any, rng: np.random.Generator) -> np.ndarray:
        """Responses drawn with the model's noise at positions of shape (chain, draw, dimension); shape (chain, draw, n)."""
        expected = self.expected(positions, data, loss)
        return noisy(expected[EXPECTED], expected[RUN_NOISE], expected["noise_df"], rng)

    def _unravel(self, data: Data, loss: Any) -> Callable[[Any], Any]:
        return ravel_pytree({name: np.zeros(shape) for name, shape in self.shapes(data, loss).items()})[1]


@lru_cache(maxsize=64)
def _traced(density: LogDensity) -> Callable[..., Any]:
    """The log density as a program: whatever differentiates or batches it finds its trace instead of running the model again."""

    @_one_thread
    def program(position: Any, data: Data, loss: Any) -> Any:
        return -potential_energy(density.model, (data, loss), {}, density._unravel(data, loss)(position))

    return jax.jit(program)


@lru_cache(maxsize=64)
def _prior(density: LogDensity, count: int) -> Callable[..., Any]:
    @_one_thread
    def program(key: Any, data: Data, loss: Any) -> Any:
        free = list(density.shapes(data, loss))
        drawn = Predictive(density.model, num_samples=count, return_sites=free)(key, data, loss)
        return jax.vmap(lambda values: _flat(density, values, data, loss))({name: drawn[name] for name in free})

    return jax.jit(program)


@lru_cache(maxsize=64)
def _unconstrained(density: LogDensity) -> Callable[..., Any]:
    return jax.jit(jax.vmap(lambda values, data, loss: _flat(density, values, data, loss), in_axes=(0, None, None)))


@_one_thread
def _flat(density: LogDensity, values: dict[str, Any], data: Data, loss: Any) -> Any:
    free = unconstrain_fn(density.model, (data, loss), {}, values)
    return ravel_pytree({name: free[name] for name in values})[0]


@lru_cache(maxsize=64)
def _constrained(density: LogDensity) -> Callable[..., Any]:
    """All sites at a position, as a program."""

    @_one_thread
    def program(position: Any, data: Data, loss: Any) -> dict[str, Any]:
        free = density._unravel(data, loss)(position)
        return constrain_fn(density.model, (data, loss), {}, free, return_deterministic=True)

    return jax.jit(program)


@lru_cache(maxsize=64)
def _mapped(density: LogDensity, *, expected: bool) -> Callable[..., Any]:
    """The runs' expected responses and noise, or all other sites, over chains and draws."""
    everything, of_runs = _constrained(density), (EXPECTED, RUN_NOISE)

    def one(position: Any, data: Data, loss: Any) -> dict[str, Any]:
        sites = everything(position, data, loss)
        names = (*of_runs, "noise_df") if expected else [name for name in sites if name not in of_runs]
        return {name: sites[name] for name in names}

    return jax.jit(jax.vmap(one, in_axes=(0, None, None)))


def _in_blocks(program: Callable[..., Any], positions: Any, data: Data, loss: Any) -> dict[str, np.ndarray]:
    """A program over positions of shape (chain, draw, dimension), block by block: any number of chains and draws shares what is compiled."""
    positions = np.asarray(positions)
    flat = positions.reshape(-1, positions.shape[-1])
    padded = np.concatenate([flat, np.repeat(flat[-1:], -len(flat) % _BLOCK, axis=0)])
    blocks = [program(padded[first : first + _BLOCK], data, loss) for first in range(0, len(padded), _BLOCK)]
    joined = jax.tree.map(lambda *parts: np.concatenate(parts)[: len(flat)], *blocks)
    return jax.tree.map(lambda leaf: leaf.reshape(*positions.shape[:2], *leaf.shape[1:]), joined)


@lru_cache(maxsize=64)
def _shapes(density: LogDensity, like: ArraySignature) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    @_one_thread
    def traced(data: Data, loss: Any) -> None:
        trace = handlers.trace(handlers.seed(density.model, 0)).get_trace(data, loss)
        free = {name: site for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]}
        shapes.update({name: tuple(site["value"].shape) for name, site in free.items()})

    jax.eval_shape(traced, *like.placeholders())
    return shapes
