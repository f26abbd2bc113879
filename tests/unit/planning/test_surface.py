"""The surface: the budget is kept, optima are the closed forms, draws are the group's own, and costs are as uncertain as told."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from made_up import write_info
from oracle import flat

from bayesmoe.architecture import Family
from bayesmoe.costs.draws import latency_of
from bayesmoe.costs.serving.calibration import read_calibration
from bayesmoe.costs.uncertain import UncertainShare
from bayesmoe.errors import InputError
from bayesmoe.inference.spec import DataSpec, FitSpec, GroupSpec, LawSpec
from bayesmoe.inference.store import FitInfo
from bayesmoe.laws import Reference, all_laws, law_named
from bayesmoe.laws.forms.clark import Clark
from bayesmoe.laws.forms.yun import Yun
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.cost_draws import sample_costs
from bayesmoe.planning.scenario import Candidate, in_group
from bayesmoe.planning.surface import DesignSurface


def surface(fit, scenario):
    """The surface of a fit of one law."""
    (found,) = surfaces(fit, scenario).values()
    return found


ILLUSTRATIVE = Yun.published[0].coefficients
CLARK = Clark.published[0].coefficients


def with_training(scenario, **values):
    """The scenario with another training section."""
    return dataclasses.replace(scenario, training=dataclasses.replace(scenario.training, **values))


def at(scenario, law, coefficients, counts, *, fixed_tokens=None, family=None):
    """One draw of known coefficients."""
    parameters = {name: jnp.array([value]) for name, value in coefficients.items()}
    family = family or scenario.architecture.family()
    candidates = tuple(Candidate(count, family.top_k, family.granularity) for count in counts)
    latency, budget = latency_of(scenario.serving), scenario.training.budget_flop
    return DesignSurface(
        law, parameters, candidates, family, scenario, fixed_tokens, sample_costs(scenario, 1), latency, budget
    )


@pytest.mark.parametrize(
    ("d", "num_experts", "train_flop", "n_opt", "rtol"),
    [
        (0.0, 8, 2.12e21, 3400044144.02, 1e-6),
        (0.0, 8, 5.96e21, 5877276657.49, 1e-6),
        (1e-4, 1, 2.12e21, 3372790381.67, 1e-5),
        (1e-4, 8, 2.12e21, 3362506536.52, 1e-5),
        (1e-4, 32, 2.12e21, 3350129909.96, 1e-5),
    ],
)
def test_the_loss_optimum_is_the_papers_first_order_condition(scenario, d, num_experts, train_flop, n_opt, rtol):
    """Golden values of the illustrative set matched to arXiv:2404.02852, with C = 6 N D."""
    asked = with_training(scenario, budget_flop=train_flop, flop_rule="6 n_dense tokens")
    here = at(asked, Yun(interaction="paper"), {**ILLUSTRATIVE, "d": d}, [num_experts])
    assert np.exp(here.loss_optimal()).item() == pytest.approx(n_opt, rel=rtol)


@pytest.mark.parametrize("counts", [[1], [4, 8, 32]])
@pytest.mark.parametrize("family", [Family(), Family(top_k=6.0, granularity=4.0, shared_experts=2.0, moe_share=0.5)])
def test_without_interaction_the_optimum_is_chinchillas(scenario, counts, family):
    asked = with_training(scenario, budget_flop=1e21)
    found = np.exp(at(asked, Yun(), ILLUSTRATIVE, counts, family=family).loss_optimal())[0]
    p = ILLUSTRATIVE
    for size, count in zip(found, counts, strict=True):
        product = 1e21 / 6.0 / family.active_ratio(count)
        ratio = p["alpha"] * p["A"] / (p["gamma"] * p["C"])
        assert size == pytest.approx((ratio * product ** p["gamma"]) ** (1 / (p["alpha"] + p["gamma"])), rel=1e-9)


@pytest.mark.parametrize("rule", ["6 n_active tokens", "6 n_dense tokens"])
def test_tokens_times_flop_a_token_is_the_budget(scenario, rule):
    asked = with_training(scenario, budget_flop=3e21, flop_rule=rule)
    family = Family(top_k=2.0)
    here = at(asked, Yun(), ILLUSTRATIVE, [1, 8], family=family)
    size = np.array([[2e9, 3e9]])
    tokens = np.asarray(here.tokens(jnp.log(size)))
    used = size * ([[1.0, 4.0 / 3.0]] if rule == "6 n_active tokens" else 1.0)
    np.testing.assert_allclose(6.0 * used * tokens, 3e21, rtol=1e-12)
    np.testing.assert_allclose(here.flop_per_token(jnp.log(size)) * tokens, 3e21, rtol=1e-12)


@pytest.mark.parametrize("size", ["n_dense", "n_active", "n_total"])
def test_the_law_reads_its_own_size(scenario, size):
    family = Family()
    here = at(scenario, Yun(size=size), ILLUSTRATIVE, [8], family=family)
    ratio = {"n_dense": 1.0, "n_active": 4.0 / 3.0, "n_total": 1.0 + 7.0 / 3.0}[size]
    tokens = scenario.training.budget_flop / (6.0 * 4.0 / 3.0 * 2e9)
    told = Yun().loss(ILLUSTRATIVE, {"n_dense": 2e9 * ratio, "tokens": tokens, "num_experts": 8.0})
    assert here.loss(jnp.log(jnp.array([[2e9]]))).item() == pytest.approx(float(told), rel=1e-12)


def test_the_slope_is_the_derivative_along_the_budget(scenario):
    here = at(scenario, Yun(), ILLUSTRATIVE, [1, 8, 32])
    x, step = jnp.log(jnp.array([[1e9, 5e9, 2e10]])), 1e-5
    differences = (here.loss(x + step) - here.loss(x - step)) / (2 * step)
    np.testing.assert_allclose(here.loss_slope(x), differences, rtol=1e-6)


def test_without_tokens_the_budget_bounds_the_size(scenario):
    asked = with_training(scenario, budget_flop=6e20)
    here = at(asked, Clark(), CLARK, [1, 16], fixed_tokens=1e11, family=Family())
    _, high = here.brackets()
    np.testing.assert_allclose(np.exp(high), [[1e9, 1e9 * 3 / 4]], rtol=1e-12)
    np.testing.assert_allclose(here.loss_optimal(), high, rtol=1e-12)
    np.testing.assert_array_equal(here.tokens(high), [[1e11, 1e11]])
    np.testing.assert_allclose(here.flop_per_token(high) * here.tokens(high), 6e20, rtol=1e-12)


def test_the_draws_are_the_posteriors_own(small_fit, scenario):
    here = surface(small_fit, scenario)
    posterior = small_fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    assert set(here.parameters) == {"A", "alpha", "B", "beta", "C", "gamma", "F", "d", "N_c", "e_c", "e_start", "e_max"}
    for name, values in here.parameters.items():
        np.testing.assert_allclose(values, posterior[name].values, rtol=1e-9, err_msg=name)


def test_costs_are_as_uncertain_as_told(small_fit, scenario):
    costs = flat(surface(small_fit, scenario).cost_draws)
    draws, candidates = 1600, 5
    slowdown = np.log(costs["slowdown"])
    assert slowdown.shape == (draws, candidates)
    # What differs between models, of which five have 4/5 of the variance around their mean; the rest they share.
    own = (slowdown - slowdown.mean(axis=1, keepdims=True)).std()
    shipped = read_calibration()
    # A Student t, cut at five scales, varies by more than its scale.
    nu = shipped["nu"].values.ravel()[:, None]
    t = np.clip(np.random.default_rng(0).standard_t(nu, size=(len(nu), 100)), -5, 5).var()
    of_own = shipped["between_models"] ** 2 + shipped["by_cell"] ** 2 + t * shipped["within"] ** 2
    assert own == pytest.approx(np.sqrt(of_own.mean().item() * 4 / 5), rel=0.1)
    assert slowdown.std() > 1.1 * own
    assert abs(slowdown.mean()) < 0.05
    told = {
        "width_times_layers": (0.045, 0.15),
        "serving_price_usd_per_gpu_hour": (1.5, 0.2),
        "mfu": (0.4, 0.15),
        "training_price_usd_per_gpu_hour": (2.0, 0.2),
    }
    for name, (median, log_sd) in told.items():
        assert costs[name].shape == (draws, 1)
        assert np.median(costs[name]) == pytest.approx(median, rel=0.03)
        assert np.log(costs[name]).std() == pytest.approx(log_sd, rel=0.1)
    assert np.median(costs["utilization"]) == pytest.approx(0.5, rel=0.05)
    pairs = np.corrcoef(np.log(np.hstack([costs[name] for name in (*told, "utilization")])), rowvar=False)
    assert abs(pairs - np.eye(5)).max() < 0.15


def test_a_share_never_exceeds_one_and_a_plain_number_is_certain(small_fit, scenario):
    serving = dataclasses.replace(
        scenario.serving, utilization=UncertainShare(median=0.9, log_sd=0.5), price_usd_per_gpu_hour=3.0
    )
    costs = flat(surface(small_fit, dataclasses.replace(scenario, serving=serving)).cost_draws)
    assert float(costs["utilization"].max()) == 1.0
    assert (costs["serving_price_usd_per_gpu_hour"] == 3.0).all()


def test_the_seed_decides_the_cost_draws(small_fit, scenario):
    first, again, other = (
        flat(surface(small_fit, dataclasses.replace(scenario, seed=seed)).cost_draws) for seed in (0, 0, 1)
    )
    certain = {"prompt_tokens", "output_tokens", "kv_share"}
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).any() == (name not in certain)


def test_a_plan_has_no_exact_shape_to_count(small_fit, scenario):
    with pytest.raises(InputError, match=r"training\.flop_rule: needs an exact shape"):
        surfaces(small_fit, with_training(scenario, flop_rule="exact"))


TRAINED = ("first", "second", "third")


def grouped(*, tokens=(6.5e10, 2.6e11)):
    """A made-up fit of Clark's law to three routers that share their dense runs; known population and spreads."""
    rng = np.random.default_rng(3)
    chains, draws = 2, 3000
    scalars = {
        "loss_reference": 2.5 + 0.01 * rng.standard_normal((chains, draws)),
        "slope_size": 0.08 + 0.001 * rng.standard_normal((chains, draws)),
        "e_start": 1.9 + 0.0 * np.ones((chains, draws)),
        "e_above": 298.1 * np.ones((chains, draws)),
        "gain_population": 0.1 * np.exp(0.02 * rng.standard_normal((chains, draws))),
        "gain_spread": 0.3 * np.ones((chains, draws)),
        "interaction_population": 0.125 + 0.0125 * rng.standard_normal((chains, draws)),
        "interaction_spread": 0.025 * np.ones((chains, draws)),
        "noise_scale": 0.005 * np.ones((chains, draws)),
    }
    offsets = np.array([-0.2, 0.0, 0.3])
    groups = {
        "gain": 0.1 * np.exp(offsets + 0.02 * rng.standard_normal((chains, draws, 3))),
        "interaction": 0.125 + 0.125 * offsets + 0.00625 * rng.standard_normal((chains, draws, 3)),
    }
    posterior = xr.Dataset(
        {name: (("chain", "draw"), values) for name, values in scalars.items()}
        | {name: (("chain", "draw", "run_group"), values) for name, values in groups.items()},
        coords={"run_group": list(TRAINED)},
    )
    reference = xr.Dataset({"reference_n_dense": 3e8, "reference_num_experts": 1.0, "reference_gain_experts": 16.0})
    runs = reference if tokens is None else reference.assign(tokens=("run", np.array(tokens)))
    tree = xr.DataTree.from_dict({"posterior": posterior, "constant_data": runs})
    spec = FitSpec(data=DataSpec(file="runs.csv"), law=LawSpec(name="clark"), groups=GroupSpec(dense="Dense"))
    write_info(tree, spec, pooled=("gain", "interaction"))
    return tree


