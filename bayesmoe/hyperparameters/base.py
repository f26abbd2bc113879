"""What a hyperparameter law is: one paper's power laws for quantities that a plan quotes, with their spread."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from bayesmoe.errors import InputError, nearest

QUANTITIES = {
    "learning_rate": "1",
    "batch_tokens": "tokens",
    "n_dense": "parameters",
    "n_active": "parameters",
    "n_total": "parameters",
    "tokens": "tokens",
    "flop_per_token": "FLOP/token",
    "train_flop": "FLOP",
}
"""Quantities that a power law may give, and the unit of each."""

Covariance = tuple[tuple[float, ...], ...]

_ROUNDING = 1e-9


@dataclass(frozen=True)
class PowerLaw:
    """One quantity as a product of powers.

    ``y = exp(k) prod_i (x_i / c_i)^p_i``, as the exponential of a sum of logarithms, which does not overflow in single precision.

    Parameters
    ----------
    quantity : str
        What it gives, a key of :data:`QUANTITIES`.
    ln_coefficient : float
        Intercept k: ln of the quantity, in its unit, at the center.
    exponents : dict
        Exponent p of each input, by the input's canonical column name.
    center : dict
        Reference value c of an input; 1 of the input's unit where it has none.
    covariance : tuple of tuple of float, optional
        Bootstrap covariance of the intercept and the exponents, in the order of ``exponents``; None where the source
        prints no spread.

    Raises
    ------
    InputError
        The quantity is not canonical, a center belongs to no input, or the covariance is not one: wrong shape, not
        symmetric, a variance that is not positive, or a negative eigenvalue.
    """

    quantity: str
    ln_coefficient: float
    exponents: dict[str, float]
    center: dict[str, float] = field(default_factory=dict)
    covariance: Covariance | None = None

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            hint = nearest(self.quantity, tuple(QUANTITIES))
            raise InputError("is not a known quantity", column="quantity", value=self.quantity, hint=hint)
        for name in self.center:
            if name not in self.exponents:
                raise InputError("must be an input of the law", column="center", value=name, hint=nearest(name, self.inputs))
        if self.covariance is not None:
            _require_covariance(np.asarray(self.covariance, float), 1 + len(self.exponents))

    @property
    def unit(self) -> str:
        """Unit of the quantity."""
        return QUANTITIES[self.quantity]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Canonical names of the inputs."""
        return tuple(self.exponents)

    @property
    def spread(self) -> str:
        """Where the law's own uncertainty comes from: ``"published bootstrap"`` or ``"not published"``."""
        return "not published" if self.covariance is None else "published bootstrap"

    def value(self, **inputs: Any) -> Any:
        """Quantity at the point coefficients: ``exp(k) prod_i (x_i / c_i)^p_i``.

        Parameters
        ----------
        **inputs : array
            Each of :attr:`inputs`, positive, broadcast against each other.

        Returns
        -------
        array
            JAX array in :attr:`unit`, of the broadcast shape; differentiable in every input.

        Raises
        ------
        InputError
            An input is missing, or is not one of the law's.
        """
        self._require_inputs(inputs)
        ln_value: Any = self.ln_coefficient
        for name, exponent in self.exponents.items():
            ln_value = ln_value + exponent * (jnp.log(jnp.asarray(inputs[name], dtype=float)) - self._ln_center(name))
        return jnp.exp(ln_value)

    def draws(self, rng: np.random.Generator, size: int, /, **inputs: Any) -> np.ndarray:
        """Draws of the quantity from the uncertainty of its coefficients, a lognormal.

        ``(k, p) ~ Normal(mean, covariance)``, one pair a draw, shared by all values of the inputs.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        size : int
            Number of draws.
        **inputs : array
            As in :meth:`value`.

        Returns
        -------
        array
            In :attr:`unit`, of shape ``(size, *broadcast shape)``.

        Raises
        ------
        InputError
            The source prints no spread, or an input is missing, unknown or not positive.
        """
        if self.covariance is None:
            raise InputError(
                "has no published spread, so draws of it would pretend certainty",
                column=self.quantity,
                hint="quote value(...) as a point, or draw from a law whose spread is a published bootstrap",
            )
        self._require_inputs(inputs)
        values = np.broadcast_arrays(*(np.asarray(inputs[name], float) for name in self.inputs))
        basis = [np.ones(values[0].shape)]
        for name, value in zip(self.inputs, values, strict=True):
            if not (value > 0).all():
                raise InputError("must be positive", column=name, value=float(value.min()))
            basis.append(np.log(value) - self._ln_center(name))
        mean = [self.ln_coefficient, *self.exponents.values()]
        coefficients = rng.multivariate_normal(mean, np.asarray(self.covariance), size, method="eigh")
        return np.exp(np.tensordot(coefficients, np.stack(basis), axes=1))

    def around(self, **center: float) -> PowerLaw:
        """Return the same law with its intercept at another center: ``k' = k + sum_i p_i ln(c'_i / c_i)``.

        Near the center of the runs the intercept hardly correlates with the exponents and its standard deviation reads as
        the law's relative spread there.

        Parameters
        ----------
        **center : float
            New reference value of every input.

        Raises
        ------
        InputError
            An input is missing, or is not one of the law's.
        """
        self._require_inputs(center)
        shift = np.array([math.log(center[name] / self.center.get(name, 1.0)) for name in self.inputs])
        intercept = self.ln_coefficient + float(shift @ np.array(list(self.exponents.values())))
        covariance = None
        if self.covariance is not None:
            move = np.eye(1 + shift.size)
            move[0, 1:] = shift
            covariance = _as_tuples(move @ np.asarray(self.covariance) @ move.T)
        return replace(self, ln_coefficient=intercept, center=center, covariance=covariance)

    def _ln_center(self, name: str) -> float:
        return math.log(self.center.get(name, 1.0))

    def _require_inputs(self, inputs: dict[str, Any]) -> None:
        by = f"the law for {self.quantity}"
        for name in inputs:
            if name not in self.exponents:
                raise InputError(f"is not an input of {by}", column=name, hint=nearest(name, self.inputs))
        for name in self.inputs:
            if name not in inputs:
                raise InputError(f"is needed by {by}", column=name, hint=f"give {', '.join(self.inputs)}")


