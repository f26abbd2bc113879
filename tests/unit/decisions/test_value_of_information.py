"""The value of information equals what is known in closed form and what nested simulation says, and is nothing where nothing is learned."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayesmoe.decisions.value_of_information import Stakes, Worth, batches, evppi, perfect, sample, stakes, together, which

DRAWS = 20_000
SURE = 4.0
"""Standard errors within which an estimate must lie: wrong once in 16,000."""


def of_costs(*options):
    """Stakes of options from what each costs in each draw."""
    return stakes(xr.DataArray(np.stack(options), dims=("option", "sample")))


def gaussian(a: float, b: float) -> float:
    """``E[max(0, -(a z + b))]``, z standard normal: what may be saved by an option that costs ``a z + b`` more."""
    return float(a * stats.norm.pdf(b / a) - b * stats.norm.cdf(-b / a))


# An outcome that changes the choice in one case of a thousand is worth a 15,000th of the spread: too rare for 20,000 draws.
@pytest.mark.parametrize(
    ("dearer", "noise"), [(0.0, 0.3), (0.0, 1.0), (0.0, 3.0), (0.3, 0.3), (0.3, 1.0), (0.3, 3.0), (1.0, 0.3), (1.0, 1.0)]
)
def test_a_gaussian_case_in_closed_form(dearer, noise):
    """Costs linear in a normal number, and a normal observation of it (Raiffa and Schlaifer 1961, section 5.3)."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(DRAWS)
    of = of_costs(np.zeros(DRAWS), z + dearer)
    assert of.evpi_usd == pytest.approx(gaussian(1.0, dearer), abs=SURE / np.sqrt(DRAWS))
    everything = perfect(of, np.exp(z))
    assert everything.usd == pytest.approx(of.evpi_usd, rel=0.03)
    seen = z + noise * rng.standard_normal(DRAWS)
    found, known = sample(of, seen[:, None]), gaussian(1.0 / np.sqrt(1.0 + noise**2), dearer)
    assert abs(found.usd - known) < SURE * found.se_usd + 0.01 * known
    assert 0.0 <= found.usd <= of.evpi_usd


