"""A model spec: data, law, priors, groups and sampler, as read from one TOML file in ``models/``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bayesmoe.errors import InputError
from bayesmoe.inference.noise import Part
from bayesmoe.laws import Law, law_named
from bayesmoe.laws.repetition import repeated
from bayesmoe.resources import or_packaged
from bayesmoe.runs import RunTable, as_run_table, load_source, read_runs, registered
from bayesmoe.runs.table import column_map
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.specs import from_mapping, read_toml, spec

AVERAGE = "average"
"""Name of several laws averaged, of their node in a fit, and of the law to ask for."""

_ONE_ORIGIN = "give either source (a registered data set) or file (a table of your own)"


def _yes_no_or_auto(value: Any) -> Any:
    if isinstance(value, bool) or value == "auto":
        return value
    raise ValueError('must be true, false or "auto"')


@spec
class DataSpec:
    """Where the runs come from, and which rows and columns are read.

    A registered ``source``, or a ``file``; neither where a table is given in Python.
    """

    source: str | None = None
    file: str | None = None
    select: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> DataSpec:
        if self.source is not None and self.file is not None:
            raise ValueError(_ONE_ORIGIN)
        return self


@spec
class GroupSpec:
    """Which column groups the runs, which group holds the dense runs all groups share, and what the groups have in common.

    Examples
    --------
    >>> dt = bm.fit("runs.csv", group=bm.GroupSpec(column="router", dense="Dense"))  # doctest: +SKIP
    """

    column: str = "group"
    dense: str | None = None
    shared: tuple[str, ...] | None = None


@spec
class PriorSpec:
    """Prior of a coordinate: a median and a spread on its own link scale (log, log above one, logit or none).

    Examples
    --------
    >>> bm.PriorSpec(median=0.05, sd=0.3).median
    0.05
    """

    median: float
    sd: Annotated[float, Field(gt=0)]
    group_spread: Annotated[float, Field(gt=0)] | None = None


@spec
class LawSpec:
    """Which law, which column is its size if not the law's own, other options, and priors that differ from its defaults.

    ``repetition``: whether repeated tokens are worth less than fresh ones (:class:`bayesmoe.laws.repetition.Repeated`); "auto" where some
    run of the table has more than one epoch and the law reads tokens.

    Examples
    --------
    >>> law = bm.LawSpec(name="yun", size="n_active", priors={"slope_tokens": bm.PriorSpec(median=0.05, sd=0.3)})
    """

    name: str = "yun"
    size: Literal["n_dense", "n_active", "n_total"] | None = None
    options: dict[str, str | float | bool] = Field(default_factory=dict)
    priors: dict[str, PriorSpec] = Field(default_factory=dict)
    repetition: Annotated[bool | Literal["auto"], BeforeValidator(_yes_no_or_auto)] = "auto"


@spec
class NoiseSpec:
    """What the noise of a run depends on; nothing: all runs have one noise.

    Attributes
    ----------
    depends_on : tuple of str
        ``loss``: it changes with the loss itself. ``ratio``: it changes with the distance from the table's usual tokens per
        parameter, so that runs far from the compute frontier pull less. ``seed``: a part of it is the configuration's, which runs that
        differ in their seed only have in common.
    where_known : bool
        Whether what the table cannot tell is left out; else it is an error.

    Examples
    --------
    >>> dt = bm.fit("runs.csv", law="yun", noise=bm.NoiseSpec(depends_on=("seed",)))  # doctest: +SKIP
    """

    depends_on: tuple[Part, ...] = ()
    where_known: bool = False


@spec
class AverageSpec:
    """Laws to average by how well they forecast larger runs; none named: those that the table can tell something about.

    ``discrepancy`` names a file that ``bayesmoe calibrate-discrepancy`` wrote: the prior of how far laws miss beyond their runs; the
    shipped one where none is named. ``priors`` are those of each law's coordinates that differ from its defaults, by law.
    """

    laws: tuple[str, ...] = ()
    discrepancy: str | None = None
    priors: dict[str, dict[str, PriorSpec]] = Field(default_factory=dict)


AVERAGE_NOISE = NoiseSpec(depends_on=("ratio", "seed"), where_known=True)
"""Noise of an average's laws where a spec says nothing of noise: runs far from the frontier, where no plan lives, pull less."""


@spec
class FitSpec:
    """Everything a posterior follows from: of ``law``, or of several laws where there is an ``average``.

    ``noise`` left out is one noise for all runs of a law's fit, and :data:`AVERAGE_NOISE` in an average.

    Examples
    --------
    >>> bm.FitSpec(law=bm.LawSpec(name="kaplan"), sampler=bm.SamplerSpec(seed=1)).law.name
    'kaplan'
    """

    data: DataSpec = Field(default_factory=DataSpec)
    name: str = "unnamed"
    law: LawSpec = Field(default_factory=LawSpec)
    average: AverageSpec | None = None
    groups: GroupSpec | None = None
    noise: NoiseSpec | None = None
    sampler: SamplerSpec = Field(default_factory=SamplerSpec)

    @model_validator(mode="after")
    def _one_or_many(self) -> FitSpec:
        if self.average is not None and self.law != LawSpec(size=self.law.size, repetition=self.law.repetition):
            raise ValueError(
                "law.name, law.options and law.priors are one law's own; leave them out of an average, and give average.priors by law"
            )
        if self.average is not None and self.sampler.method != "mcmc":
            raise ValueError("an average of laws is sampled: leave out sampler.method, or fit one law")
        return self


