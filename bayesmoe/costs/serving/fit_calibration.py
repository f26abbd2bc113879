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

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.hierarchical import Settings, counts_as, sampled, sampler
from bayesmoe.costs.precisions import Precision
from bayesmoe.costs.serving.step import BY_BANDWIDTH, OF_PROMPT, OVERHEADS, TERMS, prompt_terms, step_terms
from bayesmoe.costs.serving_measurements import Points
from bayesmoe.errors import InputError

PRIOR = {
    "layer": (40e-6, 0.7),
    "moe_layer": (40e-6, 0.7),
    "hop": (10e-6, 0.7),
    "request": (10e-6, 1.0),
    "memory": (1.3, 0.3),
    "activations": (1.5, 0.7),
    "compute": (1.5, 0.5),
    "prefill": (1.5, 0.5),
    "experts": (2.0, 0.7),
    "communication": (1.5, 0.5),
}
"""Median and log-sd of each coefficient before any point is seen: launching some ten kernels of a few microseconds a layer, collectives and
the scheduling of a request of about as much, and rates of a half to all of the peak, of grouped products less."""

FIRST_PRIOR = {"first_prefill": (1.5, 0.5), "first_step": (5.0, 1.0)}
"""The same for the time to first token: prompts wait for others, and for steps under way."""

_SPREADS = {
    "between_models": 0.3,
    "by_deployment": 0.2,
    "by_cell": 0.2,
    "within": 0.2,
    "by_engine": 0.1,
    "by_hardware": 0.1,
}
_SPEED_SD = 0.7
_SATURATED_SD = 0.3


def calibrate_serving(
    points: Points,
    *,
    draws: int = 500,
    warmup: int = 500,
    chains: int = 2,
    seed: int = 0,
    progress: bool = False,
) -> xr.DataTree:
    """Fit the roofline to measured points.

    ``ln TPOT_i = ln sum_c exp(theta_c + [overhead] engine_e + [bandwidth] hardware_h) x_ic + model_m + deployment_d + cell_md + e_i``,
    ``e_i ~ StudentT(nu, 0, within)``, each effect normal around 0 with its own spread; the time to first token likewise, of prompt and step.
    A deployment is an accelerator, engine, precision and kind of measurement, which errs alike for all models; a cell is one model in it on
    one number of GPUs, which does not. Saturated engines, whose batch is taken from memory, have an offset of their own. In the prior all theta share an offset with a log-sd of 0.7, so that a fleet that is slower throughout
    moves every forecast. The points of a cell sweep lengths and load alone and count as :data:`POINTS_PER_CELL` together.

    Parameters
    ----------
    points : Points
        Measured points.
    draws, warmup, chains, seed : int
        Of NUTS.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    xarray.DataTree
        ``posterior``: ``theta`` (term), logarithms like the first token's coefficients (of seconds per layer or hop, the others without
        unit), the spreads and ``nu``, effects by ``engine`` and ``hardware``, the models' own by ``architecture``; ``sample_stats``;
        attributes with the number of points, their checksum, the largest batch at a known load, the worst R-hat and the divergences.

    Raises
    ------
    InputError
        Fewer than 20 points.
    """
    if len(points.frame) < 20:
        raise InputError("has too few points", file=points.file, value=len(points.frame), hint="give at least 20")
    data, coords = _data(points)
    dims = {
        "theta": ["term"],
        **{f"{prefix}{name}": [dim] for prefix in ("", "first_") for name, dim, _ in _EFFECTS if name in _KEPT},
    }
    tree = sampled(
        sampler(_model, Settings(draws, warmup, chains, seed, progress)),
        data,
        seed=seed,
        dims=dims,
        coords={"term": TERMS, **{dim: coords[dim] for name, dim, _ in _EFFECTS if name in _KEPT}},
    )
    source = {"points": len(points.frame), "points_file": Path(points.file).name, "points_sha256": points.sha256}
    loaded = points.frame[~points.frame["saturated"]]
    tree.attrs |= {**source, "seed": seed, "largest_batch": float(loaded["batch"].max()) if len(loaded) else 0.0}
    # Of nothing measured, nothing is too fast.
    fastest = {name: 1e-3 * loaded[f"{name}_ms"].min() for name in ("tpot", "ttft")}
    tree.attrs |= {f"fastest_{name}_s": float(0.0 if np.isnan(value) else value) for name, value in fastest.items()}
    return tree


POINTS_PER_CELL = 1.0
"""What the points of one model in one deployment count for together: they sweep the same kernels and err together."""

_EFFECTS = (
    ("of_engine", "engine", "by_engine"),
    ("of_hardware", "hardware", "by_hardware"),
    ("of_model", "architecture", "between_models"),
    ("of_deployment", "deployment", "by_deployment"),
    ("of_cell", "cell", "by_cell"),
)
_ON_ALL = ("of_model", "of_deployment", "of_cell")
_KEPT = ("of_engine", "of_hardware", "of_model")
"""Effects whose draws are kept: forecasts of other models draw deployments and cells anew."""


