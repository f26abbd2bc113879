"""Fits of one law to parts of one table, by the hundred: every part is the whole table with weights, so one program serves all."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.inference.extrapolation import SHARED, extrapolation_distance, parts_of_distance, runs_in_group
from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.model import EXPECTED, RUN_NOISE
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.repetition import resolved
from bayesmoe.inference.spec import AVERAGE_NOISE, FitSpec, law_of
from bayesmoe.laws import require_covariates
from bayesmoe.runs import RunTable
from bayesmoe.runs.epochs import UNIQUE
from bayesmoe.sampling.chains import sample
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.sampling.start import CLIMBS, overdispersed_starts

SETTINGS = SamplerSpec(chains=4, warmup=400, draws=250, target_accept=0.8)
"""A part's chains: a thousand draws, enough for scores."""

_BUMP = 0.01
_SLOPE_DRAWS = 50


class Refits:
    """A table and a law, to be fitted to parts of the table.

    Parameters
    ----------
    spec : FitSpec
        Law, priors, groups and seed; its sampler's chains and draws are not read.
    table : RunTable
        All runs.
    """

    def __init__(self, spec: FitSpec, table: RunTable) -> None:
        spec, table = resolved(spec, table)
        self.law = law_of(spec.law)
        require_covariates(table.frame, self.law, file=table.origin)
        self._spec, self._table = spec, table
        self._coordinates = coordinates_of(self.law, spec.law.priors)
        self.frame: pd.DataFrame = arrange(table, self.law, self._coordinates, spec)[0]
        """Runs in model order, the order of every mask and of every result."""

    def fit(self, kept: np.ndarray, *, axes: tuple[str, ...] = (), near: np.ndarray | None = None) -> xr.Dataset:
        """Fit to the runs of a mask and predict all runs.

        Parameters
        ----------
        kept : array of bool, shape (n,)
            Runs that the model sees, in the order of ``frame``.
        axes : tuple of str
            Covariates along which to say how far each run lies from the runs seen.
        near : array, shape (entry,), optional
            Mode of a fit to other runs of the table: the search for modes starts there.

        Returns
        -------
        Dataset
            ``mode`` (entry), the best found, on the unconstrained space; ``expected`` (draw, run), the response without noise in nats per token, and ``observed`` (run), of those held out too;
            ``noise_scale`` (draw, run) and ``noise_df`` (draw);
            ``ln_covariate`` and ``slope`` (axis, run), the logarithm of each run's covariates and how steeply the law falls there;
            ``distance`` (part, run) from the runs seen in the group, see :func:`bayesmoe.inference.extrapolation.extrapolation_distance`;
            ``rhat``, the largest.
        """
        frame, density, arguments = self._model(kept)
        seed = self._spec.sampler.seed
        prior_key, sample_key = jax.random.split(jax.random.key(seed))
        climbs = density.prior(prior_key, CLIMBS, *arguments)
        start = overdispersed_starts(
            density, arguments, climbs, chains=SETTINGS.chains, held=density.unbounded(*arguments), seed=seed, near=near
        )
        samples = sample(density, arguments, start, sample_key, SETTINGS)
        position = samples.position.reshape(1, -1, samples.position.shape[-1])
        expected = density.expected(position, *arguments)
        places = self._places(frame, density, position[:, ::20], arguments, axes)
        covariates, slope, groups = (places[name].values for name in ("ln_covariate", "slope", "group_of_run"))
        from arviz_stats.base import array_stats

        return xr.Dataset(
            {
                "mode": ("entry", start.mode),
                "expected": (("draw", "run"), expected[EXPECTED][0]),
                "observed": ("run", frame[self.law.response].to_numpy(float)),
                "noise_scale": (("draw", "run"), expected[RUN_NOISE][0]),
                "noise_df": ("draw", expected["noise_df"][0]),
                "distance": (("part", "run"), _distance(covariates, slope, groups, kept, axes)),
                "rhat": float(np.max(array_stats.rhat(samples.position, chain_axis=0, draw_axis=1))),
            },
            coords={"part": list(parts_of_distance(axes))},
        ).merge(places)

    def places(self, fit: xr.DataTree, axes: tuple[str, ...]) -> xr.Dataset:
        """Where all runs lie for what is extrapolated from them: ``ln_covariate``, ``slope`` and ``group_of_run`` as in :meth:`fit`.

        Parameters
        ----------
        fit : DataTree
            The law's fit to the whole table.
        axes : tuple of str
            Covariates.
        """
        frame, density, arguments = self._model(np.ones(len(self.frame), dtype=bool))
        posterior, free = fit["posterior"].to_dataset(), density.shapes(*arguments)
        flat = {name: posterior[name].values.reshape(-1, *shape) for name, shape in free.items()}
        thinned = np.linspace(0, len(next(iter(flat.values()))) - 1, _SLOPE_DRAWS).round().astype(int)
        position = density.unconstrained({name: jnp.asarray(value[thinned]) for name, value in flat.items()}, *arguments)
        return self._places(frame, density, position[None], arguments, axes)

    def mode(self, fit: xr.DataTree) -> np.ndarray:
        """The draw of highest density of the law's fit to the whole table, on the unconstrained space; shape (entry,)."""
        _, density, arguments = self._model(np.ones(len(self.frame), dtype=bool))
        best = fit["sample_stats"]["lp"].argmax(("chain", "draw"))
        posterior = fit["posterior"].to_dataset().isel(best)
        free = {name: jnp.asarray(posterior[name].values)[None] for name in density.shapes(*arguments)}
        return density.unconstrained(free, *arguments)[0]

    def _model(self, kept: np.ndarray) -> tuple[pd.DataFrame, LogDensity, tuple[Any, Any]]:
        order = dict(zip(self.frame["run_id"], kept, strict=True))
        mask = self._table.frame["run_id"].map(order).to_numpy(bool)
        frame, structure, data = arrange(self._table, self.law, self._coordinates, self._spec, mask)
        return frame, LogDensity(structure), (data, jnp.asarray(frame[self.law.response].to_numpy(float)))

    def _places(
        self,
        frame: pd.DataFrame,
        density: LogDensity,
        position: np.ndarray,
        arguments: tuple[Any, Any],
        axes: tuple[str, ...],
    ) -> xr.Dataset:
        return xr.Dataset(
            {
                "ln_covariate": (("axis", "run"), np.log(frame[list(axes)].to_numpy(float).T)),
                "slope": (("axis", "run"), self._slope(density, position, *arguments, axes)),
            },
            coords={"run": frame["run_id"].to_numpy(str), "axis": list(axes), "group_of_run": ("run", self._groups(frame))},
        )

    def _groups(self, frame: pd.DataFrame) -> np.ndarray:
        groups = self._spec.groups
        if groups is None:
            return np.full(len(frame), SHARED)
        return frame["group"].astype(str).replace({groups.dense: SHARED} if groups.dense else {}).to_numpy(str)

    def _slope(self, density: LogDensity, position: np.ndarray, data: Any, loss: Any, axes: tuple[str, ...]) -> np.ndarray:
        """``|d ln L/d ln x_j|`` at every run, averaged over draws; shape (axis, n)."""
        # More tokens of the same passes: a plan that leaves the runs along tokens is not one of more repeats.
        together = {"tokens": ("tokens", UNIQUE)}

        def ln_expected(axis: str | None) -> np.ndarray:
            moves = together.get(axis, (axis,)) if axis else ()
            factor = {name: np.exp(_BUMP) if name in moves else 1.0 for name in data.covariates}
            moved = data._replace(
                covariates={name: value * factor[name] for name, value in data.covariates.items()},
                dense_covariates={name: value * factor[name] for name, value in data.dense_covariates.items()},
            )
            return np.log(density.expected(position, moved, loss)[EXPECTED][0])

        base = ln_expected(None)
        reads = [
            np.abs(ln_expected(axis) - base).mean(axis=0) if axis in self.law.covariates else 0.0 * base[0] for axis in axes
        ]
        return np.stack(reads) / _BUMP if axes else np.zeros((0, base.shape[1]))


def _distance(
    covariates: np.ndarray, slope: np.ndarray, groups: np.ndarray, kept: np.ndarray, axes: tuple[str, ...]
) -> np.ndarray:
    distance = np.empty((len(parts_of_distance(axes)), covariates.shape[1]))
    for group in np.unique(groups):
        asked, from_here = groups == group, kept.copy()
        from_here[kept] = runs_in_group(groups[kept], group)
        distance[:, asked] = extrapolation_distance(
            covariates[:, asked], covariates[:, from_here], slope[:, from_here], axes
        )
    return distance


def with_law(spec: FitSpec, name: str, size: Any = None) -> FitSpec:
    """The fit of one law of an average, with that law's own priors, or those that the average gives it."""
    priors = spec.average.priors.get(name, {}) if spec.average is not None else {}
    law = dataclasses.replace(spec.law, name=name, options={}, priors=priors, size=size)
    return dataclasses.replace(spec, law=law, average=None, noise=spec.noise or AVERAGE_NOISE)
