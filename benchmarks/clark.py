"""The posterior that samplers are compared on: Clark's law, three routers that share their dense runs, 166 runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.model import NOISE_DF_MEDIAN, SPREAD_LOG_SD, Data
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import law_of, load_table, read_fit_spec

SPEC = Path(__file__).parents[1] / "models" / "clark2022-routers.toml"


class Posterior(NamedTuple):
    """The model's density and its data."""

    density: LogDensity
    data: Data
    loss: Any


def clark_posterior() -> Posterior:
    """Density and data of the shipped spec."""
    spec = read_fit_spec(SPEC)
    law = law_of(spec.law)
    table = load_table(spec.data, spec.groups, law.response)
    frame, structure, data = arrange(table, law, coordinates_of(law, spec.law.priors), spec)
    return Posterior(LogDensity(structure), data, jnp.asarray(frame[law.response].to_numpy(float)))


def arrays_of(posterior: Posterior) -> dict[str, np.ndarray]:
    """Everything that another library needs to write the same model, as plain arrays."""
    structure, data = posterior.density.structure, posterior.data
    run = data.reference.run
    arrays: dict[str, Any] = {
        "loss": posterior.loss,
        "membership": np.eye(len(structure.groups))[np.asarray(data.group)],
        "size": data.covariates["n_dense"],
        "experts": data.covariates["num_experts"],
        "dense_size": data.dense_covariates["n_dense"],
        "reference_size": run["n_dense"],
        "reference_experts": run["num_experts"],
        "gain_experts": data.reference.gain_experts,
        "noise_median": structure.law.noise_median,
        "noise_df_median": NOISE_DF_MEDIAN,
        "spread_log_sd": SPREAD_LOG_SD,
    }
    for c in structure.coordinates:
        arrays[f"prior:{c.name}"] = np.array([c.mean, c.sd, c.spread])
        if c.name in structure.pooled:
            arrays[f"centering:{c.name}"] = data.centering[c.name]
    return {name: np.asarray(value, dtype=float) for name, value in arrays.items()}
