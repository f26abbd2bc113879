"""Read a scenario: resolve what people write into one form, once, and refuse what nobody means."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bayesmoe.costs.prices import price_of
from bayesmoe.errors import InputError, with_source
from bayesmoe.planning.plausible import require_plausible, require_plausible_section
from bayesmoe.planning.reference import keys
from bayesmoe.planning.roadmap import budgets, with_budget
from bayesmoe.planning.scenario import SECTIONS, Scenario
from bayesmoe.planning.traffic import read_traffic, with_traffic
from bayesmoe.planning.words import MEANT, SAME, accelerator_note
from bayesmoe.planning.workloads import WORKLOAD, with_workload
from bayesmoe.resources import or_packaged
from bayesmoe.specs import from_mapping, load_toml

_OTHERS = {
    "data": ("is a model spec, not a scenario", "give it to `bayesmoe fit`; see models/scenarios/ for scenarios"),
    "num_layers": ("is an architecture, not a scenario", "give it to `bayesmoe cost`, before the scenario"),
}


def read_scenario(
    path: str | Path, *, on_note: Callable[[str], Any] = lambda note: None, trace: str | Path | None = None
) -> Scenario:
    """Read a scenario, or the packaged one of that name; files that it names (latency table, calibration, accelerators) are taken from its own folder.

    Parameters
    ----------
    path : path
        A TOML file, or the name of a packaged scenario.
    on_note : callable
        Called with a sentence for each thing that was read as something else: an accelerator of several, traffic as tokens.
    trace : path, optional
        Log of requests whose lengths are meant, in place of the scenario's ``serving.workload``.

    Raises
    ------
    InputError
        The file cannot be read, breaks a rule, says what nobody means (:mod:`bayesmoe.planning.plausible`), or holds several budgets.

    Examples
    --------
    >>> bm.read_scenario("yun-2024").training.budget_flop
    5.15e+21
    """
    first, *others = read_roadmap(path, on_note=on_note, trace=trace)
    if others:
        raise InputError(
            "is for several plans",
            file=or_packaged(path, "scenarios"),
            column="training.roadmap",
            hint="`bayesmoe plan` and `bayesmoe next-run` take it; give training.budget_flop here",
        )
    return first


def read_roadmap(
    path: str | Path, *, on_note: Callable[[str], Any] = lambda note: None, trace: str | Path | None = None
) -> tuple[Scenario, ...]:
    """Scenarios of a file: one for each budget of its ``training.roadmap``, the next first; one where it has none. See :func:`read_scenario`."""
    path = or_packaged(path, "scenarios")
    raw = load_toml(path, others=_OTHERS)
    with with_source(path, *SECTIONS):
        raw, renamed = _with_known_keys(raw)
        roadmap, traffic = budgets(raw), read_traffic(raw)
        if trace is not None:
            raw = {**raw, "serving": {**raw.get("serving", {}), WORKLOAD: str(Path(trace).absolute())}}
        raw, notes = with_workload(raw, folder=Path(path).parent)
        notes = [*renamed, *notes]
        if roadmap is not None:
            require_plausible_section("training", roadmap)
        resolved = raw
        if traffic is not None:
            require_plausible_section("traffic", traffic)
            resolved, note = with_traffic(raw, traffic)
            notes.append(note)
        each = [resolved] if roadmap is None else [with_budget(resolved, flop) for flop in roadmap.roadmap]
        found = tuple(from_mapping(one, Scenario, file=path) for one in each)
        for one in found:
            require_plausible(one)
    for section in ("training", "serving"):
        notes += accelerator_note(section, raw.get(section, {}).get("accelerator"), getattr(found[0], section).accelerator)
    for note in notes:
        on_note(f"{path}: {note}")
    return tuple(_with_files(one, Path(path).parent) for one in found)


def by_budget(name: str, scenarios: Sequence[Scenario]) -> dict[str, Scenario]:
    """Scenarios of one file by a name for each: the file's own, with the budget where there are several."""
    if len(scenarios) == 1:
        return {name: scenarios[0]}
    return {f"{name}-{one.training.budget_flop:.4g}".replace("e+", "e"): one for one in scenarios}


def _with_files(found: Scenario, folder: Path) -> Scenario:
    """The scenario with the files that it names, and the price of an accelerator that is one."""

    def here(part: Any, *keys: str) -> Any:
        named = {key: getattr(part, key) for key in keys}
        # An absolute path swallows the folder before it.
        return dataclasses.replace(part, **{key: str(folder / file) for key, file in named.items() if file is not None})

    def priced(part: Any) -> Any:
        # A plan outlives the file that an accelerator came from.
        return dataclasses.replace(part, price_usd_per_gpu_hour=price_of(part))

    serving, training = here(found.serving, "latency_table", "calibration"), here(found.training, "calibration")
    serving, training = (
        priced(here(part, "accelerator")) if part.accelerator.endswith(".toml") else part for part in (serving, training)
    )
    return dataclasses.replace(found, serving=serving, training=training)


def _with_known_keys(raw: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The scenario with keys that mean one of ours under its name, and a sentence for each.

    Raises
    ------
    InputError
        A key that people write may mean several, or its value another unit: the key which is meant is named. Any other is left to its section.
    """
    known, sections = {one.name for one in keys()}, {one.section for one in keys()}
    found, notes = dict(raw), []
    for section, part in raw.items():
        for key in part if isinstance(part, dict) and section in sections else ():
            name = f"{section}.{key}"
            if name in known:
                continue
            if name in SAME and SAME[name] not in part:
                found[section] = {SAME[name] if each == key else each: value for each, value in found[section].items()}
                notes.append(f"{name} is read as {SAME[name]}")
            elif name in SAME:
                raise InputError("says the same as another key", column=name, hint=f"keep {SAME[name]}")
            elif key in MEANT:
                meant = MEANT[key] if "." in MEANT[key] else f"{section}.{MEANT[key]}"
                raise InputError("is not a known key", column=name, hint=f"write {meant}")
    return found, notes
