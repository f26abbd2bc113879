"""A plan's file, and the one place that writes and reads its attributes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

import bayesmoe
from bayesmoe.errors import InputError
from bayesmoe.files import Header, read_dataset, read_header, require_file, require_format, write_netcdf
from bayesmoe.inference.ensemble import components
from bayesmoe.planning.problems import Problem, asked_problems
from bayesmoe.planning.scenario import Scenario
from bayesmoe.specs import from_json, to_json

FORMAT = 8
"""Version of a plan's layout; a reader refuses any other."""


@dataclass(frozen=True)
class PlanInfo:
    """What a plan was made from. Read it once and pass it on.

    Parameters
    ----------
    scenario : Scenario
        Budget, choices, costs and problems.
    law : str
        Name of the fitted law, or of the average.
    gate : str
        Verdict of the gate on the fit.
    method : str
        How the fit was sampled: "mcmc", or an approximation.
    fixed_tokens : float
        Training tokens of every candidate where the law has no tokens term; 0 where it has one.
    data_origin, data_sha256 : str
        Where the runs came from, and their checksum.
    data_simulated : bool
        Whether the runs were simulated.
    fit_sha256 : str
        See :func:`fingerprint`.
    counts_end : str
        Why no larger expert count was compared: "list" where the scenario lists them, "trained" where more would be too many times the largest
        that was trained, "inside" where the best of nearly all draws lies inside.
    repetition : str
        What repeated tokens are worth: "none" says it, as none may repeat or the law reads no tokens; the "runs" of the fit; or the "prior".
    bayesmoe_version : str
        Version that made the plan.
    """

    scenario: Scenario
    law: str
    gate: str
    method: str
    fixed_tokens: float
    data_origin: str
    data_sha256: str
    data_simulated: bool
    fit_sha256: str
    counts_end: str = "list"
    repetition: str = "none"
    bayesmoe_version: str = bayesmoe.__version__

    @classmethod
    def read(cls, plan: xr.Dataset | Header) -> PlanInfo:
        """Information of a plan, of a part of one, or of its file.

        Raises
        ------
        ValueError
            The scenario cannot be read.
        """
        values = {field.name: plan.attrs[field.name] for field in fields(cls)}
        values["scenario"] = from_json(values["scenario"], Scenario)
        return cls(**{**values, "data_simulated": bool(values["data_simulated"])})

    def write(self, plan: xr.Dataset) -> xr.Dataset:
        """The plan with this information."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"format": FORMAT, "scenario": to_json(self.scenario), "data_simulated": int(self.data_simulated)}
        return plan.assign_attrs(values)

    @property
    def goal(self) -> str:
        """Name of the problem that decides: the scenario's goal, or its first problem."""
        return self.scenario.goal or self.scenario.problems[0]

    @cached_property
    def problems(self) -> dict[str, Problem]:
        """Problems of the scenario by name, in its order."""
        return {problem.name: problem for problem in asked_problems(self.scenario)}


def save_plan(plan: xr.Dataset, path: str | Path) -> None:
    """Write a plan as netCDF (HDF5), whole or not at all.

    Examples
    --------
    >>> bm.save_plan(plan, "plan.nc")  # doctest: +SKIP
    """
    write_netcdf(path, plan)


def load_plan(path: str | Path, *, of: xr.DataTree | None = None) -> xr.Dataset:
    """Read a plan into memory.

    Raises
    ------
    InputError
        The file is missing, damaged, not a plan, of another version's format, or was not made from the fit ``of``.

    Examples
    --------
    >>> plan = bm.load_plan("plan.nc")  # doctest: +SKIP
    """
    path = require_file(path, hint="make a plan with `bayesmoe plan`")
    header = read_header(path, "make a plan again")
    if "spec" in header.attrs:
        raise InputError("is a fit, not a plan", file=path, hint="make a plan of it with `bayesmoe plan`")
    if "scenario" not in header.attrs:
        raise InputError("is not a plan of bayesmoe", file=path, hint="make one with `bayesmoe plan`")
    require_format(header.attrs, FORMAT, path, again="plan again")
    try:
        info = PlanInfo.read(header)
    except (KeyError, ValueError) as error:
        raise InputError("holds no scenario that can be read", file=path, hint="plan again") from error
    if of is not None and info.fit_sha256 != fingerprint(of):
        raise InputError("was made from another fit", file=path, hint="give the fit it was planned on, or plan again")
    return read_dataset(path, "make a plan again")


def fingerprint(fit: xr.DataTree) -> str:
    """Checksum of a fit's draws and spec, which ties a plan to its fit."""
    digest = hashlib.sha256(fit.attrs["spec"].encode())
    for member in components(fit).values():
        digest.update(np.ascontiguousarray(member.fit["posterior"]["noise_scale"].values).tobytes())
    return digest.hexdigest()
