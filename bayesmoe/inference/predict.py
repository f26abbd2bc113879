"""Losses of models that were not trained, under a fit of one law or of several averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.inference.ensemble import Component, apportion, components, discrepancy_draws
from bayesmoe.inference.extrapolation import extrapolation_distance, runs_in_group
from bayesmoe.inference.groups import parameters_of_group
from bayesmoe.inference.model import noisy
from bayesmoe.inference.noise import REFERENCES, SLOPES, ln_ratio, ratio_size, relative_scale
from bayesmoe.inference.repetition import completed
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import require_columns, require_covariates
from bayesmoe.precision import in_float64


@in_float64
def predict(
    fit: xr.DataTree,
    frame: pd.DataFrame,
    *,
    group: str | None = None,
    draws: int = 4000,
    seed: int = 0,
    file: str | Path | None = None,
) -> xr.Dataset:
    """Draws of the losses of models.

    ``L_i exp(sum_j m_j r_ij) (1 + noise_scale t)``: the law's loss, its discrepancy where laws were averaged, and the noise of a run.

    Parameters
    ----------
    fit : DataTree
        A fit of one law or of several averaged.
    frame : DataFrame
        Models with every covariate of the laws, in the run table's units; ``run_id`` names them, or else the index does. Without
        ``unique_tokens`` and ``epochs`` they have one epoch.
    group : str, optional
        Group of runs whose law is meant, or "new".
    draws, seed : int
        How many, of an average each law has its share; and the seed.
    file : path, optional
        Where the models come from, for the message.

    Returns
    -------
    Dataset
        ``expected``, without noise, and ``loss``, with it, in nats per token, shape (sample, run); ``law`` of each sample.

    Raises
    ------
    InputError
        A column that a law or the noise reads is missing, or the group is not one of the fit.

    Examples
    --------
    >>> import pandas as pd
    >>> models = pd.DataFrame({"n_dense": [1e9], "tokens": [4e10], "num_experts": [8]})
    >>> bm.predict(dt, models)["loss"].dims
    ('sample', 'run')
    """
    rng = np.random.default_rng(seed)
    laws = components(fit)
    counts = apportion(np.array([member.weight for member in laws.values()]), draws)
    expected, loss = [], []
    for member, count in zip(laws.values(), counts, strict=True):
        losses = _expected(member, frame, group, draws=int(count), rng=rng, file=file)
        expected.append(losses)
        loss.append(noisy(losses, *noise_of(member.fit, frame, losses), rng))
    dims = ("sample", "run")
    return xr.Dataset(
        {
            "expected": (dims, np.concatenate(expected), {"units": "nats/token"}),
            "loss": (dims, np.concatenate(loss), {"units": "nats/token"}),
        },
        coords={"run": frame.get("run_id", frame.index).to_numpy(str), "law": ("sample", np.repeat(list(laws), counts))},
    )


def _expected(
    component: Component, frame: pd.DataFrame, group: str | None, *, draws: int, rng: np.random.Generator, file: Any
) -> np.ndarray:
    """Draws of a law's losses with its discrepancy, without noise, shape (draws, run)."""
    law = FitInfo.read(component.fit).law
    frame = completed(frame, law)
    require_covariates(frame, law, file=file)
    parameters = parameters_of_group(component.fit, group, draws=draws, rng=rng, column="--group")
    run = {name: jnp.asarray(frame[name].to_numpy(float)) for name in law.covariates}
    over_runs = jax.vmap(law.loss, in_axes=(None, 0))
    expected = np.asarray(jax.vmap(over_runs, in_axes=(0, None))(parameters, run))
    discrepancy = component.discrepancy
    if discrepancy is None:
        return expected
    axes = list(map(str, discrepancy["axis"].values))
    asked = np.log(frame[axes].to_numpy(float).T)
    seen = runs_in_group(discrepancy["group_of_run"].values, group)
    distance = extrapolation_distance(
        asked, discrepancy["ln_covariate"].values[:, seen], discrepancy["slope"].values[:, seen], axes
    )
    return expected * np.exp(discrepancy_draws(discrepancy, draws, rng) @ distance)


def noise_of(fit: xr.DataTree, frame: pd.DataFrame, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Noise scale of each model and degrees of freedom, for as many draws as there are of ``expected``."""
    posterior, constant = fit["posterior"].to_dataset(), fit["constant_data"].dataset
    which = np.linspace(0, posterior.sizes["chain"] * posterior.sizes["draw"] - 1, len(expected)).round().astype(int)
    drawn = {name: np.ravel(posterior[name].values)[which] for name in ("noise_scale", "noise_df")}
    slopes = {name: np.ravel(posterior[name].values)[which, None] for name, _ in SLOPES.values() if name in posterior}
    references = {name: float(constant[f"noise_{name}"]) for name in REFERENCES if f"noise_{name}" in constant}
    ratio = None
    if "ln_ratio" in references:
        size = ratio_size(list(map(str, constant.data_vars)))
        require_columns(frame, ("tokens", size), "the noise of this fit")
        ratio = ln_ratio(frame, size)
    relative = np.asarray(relative_scale(slopes, np.log(expected), ratio, references))
    return drawn["noise_scale"][:, None] * relative, drawn["noise_df"]