@dataclass(frozen=True)
class HyperparameterLaw:
    """The power laws of one coefficient set of one paper.

    Parameters
    ----------
    name : str
        Name by which :func:`bayesmoe.hyperparameters.hyperparameter_law_named` finds it.
    source : str
        Paper and equation.
    provenance : {"primary", "secondary", "derived"}
        From the paper or its code, from others that quote it, or made by this project.
    laws : tuple of PowerLaw
        One a quantity.
    fitted_range : dict
        Smallest and largest value of an input in the runs behind the law; a smallest of 0 where none is printed. An input
        without an entry has no printed range.
    notes : tuple of str
        Sentences a user must know: what the inputs mean, and caveats.
    """

    name: str
    source: str
    provenance: Literal["primary", "secondary", "derived"]
    laws: tuple[PowerLaw, ...]
    fitted_range: dict[str, tuple[float, float]]
    notes: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Canonical names of the inputs of all its laws."""
        return tuple(dict.fromkeys(name for law in self.laws for name in law.inputs))

    def law_for(self, quantity: str) -> PowerLaw:
        """Return the power law for a quantity.

        Raises
        ------
        InputError
            The paper has no law for it.
        """
        laws = {law.quantity: law for law in self.laws}
        if quantity not in laws:
            hint = nearest(quantity, tuple(laws))
            raise InputError(f"is not given by {self.name}", column="quantity", value=quantity, hint=hint)
        return laws[quantity]

    def outside_fitted_range(self, **query: Any) -> tuple[str, ...]:
        """Sentences that say which inputs of a query lie outside the runs behind the law, and how far.

        One for every crossed end of a range and for every input whose range is not printed; none when the runs cover the query.

        Raises
        ------
        InputError
            A name is not an input of the law.
        """
        sentences = []
        for name, value in query.items():
            if name not in self.inputs:
                raise InputError(f"is not an input of {self.name}", column=name, hint=nearest(name, self.inputs))
            if name not in self.fitted_range:
                sentences.append(f"The range of {name} in the runs behind {self.name} is not published.")
                continue
            low, high = self.fitted_range[name]
            least, most = float(np.min(value)), float(np.max(value))
            if not least >= low:
                sentences.append(f"{name} {least:.3g} is below {low:.3g}, the smallest in the runs behind {self.name}.")
            if not most <= high:
                times = f"{most / high:.2g} times {high:.3g}"
                sentences.append(f"{name} {most:.3g} is {times}, the largest in the runs behind {self.name}.")
        return tuple(sentences)


def covariance_of(sds: tuple[float, ...], correlations: tuple[tuple[float, ...], ...]) -> Covariance:
    """Covariance of intercept and exponents from their printed standard deviations and correlations: ``S_ij = r_ij s_i s_j``."""
    return _as_tuples(np.asarray(correlations) * np.outer(sds, sds))


def _as_tuples(matrix: np.ndarray) -> Covariance:
    symmetric = (matrix + matrix.T) / 2
    return tuple(tuple(float(entry) for entry in row) for row in symmetric)


def _require_covariance(matrix: np.ndarray, size: int) -> None:
    rule = None
    if matrix.shape != (size, size):
        rule = f"must be {size} by {size}, the intercept and each exponent"
    elif not np.array_equal(matrix, matrix.T):
        rule = "must be symmetric"
    elif not (np.diag(matrix) > 0).all():
        rule = "must have positive variances"
    else:
        sds = np.sqrt(np.diag(matrix))
        if np.linalg.eigvalsh(matrix / np.outer(sds, sds))[0] < -_ROUNDING:
            rule = "must have no negative eigenvalue: its correlations contradict each other"
    if rule:
        raise InputError(rule, column="covariance", value=matrix.tolist(), hint="check the printed sds and correlations")
