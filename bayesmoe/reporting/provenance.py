"""Where a report comes from, and how to make it again."""

from __future__ import annotations

from typing import Any

import xarray as xr

from bayesmoe.inference.store import FitInfo
from bayesmoe.planning.store import PlanInfo
from bayesmoe.specs import to_toml


def provenance(fit: xr.DataTree, plan: xr.Dataset | None) -> dict[str, Any]:
    """Rows of the table, texts of the specs as TOML, and the commands that make the report again."""
    info = FitInfo.read(fit)
    spec, scenario = info.spec, None if plan is None else PlanInfo.read(plan).scenario
    seeds = f"fit {spec.sampler.seed}" + ("" if scenario is None else f", plan {scenario.seed}")
    return {
        "rows": {
            "Runs": f"{fit['observed_data'].sizes['run']} runs from {info.data_origin}",
            "Checksum of the runs (sha256)": info.data_sha256,
            "Seeds": seeds,
            "bayesmoe": info.bayesmoe_version,
            **info.versions,
        },
        "spec": to_toml(spec),
        "scenario": "" if scenario is None else to_toml(scenario),
        "commands": _commands(plan),
    }


def _commands(plan: xr.Dataset | None) -> str:
    fit = "bayesmoe fit model.toml --out fit.nc"
    if plan is None:
        return f"{fit}\nbayesmoe report fit.nc --out report.html"
    despite = " --despite-fail" if PlanInfo.read(plan).gate == "FAIL" else ""
    return (
        f"{fit}\nbayesmoe plan fit.nc scenario.toml --out plan.nc{despite}\nbayesmoe report fit.nc plan.nc --out report.html"
    )
