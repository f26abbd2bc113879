"""Budgets in FLOP, USD, GPU-hours and days: what each buys at one utilization and on a cluster, against arithmetic and brute force."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmoe import plots
from bayesmoe.costs.training_budget import Training
from bayesmoe.curves.mfu_by_size import mfu_by_size
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.text import facts, on_throughput
from bayesmoe.documents.plan import PlanDocument
from bayesmoe.errors import InputError
from bayesmoe.laws import law_named
from bayesmoe.planning.build_surface import surface_of
from bayesmoe.planning.cost_draws import sample_costs
from bayesmoe.planning.distance_grid import LARGEST, SMALLEST
from bayesmoe.planning.planner import plan
from bayesmoe.planning.scenario import with_counts
from bayesmoe.precision import in_float64
from bayesmoe.reporting.build import figures
from bayesmoe.units import experts

COUNTS, DRAWS, GPUS = (1, 4, 64), 50, 128
CLUSTER = {"cluster_gpus": GPUS, "mfu": None, "budget_flop": None}
TIMES = {"usd": {"budget_usd": 8000.0}, "gpu_hours": {"budget_gpu_hours": 4000.0}, "deadline": {"days": 2.0}}


def trained(scenario, **changed):
    """The scenario with other keys of training."""
    return dataclasses.replace(scenario, training=dataclasses.replace(scenario.training, **changed))


@in_float64
def surface(scenario, draws=DRAWS):
    """Draws of a law that are known, under a scenario's costs."""
    law, asked = law_named("yun"), with_counts(scenario, COUNTS)
    first, rng = law.coefficients("illustrative"), np.random.default_rng(0)
    parameters = {name: jnp.asarray(value * np.exp(0.03 * rng.standard_normal(draws))) for name, value in first.items()}
    return surface_of(law, parameters, asked, sample_costs(asked, draws))


def even_sizes(count):
    return jnp.broadcast_to(jnp.linspace(np.log(2e7), np.log(1e11), count), (1, len(COUNTS), count))


@in_float64
@pytest.mark.parametrize("budget", list(TIMES))
@pytest.mark.few(1)
def test_a_budget_in_time_is_spent_whole_by_every_candidate_at_its_own_rate(scenario, budget):
    here = surface(trained(scenario, **CLUSTER, **TIMES[budget]))
    size = even_sizes(9)
    found = here.quantities(size, here.tokens(size))
    spent = {"usd": found.train_usd, "gpu_hours": found.train_gpu_hours, "deadline": found.train_days}[budget]
    (whole,) = TIMES[budget].values()
    fits = np.isfinite(np.asarray(spent))
    assert fits[..., :5].all()
    np.testing.assert_allclose(np.asarray(spent)[fits], whole, rtol=1e-9)
    hours, tokens = np.asarray(found.train_gpu_hours), np.asarray(found.tokens)
    # 989 TFLOP/s in bfloat16.
    mfu = tokens * np.asarray(here.flop_per_token(size)) / (hours * 3600.0 * 989e12)
    np.testing.assert_allclose(np.asarray(found.train_mfu)[fits], mfu[fits], rtol=1e-9)
    np.testing.assert_allclose(np.asarray(found.train_days)[fits], hours[fits] / (24.0 * GPUS), rtol=1e-9)
    np.testing.assert_allclose(np.asarray(found.train_kwh)[fits], 1.37 * hours[fits], rtol=1e-9)
    # A sparser model buys fewer FLOP for the same time.
    assert np.median(mfu[:, 0, 4]) > np.median(mfu[:, 2, 4])


@in_float64
def test_a_flop_budget_buys_the_tokens_that_it_bought(scenario):
    size, asked = even_sizes(9), {"budget_flop": 5.15e21}
    found, before = surface(trained(scenario, **CLUSTER | asked)), surface(trained(scenario, **asked))
    np.testing.assert_array_equal(found.tokens(size), before.tokens(size))
    np.testing.assert_array_equal(found.loss(size), before.loss(size))
    assert not np.allclose(
        found.quantities(size, found.tokens(size)).train_usd, before.quantities(size, before.tokens(size)).train_usd
    )


