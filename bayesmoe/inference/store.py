"""A fit's attributes as a typed noun, and its netCDF file. No other module reads or writes the attributes of a fit."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.files import Header, read_datatree, read_header, require_file, require_format, write_netcdf
from bayesmoe.inference.gate import Check, Forward, Gate
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import AVERAGE, FitSpec, law_of
from bayesmoe.laws import Coordinate, Law, Reference
from bayesmoe.sampling.retries import Attempt
from bayesmoe.specs import from_json, to_json

FORMAT = 8
"""Version of the layout written below; a reader refuses any other."""

GROUP_DIM = "run_group"
"""Dimension of what differs between groups of runs; ArviZ keeps the name ``group`` for its own."""

LAWS = "laws"
"""Node of an averaged fit that holds the fit of each law."""


@dataclass(frozen=True)
class FitInfo:
    """What a fit says of itself, stored in the attributes of its DataTree.

    Attributes
    ----------
    spec : FitSpec
        The spec that it was made from.
    law_name : str
        Name of its law, or "average".
    response : str
        The column that its laws predict.
    data_origin, data_sha256 : str
        Where the runs came from, and the checksum of the table.
    data_simulated : bool
        Whether nobody trained the runs.
    data_notes : tuple of str
        What was derived from the table, and what it lacks.
    gate : Gate or None
        Computed when the fit was made; None where it cannot be, as of one chain.
    attempts : tuple of Attempt
        Runs of the sampler; the last one is the fit's.
    interrupted : bool
        Whether sampling was stopped early.
    pooled, paper_parameters : tuple of str
        Coordinates that differ between groups; posterior variables derived from coordinates.
    pareto_k : float or None
        Of an approximation.
    forward : Forward or None
        Of an average: how forward validation went.
    left_out : dict of str
        Of an average: laws whose own fit failed, and why.
    versions : dict of str
        Versions of the libraries, and of bayesmoe.
    """

    spec: FitSpec
    law_name: str
    response: str = "loss"
    data_origin: str = ""
    data_sha256: str = ""
    data_simulated: bool = False
    data_notes: tuple[str, ...] = ()
    gate: Gate | None = None
    attempts: tuple[Attempt, ...] = ()
    interrupted: bool = False
    pooled: tuple[str, ...] = ()
    paper_parameters: tuple[str, ...] = ()
    pareto_k: float | None = None
    forward: Forward | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    bayesmoe_version: str = ""

    @classmethod
    def read(cls, fit: xr.DataTree | Header) -> FitInfo:
        """Read the attributes of a fit or of its file; those of one fit are parsed once."""
        return _parsed(tuple(sorted((str(key), _plain(value)) for key, value in fit.attrs.items())))

    def write(self, fit: xr.DataTree) -> None:
        """Set the attributes of a fit."""
        structured = {name: json.dumps(_as_json(getattr(self, name))) for name in _STRUCTURED}
        flags = {"data_simulated": int(self.data_simulated), "interrupted": int(self.interrupted)}
        texts = {name: getattr(self, name) for name in _TEXTS}
        numbers = {name: value for name in _NUMBERS if (value := getattr(self, name)) is not None}
        attributes = {"format": FORMAT, "spec": to_json(self.spec), "law": self.law_name, "method": self.method}
        fit.attrs = attributes | texts | flags | numbers | structured

    @property
    def method(self) -> str:
        """How the draws were made: mcmc, laplace or pathfinder."""
        return self.spec.sampler.method

    @property
    def approximate(self) -> bool:
        """Whether the draws are those of an approximation."""
        return self.method != "mcmc"

    @functools.cached_property
    def law(self) -> Law:
        """The law of a fit of one law."""
        return law_of(self.spec.law)

    @functools.cached_property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Coordinates of the law with the priors of the spec."""
        return coordinates_of(self.law, self.spec.law.priors)

    def required_gate(self, file: str | Path | None = None) -> Gate:
        """Return the gate.

        Raises
        ------
        InputError
            The fit has none: it was made of one chain.
        """
        if self.gate is None:
            raise InputError(
                "has no gate, as one chain cannot be checked; at least 2 chains are needed",
                file=file,
                column="chains",
                value=self.spec.sampler.chains,
                hint="refit with --chains 4",
            )
        return self.gate


