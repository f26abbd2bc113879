"""The posterior as an ArviZ DataTree, its netCDF file, and what a reader may rely on."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path

import arviz_base
import numpy as np
import pandas as pd
import xarray as xr

import bayesmoe
from bayesmoe.errors import InputError
from bayesmoe.files import UNREADABLE, require_file, require_format, write_netcdf
from bayesmoe.inference.ensemble import AVERAGE, LAWS
from bayesmoe.inference.log_prior import log_prior
from bayesmoe.inference.model import Data, Structure
from bayesmoe.inference.noise import SEED_SHARE, SLOPES
from bayesmoe.inference.spec import FitSpec, law_of
from bayesmoe.laws import Law, Reference
from bayesmoe.runs import RunTable
from bayesmoe.runs.schema import NUMERIC
from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.retries import Attempt
from bayesmoe.specs import from_json, to_json

FORMAT = 5
"""Version of the layout written below; a reader refuses any other."""

GROUP_DIM = "run_group"
"""Dimension of what differs between groups of runs; ArviZ keeps the name ``group`` for its own."""

_RESPONSE_UNITS = {"loss": "nats/token", "leverage": "1"}
_STATS = {"diverging", "energy", "lp", "acceptance_rate", "n_steps", "step_size", "importance_ess"}


def as_data_tree(
    spec: FitSpec,
    table: RunTable,
    frame: pd.DataFrame,
    structure: Structure,
    data: Data,
    *,
    samples: Samples,
    attempts: tuple[Attempt, ...],
    posterior: dict[str, np.ndarray],
    prior: dict[str, np.ndarray],
    prior_predictive: np.ndarray,
    posterior_predictive: np.ndarray,
    log_likelihood: np.ndarray | None,
) -> xr.DataTree:
    """Assemble the DataTree of a fit; see :func:`bayesmoe.inference.fit_law.fit` for its groups."""
    response = structure.law.response
    constant = {name: frame[name].to_numpy(float) for name in NUMERIC if name in frame and frame[name].notna().all()}
    reference = {f"reference_{name}": float(value) for name, value in data.reference.run.items()}
    reference["reference_gain_experts"] = float(data.reference.gain_experts)
    reference |= {f"noise_{name}": float(data.noise[name]) for name in ("ln_loss", "ln_ratio") if name in data.noise}
    group_of_run = frame["group"].astype(str).to_numpy() if "group" in frame else np.full(len(frame), "all")
    tree = arviz_base.from_dict(
        {
            "posterior": posterior,
            "sample_stats": {name: value for name, value in samples.stats.items() if name in _STATS},
            "log_prior": log_prior(structure, posterior),
            "prior": prior,
            "prior_predictive": {response: prior_predictive},
            "posterior_predictive": {response: posterior_predictive},
            **({} if log_likelihood is None else {"log_likelihood": {response: log_likelihood}}),
            "observed_data": {response: frame[response].to_numpy(float)},
            "constant_data": {**constant, **reference, "group_of_run": group_of_run},
        },
        coords={"run": frame["run_id"].astype(str).to_numpy(), GROUP_DIM: list(structure.groups)},
        dims={
            response: ["run"],
            **{name: ["run"] for name in (*constant, "group_of_run")},
            **{name: [GROUP_DIM] for name, value in posterior.items() if value.ndim == 3},
            **{name: [] for name in reference},
        },
    )
    tree["observed_data"][response].attrs["units"] = _RESPONSE_UNITS[response]
    tree.attrs = {
        "format": FORMAT,
        "bayesmoe_version": bayesmoe.__version__,
        "spec": to_json(spec),
        "law": law_of(spec.law).name,
        "response": response,
        "method": spec.sampler.method,
        "attempts": json.dumps([dataclasses.asdict(attempt) for attempt in attempts]),
        "interrupted": int(samples.interrupted),
        "data_origin": table.origin,
        "data_sha256": table.sha256,
        "data_simulated": int(table.simulated),
        "data_notes": json.dumps([*table.derived, *table.missing]),
        "pooled": json.dumps(structure.pooled),
        "paper_parameters": json.dumps(_paper_parameters(structure, posterior)),
        "versions": json.dumps({name: importlib.metadata.version(name) for name in ("jax", "numpyro", "blackjax", "arviz")}),
    }
    if samples.pareto_k is not None:
        tree.attrs["pareto_k"] = samples.pareto_k
    return tree


def _paper_parameters(structure: Structure, posterior: dict[str, np.ndarray]) -> list[str]:
    """Posterior variables that the law derives from its coordinates."""
    own = {c.name for c in structure.coordinates}
    own |= {f"{name}{suffix}" for name in own for suffix in ("_population", "_spread", "_base")}
    own |= {"noise_scale", "noise_df", SEED_SHARE, *(site for site, _ in SLOPES.values())}
    return [name for name in posterior if name not in own]


def save_fit(tree: xr.DataTree, path: str | Path) -> None:
    """Write a fit as netCDF (HDF5), whole or not at all."""
    write_netcdf(path, tree)


def load_fit(path: str | Path) -> xr.DataTree:
    """Read a fit into memory and close its file.

    Raises
    ------
    InputError
        The file is missing, is not a fit of this package, or was written in another layout.
    """
    tree = _load_netcdf(path, "a fit made by `bayesmoe fit`")
    nodes = {AVERAGE, LAWS} if LAWS in tree.children else {"posterior", "sample_stats"}
    missing = (nodes | {"constant_data"}) - set(tree.children)
    if "scenario" in tree.attrs:
        raise InputError("is a plan, not a fit", file=path, hint="give the fit that it was made from")
    if ("posterior" in tree.children and "spec" in tree.attrs) or LAWS in tree.children:
        # An older layout may lack what this one must have, and is a fit all the same.
        require_format(tree.attrs, FORMAT, path, again="refit")
    if missing or not set(tree.attrs) >= _ATTRIBUTES:
        raise InputError("is not a fit of bayesmoe", file=path, hint="make one with `bayesmoe fit`")
    try:
        spec_of(tree)
    except ValueError as error:
        raise InputError("holds no model spec that can be read", file=path, hint="refit") from error
    return tree


_ATTRIBUTES = {"spec", "law", "pooled", "method", "data_origin", "data_sha256", "data_simulated"}


def _load_netcdf(path: str | Path, what: str) -> xr.DataTree:
    require_file(path, hint=f"give {what}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            return opened.load()
    except UNREADABLE as error:
        raise InputError(f"is not readable netCDF ({type(error).__name__})", file=path, hint=f"give {what}") from error


def spec_of(tree: xr.DataTree) -> FitSpec:
    """The spec a fit was made from."""
    return from_json(tree.attrs["spec"], FitSpec)


def law_of_fit(tree: xr.DataTree) -> Law:
    """The law a fit is of."""
    return law_of(spec_of(tree).law)


def reference_of_fit(tree: xr.DataTree) -> Reference:
    """The reference run of a fit's coordinates."""
    constant = tree["constant_data"].dataset
    run = {name: float(constant[f"reference_{name}"]) for name in law_of_fit(tree).covariates}
    return Reference(run, float(constant["reference_gain_experts"]))
