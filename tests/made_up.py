"""Fits that nobody sampled: draws around a law's published coefficients."""

from __future__ import annotations

import numpy as np
import xarray as xr
from seeds import seeded

from bayesmoe.inference.gate import Check, Gate
from bayesmoe.inference.spec import DataSpec, FitSpec, LawSpec
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Reference, law_named


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
