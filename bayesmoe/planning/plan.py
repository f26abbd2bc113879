"""A plan: every planning problem solved under every posterior draw, as one Dataset."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import bayesmoe
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training import training_usd
from bayesmoe.errors import InputError
from bayesmoe.files import write_netcdf
from bayesmoe.inference.members import members
from bayesmoe.planning.landscape import Landscape, landscapes
from bayesmoe.planning.problems import all_problems
from bayesmoe.planning.scenario import Scenario
from bayesmoe.specs import from_json, to_json

FORMAT = 2
_EDGE = 1e-3
UNITS = {
    "n_dense": "parameters",
    "n_active": "parameters",
    "n_total": "parameters",
    "tokens": "tokens",
    "loss": "nats/token",
    "serving_usd_per_million_tokens": "USD per million output tokens",
    "n_gpus": "GPUs per replica",
    "batch": "requests",
    "train_flop": "FLOP",
    "train_usd": "USD",
    "over_training_ratio": "tokens / loss-optimal tokens",
    "size_ratio": "size / loss-optimal size",
}


def plan(fit: xr.DataTree, scenario: Scenario, *, verdict: str) -> xr.Dataset:
    """Solve every planning problem under every draw.

    Parameters
    ----------
    fit : DataTree
        A fit of a law with an expert term, or of several averaged.
    scenario : Scenario
        Budget, choices, fleet.
    verdict : {"PASS", "REVIEW", "FAIL"}
        Verdict of the gate on the fit; it travels with the plan.

    Returns
    -------
    Dataset
        Dimensions ``problem``, ``num_experts``, ``sample``, with the ``law`` of each sample. Sizes, tokens, loss, costs, GPU count, over-training ratio (tokens
        chosen over loss-optimal tokens at the same expert count and budget) and size ratio of each draw's own solution, NaN
        where ``feasible`` is False; ``loss_optimal_*`` at each draw's lowest loss; ``bound``, the constraint of each problem.

    Raises
    ------
    InputError
        See :func:`bayesmoe.planning.landscape.landscapes`.
    """
    base = scenario.choices.num_experts.index(scenario.choices.base_num_experts)
    laws = landscapes(fit, scenario)
    found = xr.concat([_solved(here, base) for here in laws.values()], "sample")
    law_of_sample = np.repeat(list(laws), [here.shape[0] for here in laws.values()])
    return found.assign_coords(
        problem=[problem.name for problem in all_problems],
        num_experts=list(scenario.choices.num_experts),
        law=("sample", law_of_sample),
    ).assign_attrs(
        {
            "format": FORMAT,
            "bayesmoe_version": bayesmoe.__version__,
            "scenario": to_json(scenario),
            "law": fit.attrs["law"],
            "gate": verdict,
            "method": fit.attrs["method"],
            "fixed_tokens": max(here.fixed_tokens or 0.0 for here in laws.values()),
            "data_origin": fit.attrs["data_origin"],
            "fit_sha256": fingerprint(fit),
            "data_sha256": fit.attrs["data_sha256"],
            "data_simulated": fit.attrs["data_simulated"],
        }
    )


def _solved(here: Landscape, base: int) -> xr.Dataset:
    def solved(draws: dict[str, Any]) -> Any:
        part = replace(here, **draws)
        optimal = part.loss_optimal()
        low, high = part.brackets()
        # An optimum at the edge of all sizes is none, unless the budget itself is the edge.
        inside = (optimal > low + _EDGE) & ((optimal < high - _EDGE) | (part.fixed_tokens is not None))
        solutions = [problem.solve(part, optimal, base) for problem in all_problems]
        at_optimum = _quantities(part, optimal, optimal)
        chosen = [_quantities(part, ln_size, optimal) for ln_size, _, _ in solutions]
        feasible = [ok & inside & inside[:, base][:, None] for _, ok, _ in solutions]
        return at_optimum, chosen, feasible, [bound for _, _, bound in solutions]

    draws = {"parameters": here.parameters, "cost_draws": here.cost_draws, "misfit": here.misfit, "reach": here.reach}
    at_optimum, chosen, feasible, bounds = jax.tree.map(np.asarray, jax.jit(solved)(draws))
    feasible = np.stack(feasible).transpose(0, 2, 1)
    dims = ("problem", "num_experts", "sample")
    variables: dict[str, Any] = {"feasible": (dims, feasible)}
    for name in chosen[0]:
        values = np.stack([one[name] for one in chosen]).transpose(0, 2, 1)
        variables[name] = (dims, np.where(feasible, values, np.nan), {"units": UNITS[name]})
    for name in ("n_dense", "n_active", "n_total", "tokens", "loss", "serving_usd_per_million_tokens", "train_usd"):
        variables[f"loss_optimal_{name}"] = (dims[1:], at_optimum[name].T, {"units": UNITS[name]})
    variables["bound"] = (("problem", "sample"), np.stack(bounds))
    return xr.Dataset(variables)


def _quantities(part: Landscape, ln_size: Any, optimal: Any) -> dict[str, Any]:
    training, draws = part.scenario.training, part.cost_draws
    run = part.family.run(jnp.exp(ln_size), part.tokens(ln_size), part.num_experts)
    serving = part.serving(ln_size)
    train_flop = part.train_flop(ln_size)
    usd = training_usd(
        train_flop,
        peak_flop_per_s=accelerator_named(training.accelerator).peak_flop_per_s,
        **draws["training"],
    )
    return {
        "n_dense": run["n_dense"],
        "n_active": run["n_active"],
        "n_total": run["n_total"],
        "tokens": run["tokens"],
        "loss": part.loss(ln_size),
        "serving_usd_per_million_tokens": serving.usd_per_million_tokens,
        "n_gpus": serving.n_gpus,
        "batch": serving.batch,
        "train_flop": train_flop,
        "train_usd": usd,
        "over_training_ratio": run["tokens"] / part.tokens(optimal),
        "size_ratio": jnp.exp(ln_size - optimal),
    }


def save_plan(found: xr.Dataset, path: str | Path) -> None:
    """Write a plan as netCDF (HDF5), whole or not at all."""
    write_netcdf(path, found)


def load_plan(path: str | Path, *, of: xr.DataTree | None = None) -> xr.Dataset:
    """Read a plan into memory.

    Raises
    ------
    InputError
        The file is missing, damaged, not a plan, or was not made from the fit ``of``.
    """
    if not Path(path).is_file():
        raise InputError("no such file", file=path, cure="make a plan with `bayesmoe plan`")
    try:
        found = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"is not readable netCDF ({type(error).__name__})", file=path, cure="make a plan again") from error
    if "scenario" not in found.attrs:
        raise InputError("is not a plan of bayesmoe", file=path, cure="make one with `bayesmoe plan`")
    if of is not None and found.attrs["fit_sha256"] != fingerprint(of):
        raise InputError("was made from another fit", file=path, cure="give the fit it was planned on, or plan again")
    return found


def fingerprint(fit: xr.DataTree) -> str:
    """Checksum of a fit's draws and spec, which ties a plan to its fit."""
    digest = hashlib.sha256(fit.attrs["spec"].encode())
    for member in members(fit).values():
        digest.update(np.ascontiguousarray(member.fit["posterior"]["noise_scale"].values).tobytes())
    return digest.hexdigest()


def scenario_of(found: xr.Dataset) -> Scenario:
    """The scenario a plan was made for."""
    return from_json(found.attrs["scenario"], Scenario)
