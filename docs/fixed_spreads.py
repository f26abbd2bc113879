"""A hierarchical model's mode and curvature at given spreads: refits without some rows, in a second instead of minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.initialization import init_to_median
from numpyro.infer.util import initialize_model
from scipy.optimize import minimize

_SOFTEST = 0.1
"""Curvature that is taken at least: unit deviates of priors have 1."""


class Laplace:
    """Normal approximation of a model's parameters on the real line, with some positive ones, its spreads, held fixed.

    The mode of a hierarchical model as a whole lies where spreads vanish; at given spreads the rest is close to normal.

    Parameters
    ----------
    model : callable
        NumPyro model of one mapping of data.
    data : mapping
        The data.
    fixed : mapping
        Positive parameters and the values that they are held at.
    changing : sequence of str
        Data that calls may change.
    """

    def __init__(
        self,
        model: Callable[..., None],
        data: Mapping[str, Any],
        fixed: Mapping[str, float],
        changing: Sequence[str] = (),
    ) -> None:
        info: Any = initialize_model(
            jax.random.key(0), model, init_strategy=init_to_median, model_args=(data,), dynamic_args=True
        )
        sites = info.param_info.z
        self.fixed = {name: jnp.log(value) for name, value in fixed.items() if name in sites}
        start, self.restored = ravel_pytree({name: value for name, value in sites.items() if name not in self.fixed})

        def potential(flat: Any, changed: dict[str, Any]) -> Any:
            return info.potential_fn({**data, **changed})({**self.restored(flat), **self.fixed})

        self.start, self._given = np.asarray(start, float), {name: data[name] for name in changing}
        self._slope, self._curvature = jax.jit(jax.value_and_grad(potential)), jax.jit(jax.hessian(potential))

    def fit(self, changed: Mapping[str, Any] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mode, shape (parameter,), and a root of the covariance, shape (parameter, parameter): draws are ``mode + root z``."""
        given = self._given | dict(changed or {})

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self._slope(flat, given)
            return float(value), np.asarray(slope, float)

        found = minimize(objective, self.start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000})
        values, vectors = np.linalg.eigh(np.asarray(self._curvature(found.x, given)))
        return found.x, vectors / np.sqrt(np.maximum(values, _SOFTEST))