def test_twice_the_noise_is_told_apart():
    """The broken twin: an observation that is noisier than is said."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(DRAWS)
    found = sample(of_costs(np.zeros(DRAWS), z + 0.3), (z + 2.0 * rng.standard_normal(DRAWS))[:, None])
    known = gaussian(1.0 / np.sqrt(2.0), 0.3)
    assert abs(found.usd - known) > SURE * found.se_usd + 0.01 * known


def curved(theta):
    """Costs of three options, curved in two numbers."""
    one, two = theta
    return np.stack([0.0 * one, 0.4 + one + 0.3 * two**2 - 0.5, 0.2 - 0.8 * one + 0.5 * np.sin(2.0 * two)])


def outcome(theta):
    """What a run would show, without noise."""
    one, two = theta
    return np.exp(-0.5 * one) + 0.3 * two


def nested(scale: float, df: float, outer: int = 1500, inner: int = 20_000) -> float:
    """EVSI by two layers: for each outcome, draws of the prior are weighted by their likelihood."""
    rng = np.random.default_rng(1)
    theta = rng.standard_normal((2, inner))
    costs, told = curved(theta), outcome(theta)
    seen = outcome(rng.standard_normal((2, outer))) + scale * rng.standard_t(df, outer)
    least = []
    for one in seen:
        weight = stats.t.pdf((one - told) / scale, df)
        least.append((costs @ (weight / weight.sum())).min())
    return float(costs.mean(axis=1).min() - np.mean(least))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [pytest.param(0.1, marks=pytest.mark.sweep), 0.5])
def test_regression_equals_nested_simulation(scale):
    rng = np.random.default_rng(2)
    theta = rng.standard_normal((2, DRAWS))
    of = of_costs(*curved(theta))
    found = sample(of, (outcome(theta) + scale * rng.standard_t(5, DRAWS))[:, None])
    known = nested(scale, 5.0)
    # The outer layer's own error is 1.5 % here.
    assert found.usd == pytest.approx(known, abs=SURE * np.hypot(found.se_usd, 0.015 * known))
    other = nested(4.0 * scale, 5.0)
    assert found.usd != pytest.approx(other, abs=SURE * np.hypot(found.se_usd, 0.015 * other))


def test_nothing_learned_is_worth_nothing():
    rng = np.random.default_rng(3)
    z, noise = rng.standard_normal((2, 4000))
    of = of_costs(np.zeros(4000), z + 0.5, 0.7 - z)
    for found in (sample(of, noise[:, None]), perfect(of, noise), which(of, np.where(noise > 0, "a", "b"))):
        assert found.usd <= 0.02 * of.evpi_usd
    assert perfect(of, np.full(4000, 2.0)).usd == 0.0
    assert which(of, np.full(4000, "a")).usd == 0.0


def test_which_law_holds_is_worth_its_own_difference():
    rng = np.random.default_rng(4)
    law = rng.random(4000) < 0.3
    of = of_costs(np.zeros(4000), np.where(law, -1.0, 1.0))
    found = which(of, np.where(law, "one", "other"))
    assert found.usd == pytest.approx(law.mean(), rel=1e-9)
    assert found.usd == pytest.approx(of.evpi_usd, rel=1e-9)


def test_a_number_that_only_some_draws_have_tells_in_those_alone():
    rng = np.random.default_rng(5)
    z, has = rng.standard_normal(8000), rng.random(8000) < 0.5
    of = of_costs(np.zeros(8000), np.where(has, z, 3.0))
    found = perfect(of, np.where(has, z, np.nan))
    assert found.usd == pytest.approx(of.evpi_usd, rel=0.03)
    assert of.evpi_usd == pytest.approx(0.5 * gaussian(1.0, 0.0), rel=0.06)


@pytest.mark.parametrize("seed", range(20))
def test_no_information_is_worth_more_than_all_nor_less_than_none(seed):
    rng = np.random.default_rng(seed)
    draws = int(rng.integers(1, 300))
    costs = rng.standard_normal((int(rng.integers(1, 6)), draws)) * 10.0 ** rng.integers(-3, 9)
    of = of_costs(*costs)
    assert of.evpi_usd >= 0.0
    runs = costs[:1].T + rng.standard_normal((draws, 4))
    for found in (sample(of, runs), perfect(of, costs[0]), sample(of, runs[:, :1])):
        assert 0.0 <= found.usd <= of.evpi_usd


def test_draws_in_which_nothing_is_known_are_left_out():
    of = of_costs(np.array([0.0, 0.0, np.nan]), np.array([1.0, -1.0, 5.0]))
    assert of.kept.tolist() == [0, 1]
    assert of.evpi_usd == 0.5
    assert of_costs(np.full(3, np.nan), np.ones(3)).evpi_usd == 0.0


def test_a_batch_takes_what_adds_most_for_its_cost_and_never_loses_worth():
    rng = np.random.default_rng(6)
    one, two = rng.standard_normal((2, DRAWS))
    of = of_costs(np.zeros(DRAWS), one + two)
    runs = np.column_stack([one, one, two]) + 0.1 * rng.standard_normal((DRAWS, 3))
    found = batches(lambda numbers: sample(of, runs[:, numbers]), [0.01, 0.0, 0.02], 3)
    # The second sees the first number for nothing; the third alone sees the other; the first says the same again.
    assert [number for number, _ in found] == [1, 2, 0]
    worth = [each.usd for _, each in found]
    assert worth == sorted(worth)
    assert worth[1] == pytest.approx(gaussian(np.sqrt(2.0), 0.0), rel=0.03)
    assert worth[0] == pytest.approx(gaussian(1.0, 0.0), rel=0.03)


def test_options_that_are_never_best_are_left_out():
    z = np.random.default_rng(7).standard_normal(1000)
    of = of_costs(z, -z, np.full(1000, 9.0))
    assert of.excess.shape == (1000, 2)


def test_stakes_are_told_against_the_best_option():
    of = of_costs(np.array([3.0, 4.0]), np.array([1.0, 2.0]), np.array([0.0, 9.0]))
    assert isinstance(of, Stakes)
    np.testing.assert_array_equal(of.excess[:, 0], 0.0)
    assert of.evpi_usd == 0.5


def test_what_a_plan_would_gain_from_knowing_its_numbers(small_plan):
    found = evppi(small_plan)
    assert set(found["input"].values) == {*map(str, small_plan["input"].values), "law"}
    assert float(found["evppi_usd"].min()) >= 0.0
    # One law is known to hold.
    assert float(found["evppi_usd"].sel(input="law").max()) == 0.0
    cheapest = found["evppi_usd"].sel(problem="cheapest_serving")
    assert float(cheapest.sel(input="yun.gamma")) > 10 * float(cheapest.sel(input="training.mfu"))


def test_without_money_there_is_no_value(small_plan):
    assert not evppi(small_plan.drop_vars("lifetime_tokens"))


def test_knowledge_is_worth_to_two_decisions_what_it_is_to_each():
    assert together([Worth(3.0, 0.5), Worth(4.0, 0.25)]) == Worth(7.0, 0.75)
    assert together([Worth(3.0, 0.5)]) == Worth(3.0, 0.5)
