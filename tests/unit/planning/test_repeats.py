"""Limited data: repeats cost what the fit or the prior says, slopes stay right, and a loss that turns up with repeats is searched up to its turn."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.laws import law_named
from bayesmoe.laws.repetition import PART, Repeated, repeated
from bayesmoe.planning.build_surface import surface_of, surfaces
from bayesmoe.planning.cost_draws import sample_costs
from bayesmoe.planning.planner import plan
from bayesmoe.planning.repeats import with_repetition
from bayesmoe.planning.scenario import LimitsSpec
from bayesmoe.planning.store import PlanInfo


def limited(scenario, unique_tokens=3e10, **limits):
    """The scenario with so many distinct tokens, and one problem."""
    limits = LimitsSpec(unique_tokens=unique_tokens, **limits)
    return dataclasses.replace(scenario, limits=limits, problems=("loss_optimal",))


def known(scenario, **part):
    """A surface of one draw of a known law with repetition."""
    law = repeated(law_named("yun"))
    own = {"repeat_decay": 6.0, "excess_decay": 5.0, "size_per_token": 0.05, "overfitting": 0.02}
    values = {**law.published[0].coefficients, **own, **part}
    return surface_of(law, {name: jnp.array([value]) for name, value in values.items()}, scenario, sample_costs(scenario, 1))


def test_a_fit_of_one_epoch_takes_the_worth_of_repeats_from_the_prior(small_fit, scenario):
    (here,) = surfaces(small_fit, limited(scenario)).values()
    assert isinstance(here.law, Repeated)
    for one in PART:
        z = (np.log(np.asarray(here.parameters[one.name])) - one.mean) / one.sd
        # Means and spreads of so many independent draws lie within four standard errors.
        assert abs(z.mean()) < 4.0 / np.sqrt(len(z))
        assert abs(z.std() - 1.0) < 4.0 / np.sqrt(2.0 * len(z))


@pytest.mark.parametrize("limits", [{"unique_tokens": None}, {"max_epochs": 1.0}, {"max_epochs": 0.5}])
def test_where_no_token_may_repeat_the_law_is_the_fits_own(small_fit, scenario, limits):
    (here,) = surfaces(small_fit, limited(scenario, **limits)).values()
    assert here.law == law_named("yun")


def test_a_law_that_knows_repeats_keeps_what_its_runs_say(scenario):
    law, parameters = repeated(law_named("yun")), {"repeat_decay": 1.0}
    assert with_repetition(law, parameters, limited(scenario), 4) == (law, parameters)
    clark = law_named("clark")
    assert with_repetition(clark, {}, limited(scenario), 4) == (clark, {})


def test_the_plan_says_where_it_comes_from(small_fit, scenario):
    few = dataclasses.replace(
        limited(scenario), choices=dataclasses.replace(scenario.choices, num_experts=(4,), baseline_num_experts=4)
    )
    found = plan(small_fit, few, sketch=20)
    assert PlanInfo.read(found).repetition == "prior"
    assert {f"yun.{one.name}" for one in PART} <= set(found["input"].values)
    assert float(found["epochs"].max()) > 1.0


def test_up_to_the_limit_tokens_are_fresh_and_beyond_they_are_not(scenario):
    wanted = limited(scenario, 1e11)
    here, fresh = known(wanted), known(dataclasses.replace(wanted, limits=LimitsSpec()))
    size = jnp.full(here.shape, jnp.log(2e9))
    for tokens, same in ((5e10, True), (1e11, True), (4e11, False)):
        ours, theirs = (one.loss(size, jnp.full(here.shape, tokens)) for one in (here, fresh))
        assert bool((ours == theirs).all()) is same
        assert bool((ours >= theirs).all())


def test_slopes_along_the_budget_are_those_of_the_losses(scenario):
    with jax.enable_x64(True):
        here = known(limited(scenario))
        for n_dense in (2e8, 1e9, 5e9, 2e10):
            size = jnp.full(here.shape, jnp.log(n_dense))
            step = 1e-4
            differences = (here.loss(size + step) - here.loss(size - step)) / (2.0 * step)
            np.testing.assert_allclose(here.loss_slope(size), differences, rtol=1e-5, atol=1e-9)


def test_fewest_tokens_of_a_loss_reach_it_and_fewer_do_not(scenario):
    with jax.enable_x64(True):
        here = known(limited(scenario))
        size = jnp.full(here.shape, jnp.log(1.5e9))
        target = here.loss(size, jnp.full(here.shape, 1.4e11))
        tokens = here.tokens_of_loss(size, target)
        np.testing.assert_allclose(tokens, 1.4e11, rtol=1e-6)
        # Overfitting makes the loss rise in the end, so that its lowest lies at no end.
        passes = np.geomspace(1.0, 1e3, 100)
        below = jnp.min(jnp.stack([here.loss(size, jnp.full(here.shape, one * 3e10)) for one in passes]), axis=0) * 0.999
        assert not bool(jnp.isfinite(here.tokens_of_loss(size, below)).any())


def test_a_loss_that_turns_up_with_repeats_is_still_reached(scenario):
    """A model thirty times too large, whose size fades at once: the loss falls over some passes and then rises."""
    with jax.enable_x64(True):
        here = known(limited(scenario), excess_decay=0.05, repeat_decay=2.0, size_per_token=0.02)
        size = jnp.full(here.shape, jnp.log(2e10))

        def at(passes):
            return here.loss(size, jnp.full(here.shape, passes * 3e10))

        turns = bool((at(1.2) > at(1.0)).any())
        assert turns, "the model of this test must turn up"
        found = here.tokens_of_loss(size, at(0.9) * (1.0 + 1e-9))
        np.testing.assert_allclose(found, 0.9 * 3e10, rtol=1e-5)
        # What is never reached stays infinite.
        assert not bool(jnp.isfinite(here.tokens_of_loss(size, at(1.0) * 0.9)).any())