@in_float64
@pytest.mark.parametrize("budget", list(TIMES))
def test_at_one_utilization_time_is_flop(scenario, budget):
    """4,000 GPU-hours, USD 8,000 at USD 2, or 128 GPUs for 4000 / (128 x 24 x 0.9) days, at 40% of 989 TFLOP/s."""
    days = {"days": 4000.0 / (GPUS * 24.0 * 0.9)}
    asked = {**CLUSTER, "mfu": 0.4, "price_usd_per_gpu_hour": 2.0, **(days if budget == "deadline" else TIMES[budget])}
    here = surface(trained(scenario, **asked))
    assert not here.in_gpu_time
    np.testing.assert_allclose(here.budget, 4000.0 * 3600.0 * 0.4 * 989e12, rtol=1e-12)


@in_float64
@pytest.mark.parametrize("budget", list(TIMES))
@pytest.mark.few(1)
def test_the_loss_optimum_is_that_of_brute_force_over_sizes(scenario, budget):
    here = surface(trained(scenario, **CLUSTER, **TIMES[budget]))
    size = jnp.broadcast_to(jnp.linspace(np.log(SMALLEST), np.log(LARGEST), 20_001), (1, len(COUNTS), 20_001))
    loss = np.where(here.cost_draws.throughput.fits(size), here.loss(size), np.inf)
    best = here.loss(here.loss_optimal())
    assert (best <= loss.min(axis=-1) * (1.0 + 1e-9)).all()
    np.testing.assert_allclose(best, loss.min(axis=-1), rtol=1e-6)


@in_float64
def test_a_small_cluster_bounds_the_loss_optimum_by_its_memory(scenario):
    here = surface(trained(scenario, **CLUSTER | {"cluster_gpus": 1, "step_tokens": 65536.0}, budget_gpu_hours=1e5))
    optimal = np.asarray(here.loss_optimal())
    np.testing.assert_allclose(optimal, here.cost_draws.throughput.ln_largest, atol=1e-6)
    assert np.isfinite(here.quantities(optimal, here.tokens(optimal)).train_usd).all()


@in_float64
@pytest.mark.slow
def test_nothing_fits_is_a_probability_of_zero(scenario, small_fit):
    asked = trained(scenario, **CLUSTER | {"cluster_gpus": 8192, "step_tokens": 65536.0}, budget_usd=8000.0)
    found = plan(small_fit, dataclasses.replace(with_counts(asked, COUNTS), problems=("loss_optimal",)), sketch=DRAWS)
    np.testing.assert_array_equal(found["feasible"], False)
    np.testing.assert_array_equal(found["option_feasible"], False)
    kept = found["limit_kept"].sel(limit="training.memory_fraction")
    np.testing.assert_array_equal(kept, False)
    (decision,) = decide(found, advice=False)
    assert (decision.recommended, decision.p_any_feasible) == (None, 0.0)
    assert "no layout divides it" in decision.closest.training.reason
    assert "Limit: memory of the training cluster" in facts(decision)


@in_float64
def test_a_plan_on_a_deadline_recommends_what_the_days_buy_with_its_probability(scenario, small_fit):
    asked = trained(scenario, **CLUSTER, days=2.0)
    found = plan(small_fit, dataclasses.replace(with_counts(asked, COUNTS), problems=("loss_optimal",)), sketch=200)
    np.testing.assert_allclose(found["train_days"], 2.0, rtol=1e-9)
    days = found["option_train_gpu_hours"] / (24.0 * GPUS)
    np.testing.assert_allclose((days <= 2.0 * (1.0 + 1e-5)).mean("sample"), scenario.tolerance.probability, atol=0.02)
    (decision,) = decide(found, advice=False)
    run, design = decision.outcome.training, decision.recommended
    np.testing.assert_allclose(run.days, np.array(run.gpu_hours) / (24.0 * GPUS), rtol=1e-6)
    np.testing.assert_allclose(run.kwh, 1.37 * np.array(run.gpu_hours), rtol=1e-6)
    flop = 6.0 * design.n_active * design.tokens
    np.testing.assert_allclose(run.mfu.median, flop / (run.gpu_hours.median * 3600.0 * 989e12), rtol=1e-3)
    assert run.days.low < run.days.median <= 2.0
    assert "micro-batch" in run.layout
    assert facts(decision)["MFU"].startswith("dense ")
    assert f"{GPUS} H100-SXM" in facts(decision)["Cluster"]
    document = PlanDocument.of(found, [decision]).problems["loss_optimal"].num_experts[0].design
    assert document.training.layout == decision.designs[0].training.layout
    drawn = figures(small_fit, plan=found, decisions=decide(found, advice=False))
    assert [panel.get_title() for panel in drawn["mfu_by_experts"].axes if panel.get_visible()] == list(map(experts, COUNTS))
    for figure in drawn.values():
        plt.close(figure)


