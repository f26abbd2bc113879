"""Every planning problem equals brute force, draw by draw: the same feasibility, size and best expert count.

By default on ten draws and for problems that differ in kind; a sweep asks of all of them, on a hundred.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_up import made_up_fit
from oracle import abnar_loss, krajewski_loss, yun_loss
from oracle_problems import LARGEST, SMALLEST, Brute, dense_leverage, flat, loss_at, with_repeats
from scipy.optimize import minimize_scalar
from tiers import SWEEP

from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.planning.precision_draws import PrecisionDraws, shipped_precision_prior
from bayesmoe.planning.problems import all_problems, asked_problems, problem_named
from bayesmoe.specs import to_json

DRAWS, FEWER = range(0, 1600, 16), range(0, 1600, 160)
SIZE_RTOL, RTOL = 0.005, 0.001
STEP, JUMPS = 9e-5, 0.05
"""Last step of the search for a size, and the most answers in which a jump of the batch may lie within it."""
"""How far a size may lie from brute force (the demand on this project), and an objective."""


def changed(scenario, **sections):
    """The scenario with some values of some sections replaced; a section that is no spec is replaced itself."""
    parts = {
        name: dataclasses.replace(getattr(scenario, name), **values) if isinstance(values, dict) else values
        for name, values in sections.items()
    }
    return dataclasses.replace(scenario, **parts)


LIMITS = {
    "memory_limited": {"memory_bytes": 60e9, "cached_tokens": 1e5},
    "equal_resources": {"n_total_parameters": 2e10},
    "fixed_hardware": {"output_tokens_per_s": 10_000.0},
}


def asked(scenario, problem, **limits):
    """A scenario of one problem over three counts."""
    choices = {"num_experts": (1, 4, 16), "baseline_num_experts": 4}
    return changed(scenario, problems=(problem,), choices=choices, limits=LIMITS.get(problem, {}) | limits)


def law_of(scenario):
    """What brute force takes for the law: repeats are worth less than fresh tokens where data are limited."""
    unique = scenario.limits.unique_tokens
    return yun_loss if unique is None else with_repeats(yun_loss, unique)


SOLVED = {}


def solved(fit, scenario):
    """A plan and the surface of its only law; several questions are asked of one plan."""
    key = id(fit), to_json(scenario)
    if key not in SOLVED:
        (here,) = surfaces(fit, scenario).values()
        SOLVED[key] = plan(fit, scenario), here
    return SOLVED[key]


def require_same(found, here, brute, draws):
    """Assert feasibility, sizes, objectives and the best count, draw by draw; the share of draws in which something is feasible."""
    part = found.sel(problem=brute.problem)
    objective = part[problem_named(brute.problem).objective].values
    answers = [brute.answers(here.parameters, here.cost_draws, draw) for draw in draws]
    theirs = np.array([[one.n_dense for one in answer] for answer in answers]).T
    cost = np.array([[one.objective for one in answer] for answer in answers]).T
    ours, own = part["n_dense"].values[:, draws], objective[:, draws]
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs), err_msg="feasibility")
    off = np.abs(own / cost - 1.0)
    # Sizes agree to a step of the search; now and then a jump lies between them, where one request less fits.
    jump = (np.abs(ours / theirs - 1.0) < STEP) & (off > RTOL)
    assert np.mean(jump) <= JUMPS, "jumps"
    with np.errstate(divide="ignore"):
        allowed = np.where(jump, 1.0 / part["batch"].values[:, draws], RTOL)
    assert not (off > allowed).any(), f"objective {off}"
    best = (np.where(np.isfinite(each), each, np.inf).argmin(axis=0) for each in (own, cost))
    np.testing.assert_array_equal(*best, err_msg="best expert count")
    # Brute force looks at all there is: nothing is better.
    assert np.nanmin(own / cost, initial=1.0) > 1 - 1e-5, "objective"
    np.testing.assert_allclose(ours, theirs, rtol=SIZE_RTOL, err_msg="size")
    return float(np.isfinite(theirs).any(axis=0).mean())


@pytest.mark.parametrize(
    ("problem", "draws"),
    [
        pytest.param("memory_limited", FEWER, id="memory_limited, 10 draws"),
        *(pytest.param(one.name, DRAWS, id=f"{one.name}, 100 draws", marks=SWEEP) for one in all_problems),
    ],
)
def test_every_problem_equals_brute_force(small_fit, scenario, problem, draws):
    wanted = asked(scenario, problem)
    found, here = solved(small_fit, wanted)
    assert require_same(found, here, Brute(wanted, yun_loss, problem), draws) > 0.9


@pytest.mark.parametrize(
    ("problem", "quantization"),
    [
        ("lifetime_flop", "after training"),
        pytest.param("lifetime_flop", "trained", marks=SWEEP),
        *(pytest.param(name, "after training", marks=SWEEP) for name in ("cheapest_serving", "lowest_loss", "loss_optimal")),
    ],
)
def test_low_precision_equals_brute_force(small_fit, scenario, problem, quantization, monkeypatch):
    """Served in 8 bits that lose as much as four would: what is lost grows with tokens, and more may do harm; or trained for 8 bits."""
    prior = shipped_precision_prior()
    lossy = dataclasses.replace(prior, after_training=dataclasses.replace(prior.after_training, bits=9.0))
    monkeypatch.setattr("bayesmoe.planning.precision_draws.shipped_precision_prior", lambda: lossy)
    serving = {"precision": "fp8", "accelerator": "H100-SXM", "lifetime_tokens": 3e12, "bytes_per_kv_element": 1.0}
    wanted = asked(changed(scenario, serving={**serving, "quantization": quantization}), problem)
    found, (here,) = plan(small_fit, wanted, sketch=8), surfaces(small_fit, wanted, draws=8).values()
    drawn = here.cost_draws.precision
    assert (drawn.quantization is None, drawn.ln_size_kept is None) == (quantization == "trained", quantization != "trained")
    brute = Brute(wanted, yun_loss, problem)
    assert require_same(found, here, brute, range(8)) > 0.9
    without = dataclasses.replace(here, cost_draws=here.cost_draws._replace(precision=PrecisionDraws()))
    with pytest.raises(AssertionError):
        require_same(found, without, brute, range(8))


@pytest.mark.few(0, slow=4)
@pytest.mark.parametrize(
    ("problem", "twin"),
    [
        ("memory_limited", {"memory_bytes": 63e9}),
        ("lifetime_cost", {"loss_nats": 2.2}),
        ("lifetime_flop", {"loss_nats": 2.2}),
        ("cheapest_serving", {"loss_nats": 2.2}),
        ("equal_resources", {"n_total_parameters": 2.1e10}),
        ("fixed_hardware", {"output_tokens_per_s": 12_000.0}),
        ("lowest_loss", {"serving_usd_per_million_tokens": 0.2}),
        ("loss_optimal", {"unique_tokens": 1e11, "max_epochs": 1.0}),
    ],
)
def test_brute_force_of_other_limits_is_told_apart(small_fit, scenario, problem, twin):
    found, here = solved(small_fit, asked(scenario, problem))
    with pytest.raises(AssertionError):
        require_same(found, here, Brute(asked(scenario, problem, **twin), yun_loss, problem), draws=FEWER)


class ServesTwice(Brute):
    """Serves twice as many tokens in all."""

    def answers(self, parameters, costs, draw):
        return super().answers(parameters, costs._replace(lifetime_tokens=2.0 * costs.lifetime_tokens), draw)


class CountsNoPrompt(Brute):
    """Spends no FLOP on prompts."""

    def answers(self, parameters, costs, draw):
        serving = costs.serving
        traffic = serving.traffic._replace(prompt_tokens=1e-9 * serving.traffic.prompt_tokens)
        return super().answers(parameters, costs._replace(serving=serving._replace(traffic=traffic)), draw)


class PaysMore(Brute):
    """Has five percent more money to train."""

    def budget(self, cost):
        return 1.05 * super().budget(cost)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "twin"),
    [
        ("lifetime_cost", ServesTwice),
        ("lifetime_flop", ServesTwice),
        ("lifetime_flop", CountsNoPrompt),
        ("efficiency_leverage", PaysMore),
        ("cheapest_serving", PaysMore),
    ],
)
def test_brute_force_of_other_rules_is_told_apart(small_fit, scenario, problem, twin):
    wanted = asked(scenario, problem)
    found, here = solved(small_fit, wanted)
    with pytest.raises(AssertionError):
        require_same(found, here, twin(wanted, yun_loss, problem), draws=FEWER)


@pytest.mark.few(0, slow=3)
@pytest.mark.parametrize(
    ("problem", "limits"),
    [
        ("lifetime_flop", {"unique_tokens": 5e11, "loss_nats": 2.2}),
        ("lowest_loss", {"serving_usd_per_million_tokens": 0.2}),
        ("lowest_loss", {"unique_tokens": 1e11, "max_epochs": 2.0}),
        ("lifetime_cost", {"loss_nats": 2.2}),
        ("cheapest_serving", {"loss_nats": 2.2}),
        ("loss_optimal", {"unique_tokens": 1e11}),
        ("lifetime_flop", {"unique_tokens": 4e12}),
    ],
)
def test_limits_that_are_given_equal_brute_force(small_fit, scenario, problem, limits):
    wanted = asked(scenario, problem, **limits)
    found, here = solved(small_fit, wanted)
    assert require_same(found, here, Brute(wanted, law_of(wanted), problem), draws=FEWER) > 0.5


@pytest.mark.slow
def test_constraints_of_the_user_equal_brute_force(small_fit, scenario):
    wanted = asked(scenario, "loss_optimal", constraints=("n_total <= 20e9", "tokens / n_active >= 60 and n_gpus <= 4"))
    found, here = solved(small_fit, wanted)

    def by_hand(q):
        return (q["n_total"] <= 20e9) & (q["tokens"] / q["n_active"] >= 60) & (q["n_gpus"] <= 4)

    draws = FEWER
    assert require_same(found, here, Brute(wanted, yun_loss, "loss_optimal", constraint=by_hand), draws) > 0.9
    with pytest.raises(AssertionError):
        require_same(found, here, Brute(wanted, yun_loss, "loss_optimal"), draws)


@pytest.mark.slow
def test_a_data_limit_binds_and_more_epochs_loosen_it(small_fit, scenario):
    wanted = asked(scenario, "loss_optimal", unique_tokens=5e10, max_epochs=2.0)
    found, here = solved(small_fit, wanted)
    # Many sizes would be trained on more tokens than there are, and some on fewer.
    assert 0.3 < float((found["tokens"] > 0.999e11).mean()) < 0.99
    assert float(found["tokens"].max()) <= 1e11 * (1 + 1e-6)
    np.testing.assert_allclose(found["epochs"], found["tokens"] / 5e10, rtol=1e-12)
    assert require_same(found, here, Brute(wanted, law_of(wanted), "loss_optimal"), FEWER) > 0.9
    twin = asked(scenario, "loss_optimal", unique_tokens=5e10, max_epochs=2.2)
    with pytest.raises(AssertionError):
        require_same(found, here, Brute(twin, law_of(twin), "loss_optimal"), FEWER)


@pytest.mark.parametrize("epochs", [2.0, 40.0])
def test_limited_data_trade_epochs_against_size_as_brute_force_says(small_fit, scenario, epochs):
    """Repeats are worth less than fresh tokens and more than none: a larger model on fewer passes than if all were fresh."""
    wanted = asked(scenario, "loss_optimal", unique_tokens=3e10, max_epochs=epochs)
    found, here = solved(small_fit, wanted)
    draws = range(0, 1600, 400)
    assert require_same(found, here, Brute(wanted, law_of(wanted), "loss_optimal"), draws) > 0.9
    with pytest.raises(AssertionError):
        require_same(found, here, Brute(wanted, yun_loss, "loss_optimal"), draws)


@pytest.mark.slow
def test_repeats_move_a_plan_from_passes_to_size_and_cost_loss(small_fit, scenario):
    few, fresh = (asked(scenario, "loss_optimal", **limits) for limits in ({"unique_tokens": 3e10}, {}))
    limited, free = (solved(small_fit, one)[0].sel(problem="loss_optimal", num_experts=4) for one in (few, fresh))
    assert float((limited["loss"] > free["loss"]).mean()) > 0.99
    assert float(limited["n_dense"].median()) > 1.1 * float(free["n_dense"].median())
    assert 1.5 < float(limited["epochs"].median()) < float(free["tokens"].median()) / 3e10


@pytest.mark.few(0, slow=2)
@pytest.mark.parametrize("problem", ["loss_optimal", "equal_resources", "cheapest_serving", "lowest_loss", "lifetime_flop"])
def test_a_budget_in_usd_equals_brute_force(small_fit, scenario, problem):
    wanted = changed(asked(scenario, problem), training={"budget_flop": None, "budget_usd": 8000.0})
    found, here = solved(small_fit, wanted)
    spent = found["train_usd"].values
    if problem_named(problem).spends_budget:
        np.testing.assert_allclose(spent[np.isfinite(spent)], 8000.0, rtol=1e-9)
    assert require_same(found, here, Brute(wanted, yun_loss, problem), FEWER) > 0.9
    with pytest.raises(AssertionError):
        require_same(found, here, PaysMore(wanted, yun_loss, problem), FEWER)


def over_training(brute, p, count, tokens, spent_flop):
    """Tokens over those of the lowest loss at the FLOP spent, by SciPy."""
    oracle = next(oracle for number, oracle in brute.candidates() if number == count)

    def at(x):
        n_dense = np.exp(x)
        return float(loss_at(oracle, p, n_dense, spent_flop / oracle.flop_per_token(n_dense, count), count))

    found = minimize_scalar(at, bounds=(SMALLEST, LARGEST), method="bounded", options={"xatol": 1e-8})
    return tokens * oracle.flop_per_token(np.exp(found.x), count) / spent_flop


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["lifetime_cost", "lifetime_flop"])
def test_over_training_at_a_target_is_relative_to_the_best_use_of_what_is_spent(small_fit, scenario, problem):
    wanted = asked(scenario, problem)
    found, here = solved(small_fit, wanted)
    part, brute = found.sel(problem=problem), Brute(wanted, yun_loss, problem)
    ratios, known, twins = [], [], []
    for draw in FEWER:
        p = {name: float(np.asarray(values)[draw]) for name, values in here.parameters.items()}
        for count in (1, 4, 16):
            one = part.sel(num_experts=count).isel(sample=draw)
            tokens, spent = float(one["tokens"]), float(one["train_flop"])
            ratios.append(float(one["over_training_ratio"]))
            known.append(over_training(brute, p, count, tokens, spent))
            twins.append(over_training(brute, p, count, tokens, wanted.training.budget_flop))
    np.testing.assert_allclose(ratios, known, rtol=1e-3)
    # Relative to the budget it would be another number, except in draws that happen to spend about the budget.
    assert np.median(np.abs(np.log(np.divide(twins, known)))) > 0.02


@pytest.mark.few(0, slow=1)
@pytest.mark.parametrize("problem", ["cheapest_serving", "lowest_loss"])
def test_choices_of_a_law_that_reads_granularity_equal_brute_force(scenario, problem):
    fit = made_up_fit("krajewski", {"n_total": 4e9, "tokens": 4e10, "granularity": 2.0, "num_experts": 8.0})
    choices = {"num_experts": (1, 8, 16), "baseline_num_experts": 8, "granularity": (1.0, 2.0, 4.0)}
    wanted = changed(scenario, choices=choices, problems=(problem,))
    found, here = solved(fit, wanted)
    brute = Brute(wanted, krajewski_loss, problem, "n_total", of_family=True)
    assert require_same(found, here, brute, range(0, 1000, 100)) > 0.9
    # Two of the three granularities only.
    fewer = changed(wanted, choices={"granularity": (1.0, 2.0)})
    with pytest.raises(AssertionError):
        require_same(found, here, Brute(fewer, krajewski_loss, problem, "n_total", of_family=True), range(0, 1000, 100))


@pytest.mark.few(0, slow=1)
@pytest.mark.parametrize("problem", ["loss_optimal", "lowest_loss"])
def test_choices_of_top_k_and_granularity_equal_brute_force(scenario, problem):
    run = {"n_total": 4e9, "tokens": 4e10, "activation_ratio": 0.25, "num_experts": 8.0}
    fit = made_up_fit("abnar", run)
    choices = {"num_experts": (1, 8, 16), "baseline_num_experts": 8, "top_k": (1, 2, 8), "granularity": (1.0, 2.0)}
    wanted = changed(scenario, choices=choices, problems=(problem,))
    found, here = solved(fit, wanted)
    draws = range(0, 1000, 100)
    brute = Brute(wanted, abnar_loss, problem, "n_total", of_family=True)
    assert require_same(found, here, brute, draws) > 0.9
    part = found.sel(problem=problem)
    for column, draw in enumerate(draws):
        for row, one in enumerate(brute.answers(here.parameters, here.cost_draws, draw)):
            ours = part["top_k"].values[row, draw], part["granularity"].values[row, draw]
            assert np.isnan(one.top_k) or ours == (one.top_k, one.granularity), (column, row)
    assert len(np.unique(found["top_k"].sel(num_experts=16).values)) > 1


@pytest.mark.slow
def test_leverage_is_the_dense_compute_of_equal_loss(small_fit, scenario):
    wanted = asked(scenario, "efficiency_leverage")
    found, here = solved(small_fit, wanted)
    part, brute = found.sel(problem="efficiency_leverage"), Brute(wanted, yun_loss, "efficiency_leverage")
    np.testing.assert_allclose(part["efficiency_leverage"].sel(num_experts=1), 1.0, rtol=1e-3)
    # The most leverage is the lowest loss.
    assert (part["efficiency_leverage"].argmax("num_experts") == part["loss"].argmin("num_experts")).all()
    costs = flat(here.cost_draws)
    for draw in range(0, 1600, 100):
        p = {name: float(np.asarray(values)[draw]) for name, values in here.parameters.items()}
        cost = {name: float(values[draw][0]) for name, values in costs.items()}
        for count in (4, 16):
            one = part.sel(num_experts=count).isel(sample=draw)
            known = dense_leverage(brute, p, cost, float(one["loss"]), float(one["train_flop"]))
            assert float(one["efficiency_leverage"]) == pytest.approx(known, rel=0.01)
            assert float(one["efficiency_leverage"]) != pytest.approx(1.05 * known, rel=0.01)


@pytest.mark.few(0, slow=3)
@pytest.mark.parametrize(
    ("problem", "loose"),
    [
        ("lowest_loss", {"limits": {"serving_usd_per_million_tokens": 0.25}}),
        ("loss_optimal", {"training": {"budget_flop": 6e21}}),
        ("cheapest_serving", {"limits": {"loss_nats": 2.25}}),
        ("lifetime_cost", {"limits": {"loss_nats": 2.25}}),
        ("memory_limited", {"limits": {"memory_bytes": 80e9, "cached_tokens": 1e5}}),
        ("fixed_hardware", {"limits": {"output_tokens_per_s": 8000.0}}),
        ("loss_optimal", {"limits": {"unique_tokens": 2e11}}),
    ],
)
def test_a_looser_limit_never_hurts(small_fit, scenario, problem, loose):
    limits = {"lowest_loss": {"serving_usd_per_million_tokens": 0.2}, "cheapest_serving": {"loss_nats": 2.2}}
    limits |= {"lifetime_cost": {"loss_nats": 2.2}, "loss_optimal": {"unique_tokens": 1.5e11}}
    tight = asked(scenario, problem, **limits.get(problem, {}))
    before, after = (solved(small_fit, one)[0].sel(problem=problem) for one in (tight, changed(tight, **loose)))
    objective = problem_named(problem).objective
    assert (after["feasible"] | ~before["feasible"]).all()
    rise = (after[objective] / before[objective]).where(before["feasible"])
    assert float(rise.max()) <= 1 + 1e-6
    assert float(rise.min()) < 1 - 1e-4


UNLIMITED = tuple(one.name for one in all_problems if one.name not in LIMITS)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("lowest_loss", "loss_optimal"), UNLIMITED[::-1]], ids=["two", "all"])
def test_problems_are_solved_in_the_order_asked_and_once_each(small_fit, scenario, names):
    wanted = changed(scenario, choices={"num_experts": (1, 4)}, problems=names)
    assert [one.name for one in asked_problems(wanted)] == list(names)
    found = plan(small_fit, wanted, sketch=20)
    assert found["problem"].values.tolist() == list(names)
    assert all(problem_named(name).objective in found.data_vars for name in names)


def test_every_problem_names_its_source():
    assert all(one.source for one in all_problems)


@pytest.mark.slow
def test_an_average_of_variants_is_no_other_problem(small_fit, scenario):
    """The same architecture twice in another order of counts gives the same plan."""
    plain = asked(scenario, "loss_optimal")
    turned = changed(plain, choices={"num_experts": (16, 4, 1)})
    first, second = (solved(small_fit, one)[0] for one in (plain, turned))
    np.testing.assert_allclose(first["loss"], second["loss"].sel(num_experts=[1, 4, 16]), rtol=1e-12)
