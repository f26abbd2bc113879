"""Coefficients of a training step from measured throughput: a hierarchical fit by model, hardware and source, with routing and whole runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import xarray as xr

from bayesmoe.costs.hierarchical import Settings, counts_as, sampled, sampler
from bayesmoe.costs.training.calibration import TAIL
from bayesmoe.costs.training.coefficients import NAMES, PRIOR, log_design
from bayesmoe.costs.training.step import COMPUTED, PIPED, ROUTED, Software, step_terms
from bayesmoe.costs.training_measurements import Rows, TrainingPoints
from bayesmoe.errors import InputError

UNEVENNESS = (0.4, 0.7)
"""Median and log-sd of the share by which a learned router stretches what is routed, before any pair is seen."""

_SPREADS = {
    "between_dense": 0.15,
    "between_moes": 0.2,
    "within_dense": 0.15,
    "within_moes": 0.15,
    "by_hardware": 0.15,
    "by_source": 0.15,
}
"""Scales of the spreads' priors; kernels of experts are young, so that MoEs may differ by more than dense models."""
_PAIR_SD = 0.02
"""Two successive releases of one layout differ by a median of 0.7%."""

_FEWEST = 20
_KINDS = ("steady_state", "whole_run")


@dataclass(frozen=True)
class Pairs:
    """Runs that differ in their router: what a learned one costs.

    Attributes
    ----------
    rows : Rows
        The balanced run of each pair.
    precision : sequence of str
        Of its matrices.
    learned_over_balanced : array
        Throughput with a learned router over that with a balanced one.
    confounded : array
        1 where more than the router differs.
    """

    rows: Rows
    precision: Any
    learned_over_balanced: np.ndarray
    confounded: np.ndarray


@dataclass(frozen=True)
class Runs:
    """Whole runs: real data and learned routers, restarts and evaluation included.

    Attributes
    ----------
    rows : Rows
        Layouts as far as they are known.
    precision : sequence of str
        Of the matrices.
    seconds_per_token : array
        Of one GPU.
    learned_router, whole_run : array
        1 where there are experts; 1 where all hours count, 0 where the rate is that of steady steps.
    """

    rows: Rows
    precision: Any
    seconds_per_token: np.ndarray
    learned_router: np.ndarray
    whole_run: np.ndarray

    def where(self, keep: np.ndarray) -> Runs:
        """The runs that a mask keeps."""
        return Runs(
            self.rows.where(keep),
            np.asarray(self.precision)[keep],
            self.seconds_per_token[keep],
            self.learned_router[keep],
            self.whole_run[keep],
        )


def calibrate_training(
    points: TrainingPoints, pairs: Pairs | None = None, runs: Runs | None = None, *, settings: Settings | None = None
) -> xr.DataTree:
    """Fit the step's coefficients to measured throughput.

    ``ln t_i = ln sum_c exp(D_ic theta) x_ic + model_m + hardware_h + source_s + e_i``,
    ``e_i ~ StudentT(4, 0, within)``; effects of hardware and sources are normal around 0 with their own spreads, those of models Student t;
    MoEs and dense models have spreads of their own, between and within. All
    points of one architecture count as ten. A learned router stretches what is routed by ``unevenness``, log-normal between models: pairs of runs
    that differ in the router say by how much, those that differ in more with an excess of their own. A run's time is that of a benchmark with
    a learned router times ``exp(gap)``, one gap for steady steps and a larger one for all hours, with a spread between labs.

    Parameters
    ----------
    points : TrainingPoints
        Measured points.
    pairs, runs : Pairs, Runs, optional
        What is known of routers and of whole runs; the prior holds where they are left out.
    settings : Settings, optional
        Of NUTS.

    Returns
    -------
    xarray.DataTree
        ``posterior``: ``theta`` (coefficient), logarithms; the spreads; effects by ``architecture``, ``hardware`` and ``source``;
        ``unevenness`` and its spread ``between_routers``, logarithms; ``gap`` (kind) and its spread ``between_labs``. ``sample_stats``; attributes
        with the number of points, their checksum, the worst R-hat and the divergences.

    Raises
    ------
    InputError
        Fewer than 20 points.
    """
    if len(points.frame) < _FEWEST:
        raise InputError("has too few points", file=points.file, value=len(points.frame), hint=f"give at least {_FEWEST}")
    data, coords = arranged(points, pairs, runs)
    settings = settings or Settings()
    dims = {"theta": ["coefficient"], "gap": ["kind"], **{name: [dim] for name, dim in EFFECTS}}
    coords = {"coefficient": list(NAMES), "kind": list(_KINDS), **coords}
    tree = sampled(sampler(model, settings), data, seed=settings.seed, dims=dims, coords=coords)
    source = {"points": len(points.frame), "points_file": Path(points.file).name, "points_sha256": points.sha256}
    tree.attrs |= {**source, "seed": settings.seed}
    return tree


