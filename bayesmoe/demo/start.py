"""Files to start from: the demo's runs, a model spec for them and a scenario."""

from __future__ import annotations

from pathlib import Path

from bayesmoe.errors import InputError
from bayesmoe.files import write_text
from bayesmoe.forecasting.spec_template import starter
from bayesmoe.resources import or_packaged, resource_folder
from bayesmoe.runs import read_runs

RUNS, SPEC, SCENARIO = "runs.csv", "fit.toml", "scenario.toml"


def start_files(folder: Path) -> list[str]:
    """Write the three files into a folder and return what to do next, line by line.

    Raises
    ------
    InputError
        One of them is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RUNS, SPEC, SCENARIO):
        if (folder / name).exists():
            raise InputError("is there already", file=folder / name, hint="name another folder; nothing was written")
    runs = folder / RUNS
    write_text(runs, (resource_folder("datasets") / "simulated-yun-grid.csv").read_text(encoding="utf-8"))
    table = read_runs(runs)
    write_text(folder / SPEC, starter(table.frame, file=runs, columns={}, beside=folder / SPEC))
    write_text(folder / SCENARIO, or_packaged("yun-2024", "scenarios").read_text(encoding="utf-8"))
    return [
        f"{runs}: {len(table.frame)} simulated runs; put your own in their place, then `bayesmoe runs check {runs}`",
        f"{folder / SPEC}: which law is fitted to them",
        f"{folder / SCENARIO}: budget, accelerators, prices, traffic and expert counts",
        "next:",
        f"  bayesmoe fit {folder / SPEC} --out {folder / 'fit.nc'}",
        f"  bayesmoe plan {folder / 'fit.nc'} {folder / SCENARIO} --out {folder / 'plan.nc'}",
        f"  bayesmoe report {folder / 'fit.nc'} {folder / 'plan.nc'} --out {folder / 'report.html'}",
    ]