@in_float64
@pytest.mark.slow
def test_days_beside_a_budget_are_a_limit_with_what_would_do(scenario, small_fit):
    asked = trained(scenario, **CLUSTER | {"budget_flop": 5.15e21}, days=0.1)
    found = plan(small_fit, dataclasses.replace(with_counts(asked, COUNTS), problems=("loss_optimal",)), sketch=DRAWS)
    assert not found["feasible"].any()
    needed = found["limit_needed"].sel(limit="training.days", problem="loss_optimal")
    hours = 5.15e21 / (989e12 * 3600.0)
    # Between a tenth of the peak and the whole of it.
    assert hours / (GPUS * 24.0) < float(needed.median()) < hours / (0.1 * GPUS * 24.0)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (16, "At one MFU of 31% for every count, 16 experts would be recommended as well."),
        (64, "At one MFU of 31% for every count, 64 experts would be recommended instead of 16 experts."),
        (0, "At one MFU of 31% for every count, nothing would be recommended instead of 16 experts."),
    ],
)
def test_a_sentence_says_how_far_the_count_depends_on_throughput(choice, says):
    known = {"baseline_choice": ("problem", [16]), "constant_mfu_choice": ("problem", [choice])}
    found = xr.Dataset(known, coords={"problem": ["loss_optimal"]}, attrs={"constant_mfu": 0.31})
    assert on_throughput(found, "loss_optimal") == says
    assert not on_throughput(found.drop_vars("constant_mfu_choice"), "loss_optimal")


@in_float64
def test_mfu_by_size_is_what_a_plan_trains_at_and_its_figure_shows_it(scenario):
    asked = with_counts(trained(scenario, **CLUSTER, days=2.0), COUNTS)
    found = mfu_by_size(asked, n_dense=[1e9, 4e9, 1e13], draws=DRAWS)
    here = surface(asked)
    size = jnp.broadcast_to(jnp.log(jnp.array([1e9, 4e9])), (1, len(COUNTS), 2))
    plans = np.asarray(here.quantities(size, here.tokens(size)).train_mfu)
    np.testing.assert_allclose(found["train_mfu"].sel(quantile=0.5)[:, :2], np.median(plans, axis=0), rtol=1e-9)
    np.testing.assert_array_equal(found["p_fits"][:, 2], 0.0)
    assert found["train_mfu"][..., 2].isnull().all()
    measured = pd.DataFrame({"d_model": [4096.0, 7168.0], "num_experts": [1.0, 256.0], "mfu": [0.4, 0.2]})
    panels = plots.mfu_by_experts(found, measured).axes
    for count, axes, seen in zip(COUNTS, panels, [40.0, *[20.0] * (len(COUNTS) - 1)], strict=False):
        median, dots = axes.lines
        np.testing.assert_allclose(median.get_ydata(), 100.0 * found["train_mfu"].sel(quantile=0.5, num_experts=count))
        np.testing.assert_allclose(dots.get_ydata(), [seen])
    with pytest.raises(InputError, match=r"^training\.cluster_gpus: is needed to know how fast each size trains; give"):
        mfu_by_size(trained(scenario), n_dense=[1e9])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "training.budget_flop: is required; add it, or training.budget_usd, training.budget_gpu_hours, or training.cluster_gpus with training.days."),
        ({"days": 3.0}, "training.days: says for how long, and not on how many GPUs, found 3.0; add training.cluster_gpus, the GPUs of the run."),
        ({"budget_usd": 1e4, "budget_gpu_hours": 1e4}, "training.budget_gpu_hours: bounds the same as budget_usd; keep one of the two."),
    ],
)  # fmt: skip
def test_a_budget_that_is_none_or_two_is_refused_in_a_sentence(keys, says):
    with pytest.raises(InputError) as caught:
        Training(**keys)
    assert str(caught.value) == says
