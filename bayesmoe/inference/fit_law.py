"""Fit: from a spec and its runs to a posterior DataTree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.inference.centering import degrees_of_centering
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.model import Arranged, Data, Structure
from bayesmoe.inference.noise import noise_data, parts_of
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.repetition import resolved
from bayesmoe.inference.spec import FitSpec, NoiseSpec, law_of, load_table
from bayesmoe.inference.tree import Drawn, as_data_tree
from bayesmoe.laws import Law, reference_run, require_covariates
from bayesmoe.laws.base import Coordinate
from bayesmoe.progress import Progress
from bayesmoe.runs import RunTable
from bayesmoe.sampling.approximate import laplace, pathfinder
from bayesmoe.sampling.chains import Samples, sample
from bayesmoe.sampling.numpyro_nuts import numpyro_nuts
from bayesmoe.sampling.retries import Attempt, sample_with_retries
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.sampling.start import CLIMBS, Start, overdispersed_starts

PRIOR_DRAWS = 1000
"""Prior draws; those of six attempts with 64 chains start from some of them."""

POINTWISE = 10_000_000
"""Most numbers kept of what has one value for every draw and run: 80 MB."""

_SHAPE_NEEDS = 3


def fit_law(
    spec: FitSpec, *, table: RunTable | None = None, on_progress: Callable[[Progress], None] = lambda progress: None
) -> xr.DataTree:
    """Fit one law to a run table.

    The gate is not computed here; :func:`bayesmoe.fit` does both.

    Parameters
    ----------
    spec : FitSpec
        Data, law, priors, groups and sampler.
    table : RunTable, optional
        Validated runs; read from ``spec.data`` when absent.
    on_progress : callable
        Called with :class:`~bayesmoe.progress.Progress` while sampling.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, ``sample_stats``, ``log_prior``, ``prior``, ``prior_predictive``, ``posterior_predictive``,
        ``log_likelihood``, ``observed_data`` and ``constant_data``; the spec and its provenance in ``attrs``. Losses are in
        nats per token; the variable is named after the law's response.

    Raises
    ------
    InputError
        A covariate of the law is missing, or the groups cannot be formed.
    """
    law = law_of(spec.law)
    table = table if table is not None else load_table(spec.data, spec.groups, law.response)
    spec, table = resolved(spec, table)
    law = law_of(spec.law)
    require_covariates(table.frame, law, file=table.origin)
    coordinates = coordinates_of(law, spec.law.priors)
    arranged = arrange(table, law, coordinates, spec)
    frame, structure, data = arranged
    loss = jnp.asarray(frame[law.response].to_numpy(float))

    density = LogDensity(structure)
    prior_key, sample_key = jax.random.split(jax.random.key(spec.sampler.seed))
    rng = np.random.default_rng(spec.sampler.seed)
    free = list(density.shapes(data, loss))
    places = density.prior(prior_key, PRIOR_DRAWS, data, loss)
    samples, attempts = _drawn(density, (data, loss), places, sample_key, spec.sampler, on_progress)
    posterior, draws = density.sites(samples.position, data, loss), samples.position[:, _kept(samples.position, loss)]
    prior = density.sites(places[None], data, loss)
    prior_draws = places[None, _kept(places[None], loss)]
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in posterior.items() if name in free}
    small = samples.position.shape[0] * samples.position.shape[1] * len(frame) <= POINTWISE
    keep = spec.sampler.pointwise == "always" or (spec.sampler.pointwise == "auto" and small)
    pointwise = density.pointwise(flat, data, loss) if keep else None
    drawn = Drawn(
        posterior=posterior,
        prior=prior,
        prior_predictive=density.responses(prior_draws, data, loss, rng),
        posterior_predictive=density.responses(draws, data, loss, rng),
        log_likelihood=None if pointwise is None else pointwise.reshape(*samples.position.shape[:2], -1),
    )
    return as_data_tree(spec, table, arranged, samples, attempts, drawn)


def _kept(position: np.ndarray, loss: Any) -> np.ndarray:
    """Draws of each chain whose predictions are kept: all where they are few numbers, evenly thinned where not."""
    chains, draws, _ = position.shape
    most = max(1, POINTWISE // (chains * len(loss)))
    return np.arange(0, draws, -(-draws // most))


def _drawn(
    density: LogDensity,
    arguments: tuple[Any, ...],
    places: np.ndarray,
    key: Any,
    sampler: SamplerSpec,
    on_progress: Callable[[Progress], None],
) -> tuple[Samples, tuple[Attempt, ...]]:
    """The posterior's draws; ``places`` are prior draws, each attempt starts from some of its own."""
    held = density.unbounded(*arguments)

    def start(number: int) -> Start:
        # An approximation has one mode; half the climbs find the best one, and seconds are what it is for.
        climbs, chains = (max(CLIMBS, sampler.chains), sampler.chains) if sampler.method == "mcmc" else (CLIMBS // 2, 1)
        starts = places[number * climbs : (number + 1) * climbs]
        return overdispersed_starts(density, arguments, starts, chains=chains, held=held, seed=sampler.seed + number)

    if sampler.method != "mcmc":
        approximation = {"laplace": laplace, "pathfinder": pathfinder}[sampler.method]
        return approximation(density, arguments, start(0), key, draws=sampler.chains * sampler.draws), ()

    def run(settings: SamplerSpec, before: tuple[Attempt, ...]) -> Samples:
        how = (start(len(before)), jax.random.fold_in(key, len(before)), settings)
        if settings.kernel == "numpyro":
            return numpyro_nuts(density, arguments, *how)
        why = f", attempt {len(before) + 1} ({before[-1].problem})" if before else ""

        def show(progress: Progress) -> None:
            on_progress(dataclasses.replace(progress, stage=progress.stage + why))

        return sample(density, arguments, *how, on_progress=show)

    return sample_with_retries(run, sampler)


def arrange(
    table: RunTable, law: Law, coordinates: tuple[Coordinate, ...], spec: FitSpec, kept: np.ndarray | None = None
) -> Arranged:
    """Runs in model order (shared dense runs last), the model's structure and its arrays.

    ``kept``, shape (n,), says which of the table's runs the model may see; the others have weight 0, and neither the reference run
    nor what is pooled nor the degrees of centering depend on them.
    """
    frame = table.frame.assign(_kept=True if kept is None else kept)
    groups: tuple[str, ...] = ()
    shared_dense = np.zeros(len(frame), dtype=bool)
    if spec.groups is not None:
        shared_dense = (frame["group"] == spec.groups.dense).to_numpy()
        _check_dense(frame, spec.groups.dense, table.origin)
        groups = tuple(sorted(frame.loc[~shared_dense, "group"].unique()))
        frame = pd.concat([frame[~shared_dense], frame[shared_dense]]).reset_index(drop=True)
    routed, dense = frame.iloc[: (~shared_dense).sum()], frame.iloc[(~shared_dense).sum() :]
    group = pd.Index(groups).get_indexer(routed["group"].to_numpy()) if groups else np.zeros(len(routed), dtype=int)
    weight = frame.pop("_kept").to_numpy(bool)
    pooled = _pooled(coordinates, frame[weight], groups, spec) if groups else ()
    noise = spec.noise or NoiseSpec()
    parts = parts_of(frame[weight], noise.depends_on)
    if kept is None and not noise.where_known:
        _check_noise([part for part in noise.depends_on if part not in parts], table.origin)
    data = Data(
        covariates={name: jnp.asarray(routed[name].to_numpy(float)) for name in law.covariates},
        group=jnp.asarray(group),
        dense_covariates={name: jnp.asarray(dense[name].to_numpy(float)) for name in law.covariates},
        reference=jax.tree.map(jnp.asarray, reference_run(frame[weight], law)),
        weight=jnp.asarray(weight, dtype=float),
        centering={},
        noise=noise_data(frame, weight, law.response, parts),
    )
    structure = Structure(law, coordinates, pooled, groups, parts)
    return Arranged(frame, structure, data._replace(centering=degrees_of_centering(structure, data)))


def _pooled(
    coordinates: tuple[Coordinate, ...], frame: pd.DataFrame, groups: tuple[str, ...], spec: FitSpec
) -> tuple[str, ...]:
    """Coordinates that differ between groups.

    Shared dense runs make the dense model common. The shape of the expert curve differs only where every group has enough
    expert counts to show one: a group trained at a single count says nothing about saturation.
    """
    assert spec.groups is not None
    if spec.groups.shared is not None:
        names = [c.name for c in coordinates]
        for name in spec.groups.shared:
            if name not in names:
                raise InputError(
                    "is not a coordinate of the law", column="groups.shared", value=name, hint=f"known: {', '.join(names)}"
                )
        return tuple(name for name in names if name not in spec.groups.shared)
    dense = spec.groups.dense is not None
    counts = [frame.loc[frame["group"] == g, "num_experts"].nunique() + dense for g in groups if "num_experts" in frame]
    shapes = min(counts, default=0) >= _SHAPE_NEEDS
    return tuple(c.name for c in coordinates if not (c.of == "dense" and dense) and not (c.of == "shape" and not shapes))


def _check_noise(unknown: list[str], origin: str) -> None:
    needs = {"ratio": "tokens and a size that both vary", "seed": "a column seed, and runs that differ in nothing else"}
    for part in unknown:
        raise InputError(
            "is more than this table can tell", file=origin, column="noise", value=part, hint=f"it needs {needs[part]}"
        )


def _check_dense(frame: pd.DataFrame, dense: str | None, origin: str) -> None:
    if dense is None:
        return
    rows = frame["group"] == dense
    if not rows.any():
        raise InputError("names no group of the table", file=origin, column="groups.dense", value=dense)
    if "num_experts" not in frame or (frame.loc[rows, "num_experts"] != 1).any() or rows.all():
        raise InputError(
            "must be the group of the dense runs (num_experts 1), beside at least one other group",
            file=origin,
            column="groups.dense",
            value=dense,
        )