_OTHERS = {
    "training": ("is a scenario, not a model spec", "give it to `bayesmoe plan`, after a fit"),
    "num_layers": ("is an architecture, not a model spec", "give it to `bayesmoe cost`"),
}


def read_fit_spec(path: str | Path) -> FitSpec:
    """Read a model spec, or the packaged one of that name; a relative ``data.file`` is taken from the spec's own folder.

    Examples
    --------
    >>> bm.read_fit_spec("clark2022-routers").law.name
    'clark'
    """
    path = or_packaged(path, "specs")
    fit_spec = read_toml(path, FitSpec, others=_OTHERS)
    if fit_spec.average is not None and fit_spec.average.discrepancy is not None:
        # An absolute path swallows the folder before it.
        named = str(Path(path).parent / fit_spec.average.discrepancy)
        fit_spec = dataclasses.replace(fit_spec, average=dataclasses.replace(fit_spec.average, discrepancy=named))
    file = fit_spec.data.file
    if file is None and fit_spec.data.source is None:
        raise InputError("is required", file=path, column="data", hint=_ONE_ORIGIN)
    if file is not None and not Path(file).is_absolute():
        data = dataclasses.replace(fit_spec.data, file=str(Path(path).parent / file))
        fit_spec = dataclasses.replace(fit_spec, data=data)
    return fit_spec


def spec_from(
    target: str | Path,
    *,
    laws: list[str] | None = None,
    size: str | None = None,
    groups: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    columns: list[str] | None = None,
    sampler: dict[str, Any] | None = None,
    noise: list[str] | None = None,
) -> FitSpec:
    """Spec of a command: a TOML file or a run table, with what the flags say on top.

    Parameters
    ----------
    target : path
        A model spec (.toml), the name of a packaged one, or a run table.
    laws : list of str, optional
        One law; several, or "average", to average; none leaves the spec's.
    size : str, optional
        Column of the law's size.
    groups, data, sampler : dict, optional
        Keys of these sections; None leaves a key as it is.
    columns : list of str, optional
        ``ours=yours`` pairs.
    noise : list of str, optional
        What noise depends on; "none" alone for one noise. None leaves the spec's.
    """
    target = or_packaged(target, "specs")
    if str(target) in registered() and not target.exists():
        hint = f'put [data] and source = "{target}" into a model spec, as in models/, and fit that'
        raise InputError("is a registered data set, not a file", file=target, hint=hint)
    if Path(target).suffix == ".toml":
        base = dataclasses.asdict(read_fit_spec(target))
    else:
        base = {"name": Path(target).stem, "data": {"file": str(target)}}
    name = laws[0] if laws and len(laws) == 1 and laws[0] != AVERAGE else None
    if laws:
        base["average"] = None if name else {"laws": [law for law in laws if law != AVERAGE]}
        if not name:
            base["law"] = {key: value for key, value in (base.get("law") or {}).items() if key != "name"}
    if noise:
        base["noise"] = {"depends_on": [] if noise == ["none"] else noise}
    sections = {"law": {"name": name, "size": size}, "groups": groups, "data": data, "sampler": sampler}
    for section, flags in sections.items():
        if values := {key: value for key, value in (flags or {}).items() if value is not None}:
            base[section] = {**(base.get(section) or {}), **values}
    if columns:
        base["data"]["columns"] = {**base["data"].get("columns", {}), **column_map(columns)}
    return from_mapping(base, FitSpec)


def load_table(data: DataSpec, groups: GroupSpec | None, response: str = "loss") -> RunTable:
    """Run table a spec asks for, with the column that its law predicts.

    Raises
    ------
    InputError
        The source is unknown, a checksum differs, or a row breaks a rule.
    """
    group = groups.column if groups else None
    if data.file is not None:
        return read_runs(data.file, columns=data.columns, select=data.select, group=group, response=response)
    if data.source is None:
        raise InputError("names no runs", column="data", hint=_ONE_ORIGIN)
    source = load_source(data.source)
    return as_run_table(
        source.frame,
        origin=data.source,
        sha256=source.sha256,
        columns=data.columns,
        select=data.select,
        group=group,
        simulated=source.simulated,
        response=response,
    )


def law_of(law: LawSpec) -> Law:
    """The law object of a spec; ``repetition = "auto"`` is none until a table has said (:mod:`bayesmoe.inference.repetition`)."""
    options: dict[str, Any] = dict(law.options) if law.size is None else {"size": law.size, **law.options}
    found = law_named(law.name, **options)
    return repeated(found) if law.repetition is True else found
