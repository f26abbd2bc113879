"""Anchors of papers, certain fits of their coefficients, and plans of one problem on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from made_up import write_info

from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.workload import Serving
from bayesmoe.inference.spec import DataSpec, FitSpec, LawSpec
from bayesmoe.laws import Reference, law_named
from bayesmoe.planning.choices import ChoicesSpec
from bayesmoe.planning.planner import plan
from bayesmoe.planning.scenario import Scenario

ANCHORS = json.loads((Path(__file__).parent / "anchors.json").read_text())
RUN = {
    "n_dense": 1e9,
    "n_active": 1e9,
    "n_total": 1e9,
    "tokens": 2e10,
    "num_experts": 1.0,
    "top_k": 1.0,
    "shared_experts": 0.0,
    "activation_ratio": 0.5,
}
SOLVER = 1e-4
"""Relative. A solution lies on no closed form: sizes are told apart to 2e-5 (a 1,800th of the grid's step); 1e-5 in the anchors is theirs."""


def anchors(law, *outputs):
    """Anchors of a law, those of some outputs where they are named."""
    return [one for one in ANCHORS if one["law"] == law and (not outputs or one["output"] in outputs)]


def derived(found):
    """Those that were recomputed for the catalog."""
    return [one for one in found if one["note"].startswith("derived")]


def each(found):
    """Parametrize over anchors; the default suite asks for the first and the last of each output of each law."""
    numbers = {}
    for number, one in enumerate(found):
        numbers.setdefault((one["law"], one["output"]), []).append(number)
    ends = {end for each in numbers.values() for end in (each[0], each[-1])}
    marked = [one if number in ends else pytest.param(one, marks=pytest.mark.slow) for number, one in enumerate(found)]
    return pytest.mark.parametrize("anchor", marked, ids=lambda one: f"{one['law']}-{one['output']}-{one['value']:.4g}")


def paper_values(coefficients):
    """Coefficients in a law's own names: some anchors hold logarithms."""
    renamed = {"lam": "lambda"}
    return {
        renamed.get(name, name.removeprefix("ln_")): float(np.exp(value)) if name.startswith("ln_") else value
        for name, value in coefficients.items()
    }


def certain(law, coefficients, *, draws=1):
    """A fit whose every draw has these coefficients."""
    known = law_named(law)
    reference = Reference({name: RUN[name] for name in known.covariates}, 16.0)
    center = known.from_paper(coefficients, reference) | {"noise_scale": 0.005}
    posterior = {name: (("chain", "draw"), np.full((1, draws), float(value))) for name, value in center.items()}
    constant = {f"reference_{name}": value for name, value in reference.run.items()} | {"reference_gain_experts": 16.0}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(posterior), "constant_data": xr.Dataset(constant)})
    spec = FitSpec(data=DataSpec(file="runs.csv"), law=LawSpec(name=law))
    write_info(tree, spec, data_origin="a paper", data_simulated=True)
    return tree


def scenario_for(budget_flop, problem="loss_optimal", *, counts=(1,), top_k=None, rule="6 n_active tokens", **sections):
    """A scenario of one problem; the first expert count sets the threshold."""
    return Scenario(
        training=Training(budget_flop=budget_flop, flop_rule=rule),
        choices=ChoicesSpec(num_experts=counts, baseline_num_experts=counts[0], top_k=top_k),
        problems=(problem,),
        **{"serving": Serving(), **sections},
    )


def planned(law, coefficients, scenario):
    """A plan of the one problem and the one draw."""
    return plan(certain(law, coefficients), scenario).isel(problem=0, sample=0)


def near(found, anchor, rtol=None):
    """Whether a value lies within the tolerance of an anchor, its own or the one given where that is wider."""
    return abs(float(found) / anchor["value"] - 1.0) <= max(anchor["rtol"], rtol or 0.0)
