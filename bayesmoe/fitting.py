"""Fit: from runs and a law, or several, to a posterior with its gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import xarray as xr

from bayesmoe.criticism.gate import with_gate
from bayesmoe.errors import InputError
from bayesmoe.files import require_file
from bayesmoe.forecasting.fit_average import fit_average
from bayesmoe.inference.fit_law import fit_law
from bayesmoe.inference.spec import (
    AVERAGE,
    AverageSpec,
    DataSpec,
    FitSpec,
    GroupSpec,
    LawSpec,
    NoiseSpec,
    law_of,
    read_fit_spec,
)
from bayesmoe.laws import Law, all_laws
from bayesmoe.precision import in_float64
from bayesmoe.progress import progress_of
from bayesmoe.runs import RunTable, as_run_table, registered
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.specs import from_mapping

Laws = str | type[Law] | LawSpec
Sampler = SamplerSpec | Mapping[str, Any]


@in_float64
def fit(
    runs: pd.DataFrame | RunTable | FitSpec | str | Path,
    *,
    law: Laws | Sequence[Laws] | None = None,
    group: str | GroupSpec | None = None,
    columns: Mapping[str, str] | None = None,
    select: str | None = None,
    noise: Sequence[str] | NoiseSpec | None = None,
    sampler: Sampler | None = None,
    progress: bool | Callable[[Any], None] = True,
) -> xr.DataTree:
    """Fit a scaling law, or an average of several, to a table of runs and compute its gate.

    ``loss_i ~ StudentT(nu, L_i, sigma L_i)`` with ``L_i`` the law's loss of run i, nats per token. The laws of an average are
    weighted by how well they forecast the larger runs from the smaller ones.

    Parameters
    ----------
    runs : DataFrame, RunTable, FitSpec or path
        One row is one trained model. A path is a table, a model spec (TOML) or the name of a registered data set; the other
        arguments override a spec.
    law : str, Law class, LawSpec, or several of them
        Name, ``package.module:MyLaw``, class, or :class:`LawSpec` with options, priors and repetition; several (a LawSpec then with priors
        and repetition only), or ``"average"`` (default).
    group : str or GroupSpec, optional
        Column that groups the runs (recipe, corpus, lab); a GroupSpec also names the shared dense runs and coordinates.
    columns : mapping, optional
        Your column by ours: ``{"loss": "val_loss"}``.
    select : str, optional
        Condition that runs must meet: ``"n_dense > 1e8"``.
    noise : sequence of str or NoiseSpec, optional
        What the noise of a run depends on: ``"loss"``, ``"ratio"`` (tokens per parameter), ``"seed"``.
    sampler : SamplerSpec or mapping, optional
        ``{"method": "laplace"}``, ``{"draws": 500, "seed": 1}``; see :class:`SamplerSpec`.
    progress : bool or callable
        Whether a bar is shown on a terminal and in a notebook, or what is called with each step.

    Returns
    -------
    xarray.DataTree
        Groups of ArviZ in 64-bit floats. Of an average: ``laws/NAME``, the fit of each law, and ``average``, their weights.

    Raises
    ------
    InputError
        A column is missing, a row breaks a rule, the law is unknown, or the arguments contradict each other.

    Examples
    --------
    >>> import bayesmoe as bm
    >>> dt = bm.fit("simulated-yun-grid", law="chinchilla", sampler={"method": "laplace"}, progress=False)
    >>> bm.check(dt).method
    'laplace'
    """
    base, table = _spec_and_table(runs, group)
    spec = _overridden(base, law=law, group=group, columns=columns, select=select, noise=noise, sampler=sampler)
    if isinstance(runs, pd.DataFrame):
        table = _table_of(runs, spec)
    with progress_of(progress) as on_progress:
        return fit_spec(spec, table=table, on_progress=on_progress)


def fit_spec(
    spec: FitSpec, *, table: RunTable | None = None, on_progress: Callable[[Any], None] = lambda progress: None
) -> xr.DataTree:
    """Fit what a spec says, one law or an average, and store the gate in the fit."""
    if spec.average is not None:
        return fit_average(spec, table=table, on_progress=on_progress)
    return with_gate(fit_law(spec, table=table, on_progress=on_progress))


def _spec_and_table(runs: Any, group: str | GroupSpec | None) -> tuple[FitSpec, RunTable | None]:
    """The spec that overrides start from, and the table where one was given."""
    average = AverageSpec()
    if isinstance(runs, FitSpec):
        return runs, None
    if isinstance(runs, RunTable):
        if group is not None and "group" not in runs.frame:
            raise InputError(
                "has no groups", file=runs.origin, column="group", hint="read it with group=COLUMN, or pass a DataFrame"
            )
        return FitSpec(name=Path(runs.origin).stem, average=average), runs
    if isinstance(runs, pd.DataFrame):
        return FitSpec(name="DataFrame", average=average), None
    if not isinstance(runs, str | Path):
        raise InputError(
            "cannot be fitted", value=type(runs).__name__, hint="give a DataFrame, a path, a RunTable or a FitSpec"
        )
    if Path(runs).suffix == ".toml":
        return read_fit_spec(runs), None
    if str(runs) in registered() and not Path(runs).exists():
        return FitSpec(name=str(runs), data=DataSpec(source=str(runs)), average=average), None
    require_file(runs, hint="give a table of runs, a model spec or the name of a data set (`bayesmoe datasets list`)")
    return FitSpec(name=Path(runs).stem, data=DataSpec(file=str(runs)), average=average), None


def _table_of(runs: pd.DataFrame, spec: FitSpec) -> RunTable:
    group = spec.groups.column if spec.groups else None
    response = "loss" if spec.average is not None else law_of(spec.law).response
    return as_run_table(runs, columns=dict(spec.data.columns), select=spec.data.select, group=group, response=response)


def _overridden(spec: FitSpec, *, law: Any, group: Any, columns: Any, select: Any, noise: Any, sampler: Any) -> FitSpec:
    """A spec with the arguments that were given on top."""
    changes: dict[str, Any] = {}
    if law is not None:
        changes |= _laws(law)
    if group is not None:
        changes["groups"] = group if isinstance(group, GroupSpec) else GroupSpec(column=group)
    if columns is not None or select is not None:
        changes["data"] = dataclasses.replace(
            spec.data, columns={**spec.data.columns, **(columns or {})}, select=select or spec.data.select
        )
    if noise is not None:
        changes["noise"] = noise if isinstance(noise, NoiseSpec) else from_mapping({"depends_on": list(noise)}, NoiseSpec)
    if sampler is not None:
        given = dataclasses.asdict(spec.sampler) | dict(sampler) if isinstance(sampler, Mapping) else None
        changes["sampler"] = sampler if given is None else from_mapping(given, SamplerSpec)
    values = {one.name: getattr(spec, one.name) for one in dataclasses.fields(spec)} | changes
    return from_mapping(values, FitSpec)


def _laws(law: Any) -> dict[str, Any]:
    """``law`` and ``average`` of a spec, of one law or of several."""
    several = not isinstance(law, str | type | LawSpec)
    laws = list(law) if several else [law]
    if not laws:
        raise InputError("is empty", column="law", hint="name a law, several, or 'average'")
    if len(laws) == 1 and _name(laws[0]) != AVERAGE:
        only = laws[0]
        return {"average": None, "law": only if isinstance(only, LawSpec) else LawSpec(name=_law_name(only))}
    specs = [one for one in laws if isinstance(one, LawSpec)]
    if any(one.options or one.size is not None for one in specs):
        hint = "in an average give a law priors only, and the size in the spec"
        raise InputError("has options, which an average cannot have", column="law", hint=hint)
    repetition: list[bool | Literal["auto"]] = [one.repetition for one in specs] or ["auto"]
    if len(set(repetition)) > 1:
        raise InputError("differs between the laws of an average", column="law.repetition", hint="give all of them the same")
    names = tuple(_law_name(name) for one in laws if (name := _name(one)) != AVERAGE)
    return {
        "law": LawSpec(repetition=repetition[0]),
        "average": AverageSpec(laws=names, priors={one.name: one.priors for one in specs if one.priors}),
    }


def _name(law: Any) -> Any:
    """What names a law: of a LawSpec its name."""
    return law.name if isinstance(law, LawSpec) else law


def _law_name(law: Any) -> str:
    if isinstance(law, str):
        return law
    if not (isinstance(law, type) and issubclass(law, Law)):
        raise InputError(
            "is not a law", column="law", value=repr(law), hint="give a name, a subclass of bayesmoe.Law, or a LawSpec"
        )
    return law.name if law in all_laws else f"{law.__module__}:{law.__qualname__}"
