"""Simulation-based calibration of every law; a model whose tables are noisier than it says is rejected."""

from __future__ import annotations

import dataclasses

import pytest
from designs import catalog_design
from seeds import seeded
from tiers import swept

from bayesmoe.criticism.sbc import calibration, ranks_of, simulation_ranks
from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.model import Data, Structure
from bayesmoe.inference.spec import DataSpec, FitSpec, GroupSpec
from bayesmoe.laws import all_laws, law_named
from bayesmoe.runs import as_run_table

pytestmark = pytest.mark.slow

SIMULATIONS = 100
TWIN_SIMULATIONS = 30
ERROR_RATE = 0.001
"""A calibrated law is rejected with at most this probability at a random seed: all 24 laws with at most 2.4%. Seeds are fixed."""


@pytest.mark.parametrize("kind", swept(all_laws, keep=lambda kind: kind.name == "yun", name=lambda kind: kind.name))
def test_ranks_are_uniform(kind) -> None:
    ranks = simulation_ranks(kind(), catalog_design(), simulations=SIMULATIONS, seed=seeded(1))
    found = calibration(ranks)
    assert float(found["joint_p_value"]) >= ERROR_RATE, found["p_value"].to_series().nsmallest(3).to_dict()
    assert int((ranks["divergences"] > 4).sum()) <= SIMULATIONS // 20


@pytest.mark.parametrize("kind", [all_laws[0], law_named("yun").__class__, all_laws[-1]], ids=lambda kind: kind.name)
def test_a_noisier_twin_is_rejected(kind) -> None:
    """Whatever the law, the scale of the noise tells: three are enough."""
    ranks = simulation_ranks(kind(), catalog_design(), simulations=TWIN_SIMULATIONS, seed=seeded(2), noise_factor=1.5)
    assert float(calibration(ranks)["joint_p_value"]) < ERROR_RATE


def arranged(name: str, groups: GroupSpec | None = None) -> tuple[Structure, Data]:
    """A law on the catalog's runs, in three groups where there are any."""
    law, runs = law_named(name), catalog_design()
    runs = runs.assign(
        loss=3.0, group=[f"group {i % 3}" for i in range(len(runs))], run_id=[f"run {i}" for i in range(len(runs))]
    )
    spec = FitSpec(data=DataSpec(file="runs.csv"), groups=groups)
    table = as_run_table(runs, group="group") if groups else as_run_table(runs.drop(columns="group"))
    _, structure, data = arrange(table, law, law.coordinates, spec)
    return structure, data


@pytest.fixture(scope="module")
def grouped() -> tuple[Structure, Data]:
    """Clark's law with coordinates that are partially pooled."""
    structure, data = arranged("clark", GroupSpec(column="group"))
    assert structure.pooled
    return structure, data


def with_prior(structure: Structure, **changes: dict[str, float]) -> Structure:
    """The same sites with some coordinates' priors moved: additions to a mean in its sds, factors of a spread."""
    made = []
    for coordinate in structure.coordinates:
        change = changes.get(coordinate.name, changes.get("every", {}))
        made.append(
            dataclasses.replace(
                coordinate,
                mean=coordinate.mean + change.get("sds", 0.0) * coordinate.sd,
                spread=coordinate.spread * change.get("spread", 1.0),
            )
        )
    return dataclasses.replace(structure, coordinates=tuple(made))


def test_ranks_of_groups_are_uniform(grouped) -> None:
    ranks = ranks_of(*grouped, range(SIMULATIONS), seed=seeded(3))
    assert float(calibration(ranks)["joint_p_value"]) >= ERROR_RATE


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(
            {"every": {"spread": 4.0}},
            marks=pytest.mark.sweep,
            id="pooling: groups differ four times as much as the model says",
        ),
        pytest.param({"e_above": {"sds": 2.5}}, id="e_max prior: saturation lies far above where the model says"),
    ],
)
def test_a_twin_with_other_priors_is_rejected(grouped, wrong) -> None:
    structure, data = grouped
    ranks = ranks_of(structure, data, range(TWIN_SIMULATIONS), seed=seeded(4), truth=with_prior(structure, **wrong))
    found = calibration(ranks)
    assert float(found["joint_p_value"]) < ERROR_RATE


HARDLY_KNOWN = {kind.name: "e_above" for kind in all_laws if any(c.name == "e_above" for c in kind.coordinates)}
"""Coordinates of which the catalog's runs say so little that so few tables tell their priors."""


@pytest.mark.parametrize("name", swept(HARDLY_KNOWN, keep=lambda name: name == "yun"))
def test_a_twin_with_another_prior_of_what_runs_hardly_know_is_rejected(name) -> None:
    """The tables are the law's own, and a coordinate of theirs lies where the model's prior hardly does."""
    structure, data = arranged(name)
    truth = with_prior(structure, **{HARDLY_KNOWN[name]: {"sds": 2.5}})
    ranks = ranks_of(structure, data, range(TWIN_SIMULATIONS), seed=seeded(4), truth=truth)
    assert float(calibration(ranks)["joint_p_value"]) < ERROR_RATE
