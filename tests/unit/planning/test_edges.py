"""Plans at the edge: nothing feasible, one count, one draw, very many; each has a clear answer and JSON without NaN."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from oracle import yun_loss
from tiers import SWEEP, swept

from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.next_run import next_runs
from bayesmoe.decisions.risk import risk
from bayesmoe.decisions.run_plan import recommended_run
from bayesmoe.decisions.text import headline
from bayesmoe.documents import PlanDocument
from bayesmoe.errors import InputError
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.planning.problems import problem_named
from bayesmoe.planning.scenario import MOST_TOKENS_PER_PARAMETER
from bayesmoe.reporting import plan_text


def changed(scenario, **sections):
    """The scenario with some values of some sections replaced; a section that is no spec is replaced itself."""
    parts = {
        name: dataclasses.replace(getattr(scenario, name), **values) if isinstance(values, dict) else values
        for name, values in sections.items()
    }
    return dataclasses.replace(scenario, **parts)


def told(fit, scenario):
    """Plan, risk, and what is said of the only problem; the document is JSON."""
    found = plan(fit, scenario)
    decided = decide(found)
    PlanDocument.of(found, decided).as_json()
    part = decided.risk.sel(problem=scenario.problems[0])
    return found, part, headline(decided[0]), plan_text.per_draw(decided[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "limits"),
    [
        pytest.param("memory_limited", {"memory_bytes": 1e9, "constraints": ("n_active >= 1e10",)}, marks=SWEEP),
        ("cheapest_serving", {"loss_nats": 0.35}),
        pytest.param("lifetime_cost", {"loss_nats": 0.35}, marks=SWEEP),
        ("lowest_loss", {"serving_usd_per_million_tokens": 1e-5, "constraints": ("n_active >= 1e9",)}),
        pytest.param("loss_optimal", {"constraints": ("n_total < 1",)}, marks=SWEEP),
        pytest.param("equal_resources", {"n_total_parameters": 1e13, "constraints": ("n_gpus <= 8",)}, marks=SWEEP),
        ("fixed_hardware", {"output_tokens_per_s": 1e5, "constraints": ("n_active >= 1e13",)}),
        ("efficiency_leverage", {"unique_tokens": 1e9, "max_epochs": 1.0, "constraints": ("epochs > 1",)}),
    ],
)
def test_a_posterior_whose_every_draw_is_infeasible(small_fit, scenario, problem, limits):
    asked = changed(scenario, problems=(problem,), limits=limits)
    found, part, headline, decision = told(small_fit, asked)
    assert not found["feasible"].any()
    assert (int(part["per_draw_choice"]), int(part["recommended"]), float(part["p_any_feasible"])) == (0, 0, 0.0)
    np.testing.assert_array_equal(part["p_best"], 0.0)
    assert headline.startswith("No recommendation: no design meets the goal (")
    assert "The closest, " in headline
    assert headline.endswith(" tokens, does in 0%.")
    assert decision.startswith("No expert count meets the goal (")
    # No run is advised to a plan that cannot be.
    assert recommended_run(next_runs(small_fit, found)) is None


@pytest.mark.slow
def test_a_target_below_the_irreducible_loss_of_some_draws_fails_in_those_alone(small_fit, scenario):
    p = {name: np.ravel(values)[:, None] for name, values in landscape_of(small_fit, scenario).parameters.items()}
    # No size does better with the most tokens there can be; with one expert a token the active size is the backbone's.
    sizes = np.geomspace(1e6, 1e14, 2000)
    least = yun_loss(p, sizes, np.minimum(1e20, MOST_TOKENS_PER_PARAMETER * sizes), 16).min(axis=1)
    target = float(np.median(least))
    choices = {"num_experts": (4, 16), "baseline_num_experts": 4}
    asked = changed(scenario, problems=("lifetime_flop",), choices=choices, limits={"loss_nats": target})
    found, part, headline, _ = told(small_fit, asked)
    clear = np.abs(least / target - 1.0) > 1e-4
    feasible = found["feasible"].sel(problem="lifetime_flop", num_experts=16).values
    np.testing.assert_array_equal(feasible[clear], (least <= target)[clear])
    assert 0.4 < float(part["p_feasible"].sel(num_experts=16)) < 0.6
    assert headline.startswith(f"No recommendation: no design meets the goal (at or below {target:g} nats per token)")


def landscape_of(fit, scenario):
    """The surface of a fit of one law."""
    (found,) = surfaces(fit, scenario).values()
    return found


@pytest.mark.parametrize("budget_flop", [1.0, 1e35])
def test_a_budget_of_the_wrong_unit_is_refused(small_fit, scenario, budget_flop):
    asked = changed(scenario, problems=("cheapest_serving",), training={"budget_flop": budget_flop})
    with pytest.raises(InputError, match=r"training\.budget_flop: is implausible"):
        plan(small_fit, asked)


def test_optima_at_the_end_of_the_sizes_doubt_the_budget(small_plan):
    none = dataclasses.replace(decide(small_plan, advice=False)[0], recommended_num_experts=None)
    outside, inside = (headline(dataclasses.replace(none, p_optimum_inside=share)) for share in (0.0, 1.0))
    assert outside.endswith("check the budget and its unit.")
    assert not inside.endswith("check the budget and its unit.")


@pytest.mark.slow
def test_one_expert_count_is_chosen_with_certainty(small_fit, scenario):
    choices = {"num_experts": (8,), "baseline_num_experts": 8}
    asked = changed(scenario, choices=choices, problems=("loss_optimal",))
    found, part, headline, _ = told(small_fit, asked)
    assert headline.startswith("Recommended: 8 experts, ")
    assert float(part["p_best"].item()) == 1.0
    assert float(part["expected_regret"].item()) == 0.0
    assert float(part["evpi_usd"]) >= 0.0
    assert set(next_runs(small_fit, found)["num_experts"].values) == {8}


@pytest.mark.slow
def test_the_dense_model_alone_has_no_leverage_over_itself(small_fit, scenario):
    choices = {"num_experts": (1,), "baseline_num_experts": 1}
    asked = changed(scenario, choices=choices, problems=("efficiency_leverage",))
    found, part, headline, decision = told(small_fit, asked)
    np.testing.assert_allclose(found["efficiency_leverage"], 1.0, rtol=1e-3)
    assert headline.startswith("Recommended: dense, ")
    assert decision.startswith("Dense, ")
    assert "No other count is within the tolerance." in decision
    assert float(part["p_best"].item()) == 1.0


def thinned(fit, draws):
    """The fit with some of its draws, by number."""
    found = fit.copy()
    posterior = fit["posterior"].to_dataset()
    found["posterior"] = xr.DataTree(posterior.isel(chain=[0], draw=draws))
    return found


@pytest.mark.slow
def test_one_draw_is_a_plan_without_doubt(small_fit, scenario):
    found, part, headline, _ = told(thinned(small_fit, [7]), changed(scenario, problems=("lowest_loss",)))
    assert found.sizes["sample"] == 1
    assert headline.startswith("Recommended: ")
    assert set(part["p_best"].values) == {0.0, 1.0}
    assert float(part["evpi_usd"]) == 0.0
    np.testing.assert_array_equal(part["loss"].sel(quantile=0.05), part["loss"].sel(quantile=0.95))


@pytest.mark.slow
@pytest.mark.sweep
def test_many_draws_say_what_fewer_say(small_fit, scenario):
    """A hundred thousand draws, which repeat the same four hundred: the bands are theirs, up to the draws of costs."""
    asked = changed(scenario, problems=("lowest_loss",), choices={"num_experts": (4, 16)})
    few = thinned(small_fit, range(400))
    many = few.copy()
    many["posterior"] = xr.DataTree(xr.concat([few["posterior"].to_dataset()] * 250, "draw"))
    found, part, headline, _ = told(many, asked)
    _, less, *_ = told(few, asked)
    assert found.sizes["sample"] == 100_000
    assert headline.startswith(f"Recommended: {int(less['recommended'])} experts, ")
    np.testing.assert_allclose(part["loss"], less["loss"], rtol=0.01)
    np.testing.assert_allclose(part["p_best"], less["p_best"], atol=0.05)


def peak_bytes():
    """Most memory that this process held since it was last told to forget; skips where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pytest.skip("the system does not tell a process's peak")