EFFECTS = (("of_model", "architecture"), ("of_hardware", "hardware"), ("of_source", "source"))
"""Effects, and what they are of."""


def arranged(
    points: TrainingPoints, pairs: Pairs | None = None, runs: Runs | None = None
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Data of :func:`model`, and the names of its groups."""
    frame = points.frame
    codes, coords = {}, {}
    for _, column in EFFECTS:
        code, names = pd.factorize(frame[column], sort=True)
        codes[column], coords[column] = jnp.asarray(code), list(map(str, names))
    moe = (points.rows.model.num_experts > 1).astype(float)
    data = {
        "points": of_rows(points.rows, frame["precision"]),
        "ln_s": jnp.log(jnp.asarray(points.seconds_per_token)),
        "learned": jnp.asarray(frame["learned_router"].to_numpy(float)),
        "counts_as": jnp.asarray(counts_as(frame["architecture"])),
        "moe": jnp.asarray(moe),
        "moe_model": jnp.asarray(pd.Series(moe).groupby(np.asarray(codes["architecture"])).max().to_numpy()),
        "sizes": {column: len(names) for column, names in coords.items()},
        **codes,
    }
    if pairs is not None:
        data["pairs"] = of_rows(pairs.rows, pairs.precision)
        data["ln_ratio"] = jnp.log(jnp.asarray(pairs.learned_over_balanced))
        data["confounded"] = jnp.asarray(pairs.confounded, dtype=float)
    if runs is not None:
        data["runs"] = of_rows(runs.rows, runs.precision)
        data["ln_run_s"] = jnp.log(jnp.asarray(runs.seconds_per_token))
        data["run_learned"] = jnp.asarray(runs.learned_router, dtype=float)
        data["whole"] = jnp.asarray(runs.whole_run, dtype=float)
        data["run_counts"] = jnp.ones(len(runs.seconds_per_token))
    return data, coords


def of_rows(rows: Rows, precision: Any) -> dict[str, Any]:
    """Terms and layouts of points, and the design of their slopes, once for each precision and stack."""
    kinds, stack = np.unique(np.asarray(precision), return_inverse=True)
    stacks, index = np.unique(np.column_stack([*rows.software, stack]), axis=0, return_inverse=True)
    design = log_design(Software(*stacks[:, :-1].T), kinds[stacks[:, -1].astype(int)])
    return {
        "terms": jnp.stack(step_terms(rows.model, rows.layout, rows.chip), axis=1),
        "recompute": jnp.asarray(rows.layout.recompute),
        "recompute_some": jnp.asarray(rows.layout.recompute_some),
        "bubble": jnp.asarray(rows.layout.bubble),
        "design": jnp.asarray(design),
        "stack": jnp.asarray(index),
    }


def base_seconds(theta: Any, part: dict[str, Any]) -> tuple[Any, Any]:
    """Seconds per token with balanced routing, before residuals, and those of them that uneven routing stretches; shape (point,)."""
    seconds = jnp.exp(part["design"] @ theta)[part["stack"]] * part["terms"]
    again, some, idle = (jnp.exp(theta[NAMES.index(name)]) for name in ("recompute", "recompute_some", "bubble"))
    again = again * part["recompute"] + some * part["recompute_some"]
    computed, piped, routed = (seconds @ np.stack([COMPUTED, PIPED, ROUTED], axis=1)).T
    total = seconds.sum(axis=1) + again * computed + idle * part["bubble"] * (piped + again * computed)
    return total, routed


def model(data: dict[str, Any]) -> None:
    """The NumPyro model; see :func:`calibrate_training`."""
    spread = {name: numpyro.sample(name, dist.HalfNormal(scale)) for name, scale in _SPREADS.items()}
    of_models = jnp.where(data["moe_model"] > 0, spread["between_moes"], spread["between_dense"])
    scales = {"of_model": of_models, "of_hardware": spread["by_hardware"], "of_source": spread["by_source"]}
    effects = {}
    for name, column in EFFECTS:
        unit = dist.StudentT(TAIL) if name == "of_model" else dist.Normal()
        z = numpyro.sample(f"{name}_z", unit.expand([data["sizes"][column]]).to_event(1))
        effects[column] = numpyro.deterministic(name, scales[name] * z)
    median, log_sd = np.array(list(PRIOR.values())).T
    z = numpyro.sample("theta_z", dist.Normal().expand([len(NAMES)]).to_event(1))
    theta = numpyro.deterministic("theta", np.log(median) + log_sd * z)
    uneven = numpyro.sample("unevenness", dist.Normal(np.log(UNEVENNESS[0]), UNEVENNESS[1]))
    between_routers = numpyro.sample("between_routers", dist.HalfNormal(0.7))
    total, routed = base_seconds(theta, data["points"])
    ln_s = jnp.log(total + data["learned"] * jnp.exp(uneven) * routed)
    for _, column in EFFECTS:
        ln_s = ln_s + effects[column][data[column]]
    with numpyro.handlers.scale(scale=data["counts_as"]):
        within = jnp.where(data["moe"] > 0, spread["within_moes"], spread["within_dense"])
        numpyro.sample("seconds", dist.StudentT(TAIL, ln_s, within), obs=data["ln_s"])
    gap = numpyro.sample("gap_steady", dist.Normal(0.1, 0.2)), numpyro.sample("gap_beyond", dist.HalfNormal(0.3))
    between_labs = numpyro.sample("between_labs", dist.HalfNormal(0.3))
    numpyro.deterministic("gap", jnp.stack([gap[0], gap[0] + gap[1]]))
    if "pairs" in data:
        total, routed = base_seconds(theta, data["pairs"])
        shape = data["ln_ratio"].shape
        own = numpyro.sample("pair_z", dist.Normal().expand(shape).to_event(1))
        excess = numpyro.sample("excess_z", dist.HalfNormal(0.4).expand(shape).to_event(1))
        ln_ratio = -jnp.log1p(jnp.exp(uneven + between_routers * own) * routed / total) - data["confounded"] * excess
        numpyro.sample("ratio", dist.Normal(ln_ratio, _PAIR_SD), obs=data["ln_ratio"])
    if "runs" in data:
        total, routed = base_seconds(theta, data["runs"])
        own = numpyro.sample("run_z", dist.Normal().expand(data["ln_run_s"].shape).to_event(1))
        ln_s = jnp.log(total + data["run_learned"] * jnp.exp(uneven + between_routers * own) * routed)
        ln_s = ln_s + gap[0] + data["whole"] * gap[1]
        between = jnp.where(data["run_learned"] > 0, spread["between_moes"], spread["between_dense"])
        sd = jnp.sqrt(between**2 + spread["by_source"] ** 2 + between_labs**2)
        with numpyro.handlers.scale(scale=data["run_counts"]):
            numpyro.sample("run_seconds", dist.StudentT(TAIL, ln_s, sd), obs=data["ln_run_s"])
