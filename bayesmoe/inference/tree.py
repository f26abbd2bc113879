"""Assemble the posterior of a fit as an ArviZ DataTree."""

from __future__ import annotations

import importlib.metadata
from typing import NamedTuple

import arviz_base
import numpy as np
import pandas as pd
import xarray as xr

import bayesmoe
from bayesmoe.inference.log_prior import log_prior
from bayesmoe.inference.model import Arranged, Structure
from bayesmoe.inference.noise import REFERENCES, SEED_SHARE, SLOPES
from bayesmoe.inference.spec import FitSpec
from bayesmoe.inference.store import GROUP_DIM, FitInfo
from bayesmoe.runs import RunTable
from bayesmoe.runs.schema import NUMERIC
from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.retries import Attempt

_RESPONSE_UNITS = {"loss": "nats/token", "leverage": "1"}
_STATS = {"diverging", "energy", "lp", "acceptance_rate", "n_steps", "step_size", "importance_ess"}
_TAKEN = ("run", "chain", "draw", "group_of_run", GROUP_DIM)
"""Names in a fit that a column of the table may not take."""

_VERSIONS = ("jax", "numpyro", "blackjax", "arviz")


class Drawn(NamedTuple):
    """Draws of a fit on their natural scales.

    Attributes
    ----------
    posterior, prior : dict of array, shape (chain, draw, ...)
        By site.
    prior_predictive, posterior_predictive : array, shape (chain, draw, run)
        Responses with noise.
    log_likelihood : array, shape (chain, draw, run), or None
        None where it was too large to keep.
    """

    posterior: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]
    prior_predictive: np.ndarray
    posterior_predictive: np.ndarray
    log_likelihood: np.ndarray | None


def as_data_tree(
    spec: FitSpec, table: RunTable, arranged: Arranged, samples: Samples, attempts: tuple[Attempt, ...], drawn: Drawn
) -> xr.DataTree:
    """Assemble the DataTree of a fit; see :func:`bayesmoe.inference.fit_law.fit_law` for its groups."""
    frame, structure = arranged.frame, arranged.structure
    response = structure.law.response
    tree = arviz_base.from_dict(
        {
            "posterior": drawn.posterior,
            "sample_stats": {name: value for name, value in samples.stats.items() if name in _STATS},
            "log_prior": log_prior(structure, drawn.posterior),
            "prior": drawn.prior,
            "prior_predictive": {response: drawn.prior_predictive},
            "posterior_predictive": {response: drawn.posterior_predictive},
            **({} if drawn.log_likelihood is None else {"log_likelihood": {response: drawn.log_likelihood}}),
            "observed_data": {response: frame[response].to_numpy(float)},
            "constant_data": _of_runs(arranged) | _references(arranged),
        },
        coords={"run": frame["run_id"].astype(str).to_numpy(), GROUP_DIM: list(structure.groups)},
        dims={
            response: ["run"],
            **{name: ["run"] for name in _of_runs(arranged)},
            **{name: [GROUP_DIM] for name, value in drawn.posterior.items() if value.ndim == 3},
            **{name: [] for name in _references(arranged)},
        },
    )
    tree["observed_data"][response].attrs["units"] = _RESPONSE_UNITS[response]
    FitInfo(
        spec=spec,
        law_name=structure.law.name,
        response=response,
        data_origin=table.origin,
        data_sha256=table.sha256,
        data_simulated=table.simulated,
        data_notes=(*table.derived, *table.missing),
        attempts=attempts,
        interrupted=samples.interrupted,
        pooled=structure.pooled,
        paper_parameters=_paper_parameters(structure, drawn.posterior),
        pareto_k=samples.pareto_k,
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
        bayesmoe_version=bayesmoe.__version__,
    ).write(tree)
    return tree


def _of_runs(arranged: Arranged) -> dict[str, np.ndarray]:
    """Covariates of the runs, settings in words, and the group of each."""
    frame = arranged.frame
    numeric = dict.fromkeys((*NUMERIC, *arranged.structure.law.covariates))
    covariates = {name: frame[name].to_numpy(float) for name in numeric if name in frame and frame[name].notna().all()}
    group_of_run = frame["group"].astype(str).to_numpy() if "group" in frame else np.full(len(frame), "all")
    return {**covariates, **_settings_in_words(frame), "group_of_run": group_of_run}


def _settings_in_words(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns of words that several runs share, such as a corpus or a tokenizer: the gate asks whether residuals follow them."""
    words = (
        frame.select_dtypes(["object", "str", "category"]).drop(columns=["run_id", "group"], errors="ignore").dropna(axis=1)
    )
    shared = [str(name) for name in words if 1 < words[name].astype(str).nunique() <= len(frame) // 2]
    free = (name for name in shared if name not in (*_TAKEN, *NUMERIC) and not name.startswith(("reference_", "noise_")))
    return {name: words[name].astype(str).to_numpy() for name in free}


def _references(arranged: Arranged) -> dict[str, float]:
    """Reference run of the coordinates and of the noise."""
    data = arranged.data
    reference = {f"reference_{name}": float(value) for name, value in data.reference.run.items()}
    reference["reference_gain_experts"] = float(data.reference.gain_experts)
    noise = {f"noise_{name}": float(data.noise[name]) for name in REFERENCES if name in data.noise}
    return reference | noise


def _paper_parameters(structure: Structure, posterior: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Posterior variables that the law derives from its coordinates."""
    sites = {c.name for c in structure.coordinates}
    sites |= {f"{name}{suffix}" for name in sites for suffix in ("_population", "_spread", "_base")}
    sites |= {"noise_scale", "noise_df", SEED_SHARE, *(site for site, _ in SLOPES.values())}
    return tuple(name for name in posterior if name not in sites)