_TEXTS = ("response", "data_origin", "data_sha256", "bayesmoe_version")
_NUMBERS = ("pareto_k",)
_STRUCTURED = ("forward", "data_notes", "gate", "attempts", "pooled", "paper_parameters", "left_out", "versions")


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


@functools.lru_cache(maxsize=64)
def _parsed(attributes: tuple[tuple[str, Any], ...]) -> FitInfo:
    stored = dict(attributes)
    structured = {name: json.loads(stored[name]) for name in _STRUCTURED}
    gate = structured["gate"]
    return FitInfo(
        spec=from_json(stored["spec"], FitSpec),
        law_name=stored["law"],
        response=stored["response"],
        data_origin=stored["data_origin"],
        data_sha256=stored["data_sha256"],
        bayesmoe_version=stored["bayesmoe_version"],
        pareto_k=stored.get("pareto_k"),
        data_simulated=bool(stored["data_simulated"]),
        interrupted=bool(stored["interrupted"]),
        data_notes=tuple(structured["data_notes"]),
        gate=gate and Gate(tuple(Check(**check) for check in gate["checks"]), gate["method"]),
        attempts=tuple(Attempt(**attempt) for attempt in structured["attempts"]),
        pooled=tuple(structured["pooled"]),
        paper_parameters=tuple(structured["paper_parameters"]),
        forward=structured["forward"] and Forward(**structured["forward"]),
        left_out=structured["left_out"],
        versions=structured["versions"],
    )


def save_fit(fit: xr.DataTree, path: str | Path) -> None:
    """Write a fit as netCDF (HDF5), whole or not at all.

    Examples
    --------
    >>> bm.save_fit(dt, "fit.nc")  # doctest: +SKIP
    """
    write_netcdf(path, fit)


def load_fit(path: str | Path) -> xr.DataTree:
    """Read a fit into memory and close its file.

    Raises
    ------
    InputError
        The file is missing, is not a fit of this package, or was written in another layout.

    Examples
    --------
    >>> dt = bm.load_fit("fit.nc")  # doctest: +SKIP
    """
    hint = "give a fit made by `bayesmoe fit`"
    path = require_file(path, hint=hint)
    header = read_header(path, hint)
    nodes = {AVERAGE, LAWS} if LAWS in header.groups else {"posterior", "sample_stats"}
    missing = (nodes | {"constant_data"}) - header.groups
    if "scenario" in header.attrs:
        raise InputError("is a plan, not a fit", file=path, hint="give the fit that it was made from")
    if ("posterior" in header.groups and "spec" in header.attrs) or LAWS in header.groups:
        # An older layout may lack what this one must have, and is a fit all the same.
        require_format(header.attrs, FORMAT, path, again="refit")
    if missing or not set(header.attrs) >= _ATTRIBUTES:
        raise InputError("is not a fit of bayesmoe", file=path, hint="make one with `bayesmoe fit`")
    try:
        FitInfo.read(header)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError("holds no model spec that can be read", file=path, hint="refit") from error
    return read_datatree(path, hint)


_ATTRIBUTES = {"spec", "law", "method", "data_simulated", "interrupted", *_TEXTS, *_STRUCTURED}


def reference_of_fit(fit: xr.DataTree) -> Reference:
    """Return the reference run of a fit's coordinates."""
    constant = fit["constant_data"].dataset
    run = {name: float(constant[f"reference_{name}"]) for name in FitInfo.read(fit).law.covariates}
    return Reference(run, float(constant["reference_gain_experts"]))
