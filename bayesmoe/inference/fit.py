"""Fit: from a spec and its runs to a posterior DataTree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.infer import Predictive, log_likelihood
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

from bayesmoe.errors import InputError
from bayesmoe.inference.approximate import laplace, pathfinder
from bayesmoe.inference.centring import degrees_of_centring
from bayesmoe.inference.model import EXPECTED, Data, Structure, noisy, scaling_law
from bayesmoe.inference.sample import Progress, Samples, nuts
from bayesmoe.inference.spec import FitSpec, SamplerSpec, coordinates_of, law_of, load_table
from bayesmoe.inference.start import Start, overdispersed_starts
from bayesmoe.inference.store import as_data_tree
from bayesmoe.laws import Law, reference_run, require_covariates
from bayesmoe.laws.base import Coordinate
from bayesmoe.runs import RunTable

PRIOR_DRAWS = 1000
_SHAPE_NEEDS = 3


def fit(spec: FitSpec, *, table: RunTable | None = None, report: Callable[[Progress], None] = lambda progress: None) -> Any:
    """Fit a law to a run table.

    Parameters
    ----------
    spec : FitSpec
        Data, law, priors, groups and sampler.
    table : RunTable, optional
        Validated runs; read from ``spec.data`` when absent.
    report : callable
        Called with :class:`~bayesmoe.inference.sample.Progress` while sampling.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, ``sample_stats``, ``prior``, ``prior_predictive``, ``posterior_predictive``,
        ``log_likelihood``, ``observed_data`` and ``constant_data``; the spec and its provenance in ``attrs``. Losses are in
        nats per token; the variable is named after the law's response.

    Raises
    ------
    InputError
        A covariate of the law is missing, or the groups cannot be formed.
    """
    law = law_of(spec.law)
    table = table if table is not None else load_table(spec.data, spec.groups, law.response)
    require_covariates(table.frame, law, file=table.origin)
    coordinates = coordinates_of(law, spec.law.priors)
    frame, structure, data = arrange(table, law, coordinates, spec)
    loss = jnp.asarray(frame[law.response].to_numpy(float))

    def model(data: Data, loss: Any) -> None:
        scaling_law(structure, data, loss)

    key = jax.random.key(spec.sampler.seed)
    prior_key, sample_key = jax.random.split(key)
    rng = np.random.default_rng(spec.sampler.seed)
    # Responses are passed in so that they are not drawn: compiling that takes longer than the rest of the prior.
    prior = Predictive(model, num_samples=PRIOR_DRAWS)(prior_key, data, loss)
    prior[law.response] = noisy(prior.pop(EXPECTED), prior["noise_scale"], prior["noise_df"], rng)
    free = _free_sites(model, data, loss)
    shapes = {name: np.zeros(prior[name].shape[1:]) for name in free}
    _, unravel = ravel_pytree(shapes)

    def log_density(position: Any, data: Data, loss: Any) -> Any:
        return -potential_energy(model, (data, loss), {}, unravel(position))

    start = overdispersed_starts(
        log_density,
        (data, loss),
        _unconstrained(model, data, loss, {name: prior[name][: spec.sampler.chains] for name in free}),
        held=_flat({name: np.full(shape.shape, name.endswith("_spread")) for name, shape in shapes.items()}).astype(bool),
        seed=spec.sampler.seed,
    )
    samples = _draw(log_density, (data, loss), start, sample_key, spec.sampler, report)
    posterior = _constrained(model, data, loss, samples, unravel)
    predictive = noisy(posterior.pop(EXPECTED), posterior["noise_scale"], posterior["noise_df"], rng)
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in posterior.items()}
    sampled = {name: flat[name] for name in flat if name in free}
    pointwise = log_likelihood(model, sampled, data, loss)[law.response]
    shape = posterior["noise_scale"].shape
    return as_data_tree(
        spec,
        table,
        frame,
        structure,
        data,
        posterior=posterior,
        sample_stats=samples.stats,
        pareto_k=samples.pareto_k,
        prior=prior,
        posterior_predictive=predictive,
        log_likelihood=np.asarray(pointwise).reshape(*shape, -1),
    )


def _draw(
    log_density: Callable[..., Any],
    arguments: tuple[Any, ...],
    start: Start,
    key: Any,
    sampler: SamplerSpec,
    report: Callable[[Progress], None],
) -> Samples:
    if sampler.method == "nuts":
        settings = {"warmup": sampler.warmup, "draws": sampler.draws, "target_accept": sampler.target_accept}
        return nuts(log_density, arguments, start, key, **settings, report=report)
    approximation = {"laplace": laplace, "pathfinder": pathfinder}[sampler.method]
    return approximation(log_density, arguments, start, key, draws=sampler.chains * sampler.draws)


def arrange(
    table: RunTable, law: Law, coordinates: tuple[Coordinate, ...], spec: FitSpec
) -> tuple[pd.DataFrame, Structure, Data]:
    """Runs in model order (shared dense runs last), the model's structure and its arrays."""
    frame = table.frame
    groups: tuple[str, ...] = ()
    shared_dense = np.zeros(len(frame), dtype=bool)
    if spec.groups is not None:
        shared_dense = (frame["group"] == spec.groups.dense).to_numpy()
        _check_dense(frame, spec.groups.dense, table.origin)
        groups = tuple(sorted(frame.loc[~shared_dense, "group"].unique()))
        frame = pd.concat([frame[~shared_dense], frame[shared_dense]]).reset_index(drop=True)
    routed, dense = frame.iloc[: (~shared_dense).sum()], frame.iloc[(~shared_dense).sum() :]
    membership = np.array([[float(group == g) for g in groups] for group in routed.get("group", [])])
    pooled = _pooled(coordinates, frame, groups, spec) if groups else ()
    data = Data(
        covariates={name: jnp.asarray(routed[name].to_numpy(float)) for name in law.covariates},
        membership=jnp.asarray(membership.reshape(len(routed), len(groups))),
        dense_covariates={name: jnp.asarray(dense[name].to_numpy(float)) for name in law.covariates},
        reference=jax.tree.map(jnp.asarray, reference_run(frame, law)),
        centring={},
    )
    structure = Structure(law, coordinates, pooled, groups)
    return frame, structure, data._replace(centring=degrees_of_centring(structure, data))


