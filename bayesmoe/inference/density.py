"""The model's log density as a function of one flat vector, and the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

from bayesmoe.inference.like import Like
from bayesmoe.inference.model import EXPECTED, Data, Structure, noisy, scaling_law

SPREAD_SUFFIX = "_spread"


@dataclass(frozen=True)
class Density:
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
        return -potential_energy(self.model, (data, loss), {}, self._unravel(data, loss)(position))

    def model(self, data: Data, loss: Any) -> None:
        """The NumPyro model."""
        scaling_law(self.structure, data, loss)

    def shapes(self, data: Data, loss: Any) -> dict[str, tuple[int, ...]]:
        """Shape of each free site."""
        return dict(_shapes(self, Like.of((data, loss))))

    def spreads(self, data: Data, loss: Any) -> np.ndarray:
        """Which entries of a position are between-group spreads, shape (dimension,)."""
        marks = {name: np.full(shape, name.endswith(SPREAD_SUFFIX)) for name, shape in self.shapes(data, loss).items()}
        return np.asarray(ravel_pytree(marks)[0]).astype(bool)

    def unconstrained(self, draws: dict[str, Any], data: Data, loss: Any) -> np.ndarray:
        """Positions of draws of the free sites, shape (draws, dimension)."""

        def one(values: dict[str, Any]) -> Any:
            free = unconstrain_fn(self.model, (data, loss), {}, values)
            return ravel_pytree({name: free[name] for name in values})[0]

        return np.asarray(jax.jit(jax.vmap(one))(draws), dtype=float)

    def sites(self, positions: Any, data: Data, loss: Any) -> dict[str, np.ndarray]:
        """Free sites on their supports and the law's own parameters, at positions of shape (chain, draw, dimension)."""
        return self._mapped(
            lambda found: {name: value for name, value in found.items() if name != EXPECTED}, positions, data, loss
        )

    def responses(self, positions: Any, data: Data, loss: Any, rng: np.random.Generator) -> np.ndarray:
        """Responses drawn with the model's noise at positions of shape (chain, draw, dimension); shape (chain, draw, n)."""
        names = (EXPECTED, "noise_scale", "noise_df")
        found = self._mapped(lambda found: {name: found[name] for name in names}, positions, data, loss)
        return noisy(found[EXPECTED], found["noise_scale"], found["noise_df"], rng)

    def _mapped(
        self, of: Callable[[dict[str, Any]], dict[str, Any]], positions: Any, data: Data, loss: Any
    ) -> dict[str, Any]:
        def one(position: Any, data: Data, loss: Any) -> Any:
            free = self._unravel(data, loss)(position)
            return of(constrain_fn(self.model, (data, loss), {}, free, return_deterministic=True))

        over_draws = jax.vmap(one, in_axes=(0, None, None))
        return jax.tree.map(np.asarray, jax.jit(jax.vmap(over_draws, in_axes=(0, None, None)))(positions, data, loss))

    def _unravel(self, data: Data, loss: Any) -> Callable[[Any], Any]:
        return ravel_pytree({name: np.zeros(shape) for name, shape in self.shapes(data, loss).items()})[1]


@lru_cache(maxsize=64)
def _shapes(density: Density, like: Like) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}

    def traced(data: Data, loss: Any) -> None:
        trace = handlers.trace(handlers.seed(density.model, 0)).get_trace(data, loss)
        free = {name: site for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"]}
        found.update({name: tuple(site["value"].shape) for name, site in free.items()})

    jax.eval_shape(traced, *like.placeholders())
    return found