def test_a_named_group_has_its_own_draws(scenario):
    fit = grouped()
    posterior = fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    for name in TRAINED:
        here = surface(fit, in_group(scenario, name))
        own = {q: posterior[q].sel(run_group=name).values if "run_group" in posterior[q].dims else posterior[q].values for q in
               ("loss_reference", "slope_size", "gain", "interaction", "e_start", "e_above")}  # fmt: skip
        # At the reference run the coordinates are the loss itself and its fall to the gain expert count.
        run = {"n_dense": 3e8, "num_experts": np.array([1.0, 16.0])[:, None]}
        dense, routed = np.asarray(Clark().loss(here.parameters, run))
        np.testing.assert_allclose(dense, own["loss_reference"], rtol=1e-9)
        np.testing.assert_allclose(np.log(dense / routed), own["gain"], rtol=1e-9)
        larger = np.asarray(Clark().loss(here.parameters, {**run, "n_dense": 3e8 * np.e}))
        np.testing.assert_allclose(np.log(larger[0] / dense), -own["slope_size"], rtol=1e-9)
        np.testing.assert_allclose(
            np.log(larger[0] / larger[1]), own["gain"] - own["interaction"] * own["slope_size"], rtol=1e-8
        )
        assert here.fixed_tokens == pytest.approx(1.3e11, rel=1e-12)