def _pooled(
    coordinates: tuple[Coordinate, ...], frame: pd.DataFrame, groups: tuple[str, ...], spec: FitSpec
) -> tuple[str, ...]:
    """Coordinates that differ between groups.

    Shared dense runs make the dense model common. The shape of the expert curve differs only where every group has enough
    expert counts to show one: a group trained at a single count says nothing about saturation.
    """
    assert spec.groups is not None
    if spec.groups.shared is not None:
        known = [c.name for c in coordinates]
        for name in spec.groups.shared:
            if name not in known:
                raise InputError(
                    "is not a coordinate of the law", column="groups.shared", value=name, cure=f"known: {', '.join(known)}"
                )
        return tuple(name for name in known if name not in spec.groups.shared)
    dense = spec.groups.dense is not None
    counts = [frame.loc[frame["group"] == g, "num_experts"].nunique() + dense for g in groups if "num_experts" in frame]
    shapes = min(counts, default=0) >= _SHAPE_NEEDS
    return tuple(c.name for c in coordinates if not (c.of == "dense" and dense) and not (c.of == "shape" and not shapes))


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


def _free_sites(model: Callable[..., None], data: Data, loss: Any) -> list[str]:
    names: list[str] = []

    def traced() -> None:
        trace = handlers.trace(handlers.seed(model, 0)).get_trace(data, loss)
        names.extend(name for name, site in trace.items() if site["type"] == "sample" and not site["is_observed"])

    jax.eval_shape(traced)
    return names


def _flat(position: Any) -> np.ndarray:
    return np.asarray(ravel_pytree(position)[0])


def _unconstrained(model: Callable[..., None], data: Data, loss: Any, draws: dict[str, Any]) -> np.ndarray:
    """Prior draws on the unconstrained space, flat, shape (chains, dimension)."""

    def one(values: dict[str, Any]) -> Any:
        free = unconstrain_fn(model, (data, loss), {}, values)
        return ravel_pytree({name: free[name] for name in values})[0]

    return np.asarray(jax.jit(jax.vmap(one))(draws), dtype=float)


def _constrained(
    model: Callable[..., None], data: Data, loss: Any, samples: Samples, unravel: Callable[[Any], Any]
) -> dict[str, np.ndarray]:
    """Posterior draws on their supports with all deterministics, shape (chain, draw, ...)."""

    def one(position: Any, data: Data, loss: Any) -> Any:
        return constrain_fn(model, (data, loss), {}, unravel(position), return_deterministic=True)

    batched = jax.jit(jax.vmap(jax.vmap(one, in_axes=(0, None, None)), in_axes=(0, None, None)))
    return jax.tree.map(np.asarray, batched(samples.position, data, loss))
