"""Money of fixed options by hand: what counts, what a broken bar costs, and where demand turns the choice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from bayesmoe.decisions.break_even import LEAST, break_even
from bayesmoe.decisions.recommendation import measures, recommendations
from bayesmoe.decisions.total_cost import evpi_usd, money, total_cost
from bayesmoe.planning.best_designs import best_designs
from bayesmoe.planning.scenario import ValueSpec
from bayesmoe.planning.store import PlanInfo

SERVING = "serving_usd_per_million_tokens"
COUNTS = (1, 8)


@pytest.fixture
def made(scenario):
    """A plan of one problem with four options, two of each count, in two draws; served 1e9 tokens, bars at loss 2.0 and USD 1."""

    def make(problem="cheapest_serving", *, loss, serving, train=100.0, met=True, usd_per_nat=None, objective=None):
        loss, serving = (np.array(values, dtype=float) for values in (loss, serving))
        train, met = (np.broadcast_to(values, loss.shape) for values in (train, met))
        own = {"cheapest_serving": serving, "lowest_loss": loss, "loss_optimal": loss}.get(problem, objective)
        each = {"objective": own, "loss": loss, SERVING: serving, "feasible": met}
        each |= {name: train.astype(float) for name in ("train_usd", "train_gpu_hours")}
        variables = {f"option_{name}": (("problem", "option", "sample"), values[None]) for name, values in each.items()}
        variables |= {f"option_{name}": (("problem", "option"), np.ones((1, 4))) for name in ("n_dense", "tokens")}
        variables |= {f"option_{name}": ("option", np.ones(4)) for name in ("top_k", "granularity")}
        variables["option_num_experts"] = ("option", np.repeat(COUNTS, 2))
        draws = loss.shape[1]
        per_draw = {"threshold_loss": 2.0, f"threshold_{SERVING}": 1.0, "lifetime_tokens": 1e9, "usd_per_nat": 500.0}
        variables |= {name: ("sample", np.full(draws, value)) for name, value in per_draw.items()}
        asked = dataclasses.replace(scenario, value=ValueSpec(usd_per_nat=usd_per_nat))
        plan = xr.Dataset(
            variables, coords={"problem": [problem], "num_experts": list(COUNTS), "law": ("sample", ["yun"] * draws)}
        )
        return PlanInfo(asked, "yun", "PASS", "mcmc", 0.0, "runs.csv", "0" * 64, False, "0" * 64).write(plan)

    return make


def total(plan):
    """Money of each option in each draw."""
    return money(plan).total.isel(problem=0).values


def test_serving_counts_for_all_tokens_and_loss_above_the_bar_at_its_worth(made):
    plan = made(loss=[[1.9, 2.1]] * 4, serving=[[1.0, 2.0]] * 4, usd_per_nat=1e4)
    np.testing.assert_allclose(total(plan), [[1000.0, 2000.0 + 0.1 * 1e4]] * 4)


def test_a_loss_counts_at_its_worth_and_serving_above_the_bar_in_full(made):
    plan = made("lowest_loss", loss=[[2.0, 2.1]] * 4, serving=[[0.5, 1.5]] * 4, usd_per_nat=1e4)
    np.testing.assert_allclose(total(plan), [[2.0e4, 2.1e4 + 500.0]] * 4)
    plan = made("loss_optimal", loss=[[2.0, 2.1]] * 4, serving=[[0.5, 1.5]] * 4, usd_per_nat=1e4)
    np.testing.assert_allclose(total(plan), [[2.0e4, 2.1e4]] * 4)


def test_a_life_counts_training_too(made):
    plan = made("lifetime_cost", loss=[[2.0, 2.0]] * 4, serving=[[1.0, 2.0]] * 4, objective=np.ones((4, 2)), usd_per_nat=1e4)
    np.testing.assert_allclose(total(plan), [[1100.0, 2100.0]] * 4)


def test_what_is_not_served_costs_as_much_as_the_worst_that_is(made):
    plan = made(loss=[[2.0, 2.0]] * 4, serving=[[1.0, np.nan], [2.0, 2.0], [3.0, 3.0], [np.nan, 1.0]])
    np.testing.assert_allclose(total(plan), [[1e3, 3e3], [2e3, 2e3], [3e3, 3e3], [3e3, 1e3]])


def test_without_a_worth_a_nat_is_worth_what_training_buys_it_for_or_what_the_bar_says(made):
    """The second option keeps the bar for USD 1,000 more; that it is the one to sign says that 0.1 nats are worth as much."""
    plan = made(loss=[[2.1] * 10, [2.0] * 10, [2.3] * 10, [2.2] * 10], serving=[[1.0] * 10, [2.0] * 10, [3.0] * 10, [4.0] * 10],
                met=[[False] * 10, [True] * 10, [False] * 10, [False] * 10])  # fmt: skip
    assert float(money(plan).usd_per_nat[0]) == pytest.approx(1e4)
    assert total(plan).mean(axis=1).argmin() in (0, 1)
    assert total(plan)[0, 0] == pytest.approx(total(plan)[1, 0])
    cheap = made(loss=[[2.0] * 2] * 4, serving=[[1.0] * 2] * 4)
    assert float(money(cheap).usd_per_nat[0]) == 500.0


def test_regret_and_perfect_information_by_hand(made):
    plan = made(loss=[[2.0, 2.0]] * 4, serving=[[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], [4.0, 1.0]])
    found = total_cost(plan).isel(problem=0)
    # The best fixed choice costs 2,000 in either draw; the best of each draw costs 1,000.
    assert float(found["evpi_usd"]) == pytest.approx(1000.0)
    np.testing.assert_allclose(found["design_regret_usd"], [1000.0, 1500.0])
    assert recommendations(plan)["recommended"].item() == 1
    assert best_designs(plan).values.tolist() == [[1, 3]]


def test_no_money_without_demand(made):
    plan = made(loss=[[2.0]] * 4, serving=[[1.0]] * 4).drop_vars("lifetime_tokens")
    assert money(plan) is None
    assert not total_cost(plan)
    assert not break_even(plan)


def test_perfect_information_is_never_worth_less_than_nothing():
    values = xr.DataArray(np.full((3, 5), 0.1) * np.arange(1, 4)[:, None] / 3, dims=("option", "sample"))
    assert float(evpi_usd(values)) == 0.0


def test_measures_by_hand():
    found = measures(xr.DataArray(np.arange(100.0)[None], dims=("option", "sample"))).isel(option=0)
    assert found.sel(measure="mean") == 49.5
    assert found.sel(measure="q95") == 95.0
    assert found.sel(measure="cvar95") == 97.0
    assert found.sel(measure="worst") == 99.0
    seldom = np.concatenate([np.ones(99), [np.nan]])
    found = measures(xr.DataArray(seldom[None], dims=("option", "sample"))).isel(option=0)
    assert found.sel(measure="mean") == found.sel(measure="q95") == 1.0
    assert np.isinf(found.sel(measure="worst"))


def test_the_surest_stands_in_where_none_is_sure_and_says_so(made):
    met = np.array([[True, False, False, False], [True, True, False, False], [False] * 4, [True] * 4])
    found = recommendations(made(loss=[[2.0] * 4] * 4, serving=[[1.0] * 4, [2.0] * 4, [3.0] * 4, [4.0] * 4], met=met)).isel(
        problem=0
    )
    np.testing.assert_allclose(found["design_p_feasible"], [0.5, 1.0])
    assert found["design_meets_probability"].values.tolist() == [False, True]
    assert int(found["recommended"]) == 8
    nothing = recommendations(made(loss=[[2.0] * 4] * 4, serving=[[1.0] * 4] * 4, met=np.zeros((4, 4), dtype=bool)))
    assert nothing["recommended_by_measure"].values.tolist() == [[0] * 4]


def test_demand_turns_the_choice_where_the_lines_cross(made):
    """Eight experts lose 0.1 nats less for 1e4 a nat, and cost USD 1 more a million tokens: even at 1e9 tokens."""
    plan = made(loss=[[2.1] * 3, [2.1] * 3, [2.0] * 3, [2.0] * 3], serving=[[1.0] * 3, [1.0] * 3, [2.0] * 3, [2.0] * 3],
                usd_per_nat=1e4)  # fmt: skip
    found = break_even(plan).isel(problem=0)
    assert found["num_experts_at_min_demand"] == 8
    assert (found["from_num_experts"].values.tolist(), found["to_num_experts"].values.tolist()) == ([8], [1])
    assert found["break_even_tokens"].item() == pytest.approx(1e9)
    np.testing.assert_allclose(found["break_even_tokens_band"].isel(change=0), 1e9, rtol=1e-2)


def test_a_draw_in_which_the_lines_do_not_cross_counts_as_never_or_always(made):
    loss = [[2.2, 2.2, 2.2]] * 2 + [[2.0, 2.0, 2.3]] * 2
    serving = [[1.0, 2.0, 1.0]] * 2 + [[2.0, 1.0, 2.0]] * 2
    found = break_even(made(loss=loss, serving=serving, usd_per_nat=1e4)).isel(problem=0)
    low, _, high = found["break_even_tokens_band"].isel(change=0).values
    # In the second draw eight experts are better at any demand, in the third dense is.
    assert (low, high) == (0.0, np.inf)
    assert found["break_even_tokens"] > LEAST


def test_nothing_sure_turns_nowhere(made):
    found = break_even(made(loss=[[2.0]] * 4, serving=[[1.0]] * 4, met=False)).isel(problem=0)
    assert found["num_experts_at_min_demand"] == 0
    assert found.sizes["change"] == 0