def log_gains(scenario, group):
    """Draws of ln gain at the reference run."""
    here = surface(grouped(), in_group(scenario, group))
    dense, routed = np.asarray(Clark().loss(here.parameters, {"n_dense": 3e8, "num_experts": np.array([[1.0], [16.0]])}))
    return np.log(np.log(dense / routed))


def test_a_new_group_is_drawn_from_the_population(scenario):
    new = log_gains(scenario, "new")
    assert np.median(new) == pytest.approx(np.log(0.1), abs=0.02)
    assert new.std() == pytest.approx(np.hypot(0.02, 0.3), rel=0.05)


@pytest.mark.parametrize("group", TRAINED)
def test_a_new_group_is_less_certain_than_a_trained_one(scenario, group):
    assert log_gains(scenario, "new").std() > 3 * log_gains(scenario, group).std()


def test_a_new_groups_coordinates_vary_on_their_own(scenario):
    here = surface(grouped(), in_group(scenario, "new"))
    sizes = np.array([3e8, 3e8 * np.e])[:, None, None]
    losses = np.log(np.asarray(Clark().loss(here.parameters, {"n_dense": sizes, "num_experts": np.array([[1.0], [16.0]])})))
    gains = losses[:, 0] - losses[:, 1]
    assert abs(np.corrcoef(np.log(gains[0]), gains[0] - gains[1])[0, 1]) < 0.1


