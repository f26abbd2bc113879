"""Plans on public runs equal brute force draw by draw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from oracle import Oracle, clark_loss, require_same_plan, yun_loss

from bayesmoe.fitting import fit_spec
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.planning.scenario import in_group
from bayesmoe.resources import resource_folder


def surface(fit, scenario):
    """The surface of a fit of one law."""
    (found,) = surfaces(fit, scenario).values()
    return found


pytestmark = pytest.mark.slow

DRAWS = range(0, 1000, 20)


def fine_grained(scenario):
    """Narrow top-4 experts, whose active parameters differ from the backbone's."""
    architecture = dataclasses.replace(scenario.architecture, top_k=4, granularity=2.0, moe_share=0.5)
    return dataclasses.replace(scenario, architecture=architecture)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("clark2022-routers", "S-Base", clark_loss, "n_dense"), id="clark2022"),
        pytest.param(("clark2022-routers-yun", "S-Base", yun_loss, "n_dense"), id="clark2022-yun"),
        pytest.param(("olmoe3-ladder", "olmoe3-a0", yun_loss, "n_active"), id="olmoe3", marks=pytest.mark.sweep),
    ],
)
def public(request, shared_data, scenario):
    """A short fit of public runs with the group that is planned for, the law by hand and the law's size."""
    model, group, law, size = request.param
    spec = read_fit_spec(resource_folder("models") / f"{model}.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAYESMOE_DATA_DIR", str(shared_data / "raw"))
        found = fit_spec(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=800, draws=250)))
    asked = in_group(fine_grained(scenario) if size == "n_active" else scenario, group)
    tokens = None
    if law is clark_loss:
        tokens = float(np.exp(np.log(found["constant_data"]["tokens"].values).mean()))
    return found, asked, Oracle(asked, law, size, tokens)


def test_the_plan_equals_brute_force_in_every_draw(public):
    found, scenario, oracle = public
    here = surface(found, scenario)
    made = plan(found, scenario)
    require_same_plan(made, DRAWS, oracle.answers(here.parameters, here.cost_draws, DRAWS))


def test_the_comparison_rejects_another_group(public):
    found, scenario, oracle = public
    groups = [str(name) for name in found["posterior"]["run_group"].values]
    other = in_group(scenario, next(name for name in groups if name != scenario.choices.group))
    here = surface(found, other)
    made = plan(found, scenario)
    with pytest.raises(AssertionError):
        require_same_plan(made, DRAWS, oracle.answers(here.parameters, here.cost_draws, DRAWS))