def forget_peak():
    """Count the peak anew; skips where the system does not let one."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pytest.skip("the system does not forget a process's peak")


@pytest.mark.slow
def test_many_draws_take_bounded_memory(small_fit, scenario):
    """Every problem of the shipped scenario, over all five counts."""
    few = thinned(small_fit, range(400))
    many = few.copy()
    many["posterior"] = xr.DataTree(xr.concat([few["posterior"].to_dataset()] * 250, "draw"))
    forget_peak()
    before = peak_bytes()
    found = plan(many, scenario)
    risk(found)
    assert found.sizes["sample"] == 100_000
    assert peak_bytes() - before < 3e9


TIGHT = {
    "loss_optimal": ("training", "budget_flop"),
    "memory_limited": ("limits", "memory_bytes"),
    "lowest_loss": ("limits", "serving_usd_per_million_tokens"),
    "cheapest_serving": ("limits", "loss_nats"),
    "lifetime_flop": ("limits", "loss_nats"),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", swept(range(3), keep=lambda seed: seed == 1))
@pytest.mark.parametrize("problem", TIGHT)
def test_loosening_what_binds_never_hurts_in_any_scenario(small_fit, scenario, problem, seed):
    rng = np.random.default_rng((seed, list(TIGHT).index(problem)))
    section, name = TIGHT[problem]
    drawn = {
        "memory_bytes": 10.0 ** rng.uniform(10, 11.5),
        "serving_usd_per_million_tokens": 10.0 ** rng.uniform(-1, 0),
        "loss_nats": rng.uniform(2.1, 2.5),
        "budget_flop": 10.0 ** rng.uniform(20.5, 22.5),
    }
    tight = changed(
        scenario,
        problems=(problem,),
        training={"budget_flop": float(drawn["budget_flop"])},
        serving={"max_gpus": int(rng.integers(1, 9))},
        choices={"num_experts": (1, 4, 16), "baseline_num_experts": 4},
        seed=seed,
    )
    value = float(drawn[name])
    tight = changed(tight, **{section: {name: value}})
    loose = changed(tight, **{section: {name: value * (1.01 if name == "loss_nats" else 1.5)}})
    before, after = (plan(small_fit, one).sel(problem=problem) for one in (tight, loose))
    assert (after["feasible"] | ~before["feasible"]).all()
    objective = problem_named(problem).objective
    rise = (after[objective] / before[objective]).where(before["feasible"], 1.0)
    assert float(rise.max()) <= 1 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", swept(range(4), keep=lambda seed: seed == 0))
def test_invariants_hold_for_any_scenario(small_fit, scenario, seed):
    rng = np.random.default_rng(seed)
    problems = ("cheapest_serving", "lowest_loss", "lifetime_cost")
    asked = changed(
        scenario,
        problems=problems,
        training={"budget_flop": float(10.0 ** rng.uniform(19, 24))},
        serving={"max_gpus": int(rng.integers(1, 9)), "lifetime_tokens": float(10.0 ** rng.uniform(9, 14))},
        choices={"num_experts": (1, 4, 16), "baseline_num_experts": int(rng.choice([1, 4, 16]))},
        seed=seed,
    )
    found = plan(small_fit, asked)
    summary = risk(found)
    np.testing.assert_allclose(summary["p_best"].sum("num_experts"), summary["p_any_feasible"], atol=1e-12)
    assert not (summary["expected_regret"] < 0).any()
    assert not (summary["design_regret_usd"] < 0).any()
    assert not (summary["evpi_usd"] < 0).any()
    # The choice to sign loses at least what the best option does, which is the value of perfect information.
    assert not (summary["design_regret_usd"].min("num_experts") < summary["evpi_usd"] * (1 - 1e-6)).any()
    for problem in problems:
        runs = next_runs(small_fit, found, problem=problem)
        assert float(runs["evsi_usd"].min()) >= 0.0
        assert float(runs["evsi_usd"].max()) <= float(runs["evpi_usd"])