@pytest.mark.parametrize("group", [None, "fourth", ""])
def test_a_grouped_fit_needs_one_of_its_groups(scenario, group):
    with pytest.raises(InputError, match=r"choices\.group: must name a group.*first, second, third, or 'new'"):
        surface(grouped(), in_group(scenario, group))


@pytest.mark.parametrize("group", ["first", "new"])
def test_a_fit_without_groups_takes_none(small_fit, scenario, group):
    with pytest.raises(InputError, match=r"choices\.group: the fit has no groups"):
        surface(small_fit, in_group(scenario, group))


def refusal(small_fit, scenario, law):
    """What is said about planning on a fit of that law."""
    fit = small_fit.copy()
    info = FitInfo.read(fit)
    dataclasses.replace(info, spec=dataclasses.replace(info.spec, law=LawSpec(name=law))).write(fit)
    with pytest.raises(InputError) as caught:
        surface(fit, scenario)
    return str(caught.value)


@pytest.mark.parametrize("law", ["kaplan", "chinchilla", "gadre", "bian", "nested", "flame"])
def test_a_law_without_experts_cannot_choose_them(small_fit, scenario, law):
    assert refusal(small_fit, scenario, law) == (
        f"choices.num_experts: the law {law!r} has no expert term, so it cannot choose an expert count; "
        "fit a law with experts, such as yun, or leave it at the dense model: num_experts = [1]."
    )


@pytest.mark.parametrize("law", ["tian", "tian-leverage"])
def test_a_law_of_compute_alone_cannot_split_a_budget(small_fit, scenario, law):
    assert refusal(small_fit, scenario, law) == (
        f"law: the law {law!r} reads compute only, so it cannot split a budget between size and tokens, found {law!r}; "
        "fit a law with a size, such as yun."
    )


PLANNABLE = [kind() for kind in all_laws if kind().has_experts and not kind.name.startswith("tian")]


@pytest.mark.parametrize("law", PLANNABLE, ids=lambda law: law.name)
@pytest.mark.few(6)
def test_the_loss_optimum_of_every_law_is_the_lowest_loss_on_its_budget(scenario, law):
    family = Family(top_k=4.0, granularity=2.0, shared_experts=1.0, moe_share=0.5)
    run = {name: float(value) for name, value in family.run(1e9, 2e10, 8.0).items()}
    reference = Reference({name: run[name] for name in law.covariates}, 16.0)
    median = {c.name: c.to_support(c.mean) for c in law.coordinates}
    fixed = None if "tokens" in law.covariates else 2e11
    asked = with_training(scenario, budget_flop=1e21)
    here = at(asked, law, law.to_paper(median, reference), [1, 8, 64], fixed_tokens=fixed, family=family)
    optimum = jax.jit(here.loss_optimal)()
    low, high = here.brackets()
    grid = low + (high - low) * jnp.linspace(0.0, 1.0, 2001)[:, None, None]
    losses = jax.jit(jax.vmap(here.loss))(grid)
    best = jax.jit(here.loss)(optimum)
    assert (best <= losses.min(axis=0) + 1e-12).all()
    if fixed is None:
        assert ((optimum > low + 1) & (optimum < high - 1)).all()
    assert len(np.unique(best.round(9))) == 3


def test_a_law_without_tokens_needs_them_from_the_runs(scenario):
    with pytest.raises(InputError) as caught:
        surface(grouped(tokens=None), in_group(scenario, "first"))
    assert str(caught.value) == (
        "the law 'clark' has no tokens term and its runs have no tokens column; add tokens to the run table and refit."
    )


def test_a_law_without_experts_plans_the_dense_model(scenario):
    """Chinchilla's own optimum on a budget, where the dense model is the only choice."""
    choices = dataclasses.replace(scenario.choices, num_experts=(1,), baseline_num_experts=1)
    law = law_named("chinchilla")
    here = at(dataclasses.replace(scenario, choices=choices), law, law.coefficients("besiroglu"), [1])
    low, high = here.brackets()
    optimal = here.loss_optimal()
    assert bool(((optimal > low) & (optimal < high)).all())