def _data(points: Points) -> tuple[dict[str, Any], dict[str, list[str]]]:
    frame = points.frame
    terms, prompt = terms_of(points)
    grouped = {name: frame[name] for name in ("engine", "hardware", "architecture")}
    grouped |= {"deployment": points.deployments, "cell": points.cells}
    codes, coords = {}, {}
    for column, values in grouped.items():
        code, names = pd.factorize(values, sort=True)
        codes[column], coords[column] = jnp.asarray(code), list(map(str, names))
    first = frame["ttft_ms"].to_numpy(float)
    data = {
        "terms": jnp.asarray(terms),
        "prompt": jnp.asarray(prompt),
        "ln_tpot": jnp.log(jnp.asarray(frame["tpot_s"].to_numpy(float))),
        "ln_ttft": jnp.log(jnp.where(np.isfinite(first), first, 1.0) * 1e-3),
        "has_ttft": jnp.asarray(np.isfinite(first)),
        **codes,
        "saturated": jnp.asarray(frame["saturated"].to_numpy(float)),
        "counts_as": jnp.asarray(counts_as(points.cells, POINTS_PER_CELL)),
        "sizes": {column: len(names) for column, names in coords.items()},
    }
    return data, coords


def terms_of(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Terms of each point's decode step, shape (point, term), and those of its prompt, shape (point, 2)."""
    frame = points.frame
    terms, prompt = np.zeros((len(frame), len(TERMS))), np.zeros((len(frame), len(OF_PROMPT)))
    for key, positions in frame.groupby(["hardware", "weight_precision"]).indices.items():
        (hardware, precision), rows = cast("tuple[str, Precision]", key), np.asarray(positions)
        model, traffic = points.served(rows), points.traffic(rows)
        chip, gpus = accelerator_named(hardware), frame["n_gpus"].to_numpy(float)[rows]
        batch = frame["batch"].to_numpy(float)[rows]
        found = step_terms(model, batch, gpus, traffic, chip, precision)
        terms[rows] = np.stack([np.asarray(term) for term in found], axis=1)
        prompt[rows] = np.stack(prompt_terms(model, gpus, traffic, chip, precision), axis=1)
    return terms, prompt


_OVERHEAD = np.array([name in OVERHEADS for name in TERMS], dtype=float)
_BANDWIDTH = np.array([name in BY_BANDWIDTH for name in TERMS], dtype=float)
_PROMPT = np.array([TERMS.index(name) for name in OF_PROMPT])


def _model(data: dict[str, Any]) -> None:
    spread = {
        f"{prefix}{name}": numpyro.sample(f"{prefix}{name}", dist.HalfNormal(scale * (2.0 if prefix else 1.0)))
        for prefix in ("", "first_")
        for name, scale in _SPREADS.items()
    }
    effects = {}
    for prefix in ("", "first_"):
        for name, column, key in _EFFECTS:
            z = numpyro.sample(f"{prefix}{name}_z", dist.Normal().expand([data["sizes"][column]]).to_event(1))
            found = spread[prefix + key] * z
            effects[prefix + name] = numpyro.deterministic(f"{prefix}{name}", found) if name in _KEPT else found
    nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
    median, log_sd = np.array(list(PRIOR.values())).T
    theta: Any = numpyro.sample("theta", dist.MultivariateNormal(jnp.log(median), np.diag(log_sd**2) + _SPEED_SD**2))
    ln_slopes = (
        theta
        + _OVERHEAD * effects["of_engine"][data["engine"]][:, None]
        + _BANDWIDTH * effects["of_hardware"][data["hardware"]][:, None]
    )
    ln_step = jnp.log((jnp.exp(ln_slopes) * data["terms"]).sum(axis=1))
    ln_step = ln_step + sum(effects[name][data[column]] for name, column, _ in _EFFECTS if name in _ON_ALL)
    ln_step = ln_step + numpyro.sample("of_saturated", dist.Normal(0.0, _SATURATED_SD)) * data["saturated"]
    with numpyro.handlers.scale(scale=data["counts_as"]):
        numpyro.sample("tpot", dist.StudentT(nu, ln_step, spread["within"]), obs=data["ln_tpot"])
    first = {
        name: jnp.exp(numpyro.sample(name, dist.Normal(jnp.log(center), sd))) for name, (center, sd) in FIRST_PRIOR.items()
    }
    seen = jnp.exp(data["ln_tpot"])
    prompt = (jnp.exp(theta[_PROMPT]) * data["prompt"]).sum(axis=1)
    ln_first = jnp.log(first["first_prefill"] * prompt + first["first_step"] * seen)
    ln_first = ln_first + sum(effects[f"first_{name}"][data[column]] for name, column, _ in _EFFECTS)
    with numpyro.handlers.scale(scale=data["counts_as"]), numpyro.handlers.mask(mask=data["has_ttft"]):
        numpyro.sample("ttft", dist.StudentT(nu, ln_first, spread["first_within"]), obs=data["ln_ttft"])
