"""Fits that nobody sampled: draws around a law's published coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from seeds import seeded

from bayesmoe.inference.gate import Check, Gate
from bayesmoe.inference.spec import AverageSpec, DataSpec, FitSpec, GroupSpec, LawSpec
from bayesmoe.inference.store import GROUP_DIM, FitInfo
from bayesmoe.laws import Coordinate, Law, Reference, law_named, reference_run


def made_up_fit(name, run):
    """A made-up fit of a law: draws around its first published coefficients, by a tenth of each prior's width."""
    rng = np.random.default_rng(seeded(5))
    law = law_named(name)
    reference = Reference({column: run[column] for column in law.covariates}, 16.0)
    center = law.from_paper(law.published[0].coefficients, reference)
    draws = {}
    for c in law.coordinates:
        real = float(c.to_real(center[c.name])) + 0.1 * c.sd * rng.standard_normal((4, 250))
        draws[c.name] = (("chain", "draw"), np.asarray(c.to_support(real)))
    draws["noise_scale"] = (("chain", "draw"), np.full((4, 250), 0.005))
    constant = {f"reference_{column}": value for column, value in reference.run.items()}
    constant |= {"reference_gain_experts": 16.0, "tokens": ("run", [run["tokens"]])}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(draws), "constant_data": xr.Dataset(constant)})
    spec = FitSpec(data=DataSpec(file="runs.csv"), law=LawSpec(name=name))
    write_info(tree, spec)
    return tree


def write_info(tree, spec, **changes):
    """Attributes of a made-up fit, with a gate that passes."""
    gate = Gate((Check("R-hat", "PASS", 1.0, "all", "at most 1.01", ""),))
    sha = "0" * 64
    FitInfo(
        **({"spec": spec, "law_name": spec.law.name, "data_origin": "runs.csv", "data_sha256": sha, "gate": gate} | changes)
    ).write(tree)


@dataclass(frozen=True)
class ByCompute(Law):
    """A made-up law that reads compute alone: ``L = E + A C^-alpha``."""

    name: ClassVar[str] = "made_up:ByCompute"
    source: ClassVar[str] = "made up"
    equation: ClassVar[str] = "L = E + A C^-alpha"
    coordinates: ClassVar[tuple[Coordinate, ...]] = (
        Coordinate("E", "positive", 0.5, 0.5, 0.1, "dense", "nats/token", "irreducible loss"),
        Coordinate("A", "positive", 7.0, 1.0, 0.1, "dense", "nats/token", "coefficient"),
        Coordinate("alpha", "positive", -2.0, 0.5, 0.1, "dense", "1", "exponent"),
    )

    @property
    def covariates(self):
        return ("train_flop",)

    def loss(self, parameters, run):
        return parameters["E"] + parameters["A"] * run["train_flop"] ** -parameters["alpha"]


@dataclass(frozen=True)
class BySize(ByCompute):
    """The same of size alone."""

    name: ClassVar[str] = "made_up:BySize"

    @property
    def covariates(self):
        return ("n_active",)

    def loss(self, parameters, run):
        return parameters["E"] + parameters["A"] * run["n_active"] ** -parameters["alpha"]


@dataclass(frozen=True)
class ByTokens(ByCompute):
    """The same of tokens alone."""

    name: ClassVar[str] = "made_up:ByTokens"

    @property
    def covariates(self):
        return ("tokens",)

    def loss(self, parameters, run):
        return parameters["E"] + parameters["A"] * run["tokens"] ** -parameters["alpha"]


def grouped_fit(name, parameters, runs, *, noise=0.003, dense=None, law=None):
    """A made-up grouped fit of a law.

    ``parameters`` holds the paper's parameters of each group, arrays of shape (S,) or numbers; ``runs``, a DataFrame, has a ``group``.
    """
    law = law or law_named(name)
    reference = reference_run(runs, law)
    length = max(np.size(value) for own in parameters.values() for value in own.values())
    each = {
        group: law.from_paper(
            {key: np.broadcast_to(np.asarray(value, float), length) for key, value in own.items()}, reference
        )
        for group, own in parameters.items()
    }
    dims = ("chain", "draw", GROUP_DIM)
    draws: dict[str, Any] = {
        c.name: (dims, np.stack([np.asarray(own[c.name]) for own in each.values()], axis=-1)[None]) for c in law.coordinates
    }
    draws["noise_scale"] = (("chain", "draw"), np.full((1, length), noise))
    draws["noise_df"] = (("chain", "draw"), np.full((1, length), 30.0))
    constant = {f"reference_{column}": value for column, value in reference.run.items()}
    constant |= {"reference_gain_experts": reference.gain_experts, "group_of_run": ("run", runs["group"].to_numpy(str))}
    constant |= {column: ("run", runs[column].to_numpy(float)) for column in runs.drop(columns="group")}
    posterior = xr.Dataset(draws, coords={GROUP_DIM: list(parameters)})
    tree = xr.DataTree.from_dict({"posterior": posterior, "constant_data": xr.Dataset(constant)})
    spec = FitSpec(data=DataSpec(file="runs.csv"), law=LawSpec(name=name), groups=GroupSpec(column="group", dense=dense))
    write_info(tree, spec)
    return tree


def averaged_fit(fit, *, scale, bias=0.0, slope=0.05):
    """The average of one law: a made-up grouped fit with a discrepancy of known bias and scale along size and tokens."""
    name, constant = FitInfo.read(fit).law_name, fit["constant_data"].dataset
    axes = ["n_active", "tokens"]
    seen = np.stack([np.log(constant[axis].values) for axis in axes])
    table = xr.Dataset(
        {
            "weight": ("law", [1.0]),
            "bias": (("law", "discrepancy_draw", "part"), np.full((1, 1, 2), bias)),
            "scale": (("law", "discrepancy_draw", "part"), np.full((1, 1, 2), scale)),
            "correlation": ("law", [0.3]),
            "ln_covariate": (("law", "axis", "seen"), seen[None]),
            "slope": (("law", "axis", "seen"), np.full((1, *seen.shape), slope)),
        },
        coords={"law": [name], "axis": axes, "part": axes, "group_of_run": ("seen", constant["group_of_run"].values)},
    )
    nodes = {f"laws/{name}/{node}": fit[node].to_dataset() for node in ("posterior", "constant_data")}
    tree = xr.DataTree.from_dict({"average": table, "constant_data": constant, **nodes})
    tree[f"laws/{name}"].attrs = fit.attrs
    write_info(tree, FitSpec(data=DataSpec(file="runs.csv"), average=AverageSpec(laws=(name,))), law_name="average")
    return tree
