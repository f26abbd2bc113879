"""The roofline's coefficients from measured serving points: a hierarchical fit by engine, hardware and model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import xarray as xr

from bayesmoe.costs.hardware import BYTES_PER_WEIGHT, Precision, accelerator_named
from bayesmoe.costs.hierarchical import Settings, counts_as, sampled, sampler
from bayesmoe.costs.serving.roofline import OVERHEADS, TERMS, Reads, prefill_s, step_terms
from bayesmoe.costs.serving_measurements import Points
from bayesmoe.errors import InputError

PRIOR = {
    "layer": (40e-6, 0.7),
    "moe_layer": (40e-6, 0.7),
    "hop": (10e-6, 0.7),
    "memory": (1.3, 0.3),
    "compute": (1.5, 0.5),
    "prefill": (1.5, 0.5),
    "communication": (1.5, 0.5),
}
"""Median and log-sd of each coefficient before any point is seen: launching some ten kernels of a few microseconds a layer, collectives of
about as much, and rates of a half to all of the peak."""

FIRST_PRIOR = {"first_prefill": (2.0, 0.5), "first_step": (5.0, 1.0)}
"""The same for the time to first token: prompts wait for others, and for steps under way."""

_SPREADS = {"between_models": 0.3, "within": 0.3, "by_engine": 0.1, "by_hardware": 0.1}
_SPEED_SD = 0.7


def calibrate_serving(
    points: Points,
    *,
    draws: int = 500,
    warmup: int = 500,
    chains: int = 2,
    seed: int = 0,
    reads: Reads = "distinct",
    progress: bool = False,
) -> xr.DataTree:
    """Fit the roofline to measured points.

    ``ln TPOT_i = ln sum_c exp(theta_c + [overhead] engine_e + [memory] hardware_h) x_ic + model_m + e_i``,
    ``e_i ~ StudentT(nu, 0, within)``, each effect normal around 0 with its own spread; the time to first token likewise, of prompt and step.
    In the prior all theta share an offset with a log-sd of 0.7, so that a fleet that is slower throughout moves every forecast. All points of
    one architecture count as ten (:data:`bayesmoe.costs.hierarchical.POINTS_PER_MODEL`).

    Parameters
    ----------
    points : Points
        Measured points.
    draws, warmup, chains, seed : int
        Of NUTS.
    reads : {"distinct", "active", "all"}
        Whose weights a step reads; see :func:`bayesmoe.costs.serving.roofline.step_terms`.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    xarray.DataTree
        ``posterior``: ``theta`` (term), logarithms like the first token's coefficients (of seconds per layer or hop, the others without
        unit), the spreads and ``nu``, effects by ``engine`` and ``hardware``, the models' own by ``architecture``; ``sample_stats``;
        attributes with the number of points, their checksum, the worst R-hat and the divergences.

    Raises
    ------
    InputError
        Fewer than 20 points.
    """
    if len(points.frame) < 20:
        raise InputError("has too few points", file=points.file, value=len(points.frame), hint="give at least 20")
    data, coords = _data(points, reads)
    dims = {"theta": ["term"], **{f"{prefix}{name}": [dim] for prefix in ("", "first_") for name, dim in _EFFECTS}}
    tree = sampled(
        sampler(_model, Settings(draws, warmup, chains, seed, progress)),
        data,
        seed=seed,
        dims=dims,
        coords={"term": TERMS, **coords},
    )
    source = {"points": len(points.frame), "points_file": Path(points.file).name, "points_sha256": points.sha256}
    tree.attrs |= {**source, "reads": reads, "seed": seed}
    return tree


_EFFECTS = (("of_engine", "engine"), ("of_hardware", "hardware"), ("of_model", "architecture"))


def _data(points: Points, reads: Reads) -> tuple[dict[str, Any], dict[str, list[str]]]:
    frame = points.frame
    terms, prompt = terms_of(points, reads)
    codes, coords = {}, {}
    for column in ("engine", "hardware", "architecture"):
        code, names = pd.factorize(frame[column], sort=True)
        codes[column], coords[column] = jnp.asarray(code), list(map(str, names))
    first = frame["ttft_ms"].to_numpy(float)
    data = {
        "terms": jnp.asarray(terms),
        "prompt": jnp.asarray(prompt),
        "ln_tpot": jnp.log(jnp.asarray(frame["tpot_ms"].to_numpy(float)) * 1e-3),
        "ln_ttft": jnp.log(jnp.where(np.isfinite(first), first, 1.0) * 1e-3),
        "has_ttft": jnp.asarray(np.isfinite(first)),
        **codes,
        "counts_as": jnp.asarray(counts_as(frame["architecture"])),
        "sizes": {column: len(names) for column, names in coords.items()},
    }
    return data, coords


def terms_of(points: Points, reads: Reads = "distinct") -> tuple[np.ndarray, np.ndarray]:
    """Terms of each point's decode step, shape (point, term), and its prompt's peak seconds, shape (point,)."""
    frame = points.frame
    terms, prompt = np.zeros((len(frame), len(TERMS))), np.zeros(len(frame))
    for key, positions in frame.groupby(["hardware", "weight_precision"]).indices.items():
        (hardware, precision), rows = cast("tuple[str, Precision]", key), np.asarray(positions)
        model, traffic = points.served(rows), points.traffic(rows, 1.0 if BYTES_PER_WEIGHT[precision] <= 1.0 else 2.0)
        chip, gpus = accelerator_named(hardware), frame["n_gpus"].to_numpy(float)[rows]
        batch = frame["concurrency_requests"].to_numpy(float)[rows]
        terms[rows] = np.stack(
            [np.asarray(term) for term in step_terms(model, batch, gpus, traffic, chip, precision, reads=reads)], axis=1
        )
        prompt[rows] = prefill_s(model, gpus, traffic, chip)
    return terms, prompt


_OVERHEAD = np.array([name in OVERHEADS for name in TERMS], dtype=float)
_MEMORY = np.array([name == "memory" for name in TERMS], dtype=float)


def _model(data: dict[str, Any]) -> None:
    spread = {
        f"{prefix}{name}": numpyro.sample(f"{prefix}{name}", dist.HalfNormal(scale * (2.0 if prefix else 1.0)))
        for prefix in ("", "first_")
        for name, scale in _SPREADS.items()
    }
    effects = {}
    for prefix in ("", "first_"):
        for (name, column), key in zip(_EFFECTS, ("by_engine", "by_hardware", "between_models"), strict=True):
            z = numpyro.sample(f"{prefix}{name}_z", dist.Normal().expand([data["sizes"][column]]).to_event(1))
            effects[prefix + name] = numpyro.deterministic(f"{prefix}{name}", spread[prefix + key] * z)
    nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
    median, log_sd = np.array(list(PRIOR.values())).T
    theta = numpyro.sample("theta", dist.MultivariateNormal(jnp.log(median), np.diag(log_sd**2) + _SPEED_SD**2))
    ln_slopes = (
        theta
        + _OVERHEAD * effects["of_engine"][data["engine"]][:, None]
        + _MEMORY * effects["of_hardware"][data["hardware"]][:, None]
    )
    ln_step = jnp.log((jnp.exp(ln_slopes) * data["terms"]).sum(axis=1)) + effects["of_model"][data["architecture"]]
    with numpyro.handlers.scale(scale=data["counts_as"]):
        numpyro.sample("tpot", dist.StudentT(nu, ln_step, spread["within"]), obs=data["ln_tpot"])
    first = {
        name: jnp.exp(numpyro.sample(name, dist.Normal(jnp.log(center), sd))) for name, (center, sd) in FIRST_PRIOR.items()
    }
    seen = jnp.exp(data["ln_tpot"])
    ln_first = jnp.log(first["first_prefill"] * data["prompt"] + first["first_step"] * seen)
    for name, column in _EFFECTS:
        ln_first = ln_first + effects[f"first_{name}"][data[column]]
    with numpyro.handlers.scale(scale=data["counts_as"]), numpyro.handlers.mask(mask=data["has_ttft"]):
        numpyro.sample("ttft", dist.StudentT(nu, ln_first, spread["first_within"]), obs=data["ln_ttft"])
