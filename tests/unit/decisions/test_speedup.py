"""Speedup of one group of runs over another: closed forms, what must cancel, and what must not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_up import averaged_fit, grouped_fit, write_info
from scipy import stats
from seeds import seeded

import bayesmoe as bm
from bayesmoe.architecture import Family
from bayesmoe.decisions.recipe_losses import crossing, interpolated, recipe_losses
from bayesmoe.decisions.recipes import recipes
from bayesmoe.decisions.speedup import TIMES, verdict_of
from bayesmoe.decisions.speedup_runs import settled_after, settling_run
from bayesmoe.inference.shared_discrepancy import SharedDiscrepancy, discrepancies_of_groups
from bayesmoe.inference.store import FitInfo
from bayesmoe.runs.simulate import grid_of_runs

A = {"E": 1.8, "A": 482.0, "B": 2085.0, "alpha": 0.35, "beta": 0.37}
"""Besiroglu's coefficients, rounded."""

BUDGETS = (1e19, 1e21, 1e23)
N_GAIN, D_GAIN = 1.3, 0.9
"""B's parameters count as so many of A's, and its tokens: the closed form of its speedup is their product at any compute."""


def better(parameters, size=N_GAIN, tokens=D_GAIN):
    """Parameters of a recipe whose loss at (N, D) is the other's at (size N, tokens D)."""
    scaled = {"A": parameters["A"] * size ** -parameters["alpha"], "B": parameters["B"] * tokens ** -parameters["beta"]}
    return {**parameters, **scaled}


def runs_of(*groups, sizes=(2e7, 2e8, 1e9), ratios=(5.0, 20.0, 80.0), counts=(1,)):
    """Runs of each group on one grid."""
    frame = grid_of_runs(list(sizes), [1.0], list(counts), family=Family())
    every = pd.concat([frame.assign(tokens=ratio * frame["n_active"]) for ratio in ratios])
    every = every.select_dtypes("number").assign(train_flop=6.0 * every["n_active"] * every["tokens"])
    return pd.concat([every.assign(group=group) for group in groups], ignore_index=True)


@pytest.fixture(scope="module")
def fit():
    return grouped_fit("chinchilla", {"a": A, "b": better(A)}, runs_of("a", "b"))


def ln_speedup(fit, budgets=BUDGETS, of="b", over="a", seed=0, share=None):
    """ln s by draw and budget."""
    two = recipes(fit, of=of, over=over)
    draws = fit["posterior"].sizes["draw"] if "posterior" in fit.children else 4000
    ends = float(np.log(min(budgets))), float(np.log(max(budgets)))
    return recipe_losses(fit, two, ends, draws=draws, seed=seed, share=share).ln_speedup(np.log(np.array(budgets)))


def test_the_closed_form(fit) -> None:
    """L_B(N, D) = L_A(1.3 N, 0.9 D), so that what B has on C is what A has on 1.17 C."""
    np.testing.assert_allclose(np.exp(ln_speedup(fit)), N_GAIN * D_GAIN, rtol=1e-6)


def test_the_optimum_is_the_law_s_own(fit) -> None:
    """N* = G (C/6)^(beta/(alpha+beta)), G = (alpha A / (beta B))^(1/(alpha+beta)) (arXiv:2203.15556, Eq. 4)."""
    losses = recipe_losses(fit, recipes(fit, of="b", over="a"), (45.0, 50.0), draws=1, seed=0)
    power = A["alpha"] + A["beta"]
    size = (A["alpha"] * A["A"] / (A["beta"] * A["B"])) ** (1 / power) * (np.exp(losses.ln_flop) / 6) ** (A["beta"] / power)
    np.testing.assert_allclose(losses.ln_active["a"][0], np.log(size), atol=1e-6)


def test_equal_recipes_have_a_speedup_of_one() -> None:
    same = grouped_fit("chinchilla", {"a": A, "b": A}, runs_of("a", "b"))
    np.testing.assert_allclose(ln_speedup(same), 0.0, atol=1e-9)


def test_the_speedup_of_a_over_b_is_the_inverse_function() -> None:
    """From C, B's loss is A's at C s_BA(C); from there, A's is B's at C."""
    other = {**better(A, 1.5, 0.8), "alpha": 0.34, "E": 1.79}
    fit = grouped_fit("chinchilla", {"a": A, "b": other}, runs_of("a", "b"))
    for budget in BUDGETS:
        there = ln_speedup(fit, (budget,))[0, 0]
        back = ln_speedup(fit, (budget * np.exp(there),), of="a", over="b")[0, 0]
        assert abs(there) > 0.05
        assert there + back == pytest.approx(0.0, abs=1e-6)


def test_where_the_other_never_has_that_loss_the_speedup_is_infinite() -> None:
    lower = grouped_fit("chinchilla", {"a": A, "b": {**A, "E": 1.7}}, runs_of("a", "b"))
    assert np.isposinf(ln_speedup(lower, (1e26,))).all()
    assert np.isfinite(ln_speedup(lower, (1e18,))).all()
    assert (ln_speedup(lower, (1e26,), of="a", over="b") < -4.0).all()
    found = bm.speedup(lower, of="b", over="a", at=1e26)
    assert found.attrs["verdict"] == "PROMOTE"
    assert np.isposinf(found["speedup"].values[0]).all()
    assert np.isfinite(found["evpi"])


def many(count=400, seed=7):
    """Draws of a recipe that differ much, and the other's, which is better by the same factor in each."""
    rng = np.random.default_rng(seeded(seed))
    own = {name: value * np.exp(0.02 * rng.standard_normal(count)) for name, value in A.items()}
    own["E"] = A["E"] + 0.05 * rng.standard_normal(count)
    return own, better(own)


def test_draws_are_joint() -> None:
    own, other = many()
    together = ln_speedup(grouped_fit("chinchilla", {"a": own, "b": other}, runs_of("a", "b")))
    np.testing.assert_allclose(together, np.log(N_GAIN * D_GAIN), atol=1e-5)
    apart = {name: np.roll(value, 1) for name, value in other.items()}
    shuffled = ln_speedup(grouped_fit("chinchilla", {"a": own, "b": apart}, runs_of("a", "b")))
    assert np.ptp(np.clip(shuffled, -9.0, 9.0), axis=0).min() > 1.0


@pytest.mark.parametrize(("name", "gain"), [("made_up:ByCompute", 1.0), ("made_up:BySize", 1.0), ("made_up:ByTokens", 1.0)])
def test_a_law_of_one_thing_is_followed_along_it(name, gain) -> None:
    """B's C counts as 1.4 of A's; with the rest held, N or D is proportional to C, and so is the speedup."""
    own = {"E": 1.8, "A": 60.0, "alpha": 0.1}
    fit = grouped_fit(name, {"a": own, "b": {**own, "A": 60.0 * 1.4**-0.1}}, runs_of("a", "b"))
    np.testing.assert_allclose(np.exp(ln_speedup(fit)), 1.4 * gain, rtol=1e-6)


@pytest.mark.slow
def test_the_discrepancy_that_groups_share_cancels_and_the_rest_widens() -> None:
    own, other = many()
    plain = grouped_fit("chinchilla", {"a": own, "b": other}, runs_of("a", "b"))
    averaged = averaged_fit(plain, scale=0.1, bias=0.05)

    def spread(share):
        low, high = np.quantile(ln_speedup(averaged, (1e18, 1e22), share=share), [0.05, 0.95], axis=0, method="lower")
        return high - low

    everything = spread(SharedDiscrepancy(shared=1e9, own=1e-3))
    nothing = spread(SharedDiscrepancy(shared=1e-3, own=1e9))
    half = spread(SharedDiscrepancy(shared=1e6, own=1e6))
    # Bias and shared part move both alike; optima differ a little, and so do distances.
    assert everything[1] < 0.1 * nothing[1]
    assert everything[1] < half[1] < nothing[1]
    assert nothing[0] < 0.05 * nothing[1], "within the runs there is nothing to differ in"


@pytest.mark.slow
def test_the_band_of_an_average_is_wider_beyond_the_runs_than_its_laws() -> None:
    own, other = many(1000)
    plain = grouped_fit("chinchilla", {"a": own, "b": other}, runs_of("a", "b"))
    alone = bm.speedup(plain, of="b", over="a")
    averaged = bm.speedup(averaged_fit(plain, scale=0.1), of="b", over="a")
    assert (alone.attrs["discrepancy"], averaged.attrs["discrepancy"]) == (0, 1)
    assert any("law's own error" in said for said in alone.attrs["warnings"])
    assert not averaged.attrs["warnings"]

    def width(found):
        return np.log(found["speedup"].sel(quantile=0.95) / found["speedup"].sel(quantile=0.05)).values

    assert (np.diff(width(averaged)) > 0.0).all()
    assert width(averaged)[-1] > 10.0 * width(alone)[-1]


def test_draws_of_a_groups_discrepancy_have_its_mean_and_covariance() -> None:
    beyond = averaged_fit(grouped_fit("chinchilla", {"a": A, "b": A}, runs_of("a", "b")), scale=0.2, bias=0.1)
    table = beyond["average"].to_dataset().isel(law=0)
    share = np.full(40_000, 0.6)
    found = discrepancies_of_groups(table, ("a", "b"), share, np.random.default_rng(seeded(3)))
    for draws in found.values():
        np.testing.assert_allclose(draws.mean(axis=0), 0.1, atol=0.005)
        np.testing.assert_allclose(np.cov(draws, rowvar=False), 0.04 * np.array([[1.0, 0.3], [0.3, 1.0]]), atol=0.0015)
    across = np.corrcoef(found["a"][:, 0], found["b"][:, 0])[0, 1]
    assert across == pytest.approx(0.6, abs=4.0 * (1.0 - 0.36) / np.sqrt(40_000))


def test_places_of_falling_values() -> None:
    grid = np.linspace(0.0, 10.0, 51)
    values = np.stack([np.exp(-0.3 * grid), 2.0 - 0.1 * grid])
    asked = np.array([0.37, 4.11, 9.4])
    np.testing.assert_allclose(interpolated(grid, values, asked)[0], np.exp(-0.3 * asked), rtol=1e-6)
    np.testing.assert_allclose(
        crossing(grid, values, interpolated(grid, values, asked)), np.stack([asked, asked]), atol=1e-9
    )
    ends = crossing(grid, values, np.array([[0.01, 5.0], [0.01, 5.0]]))
    assert np.isposinf(ends[:, 0]).all()
    assert np.isneginf(ends[:, 1]).all()


def test_experts_are_those_of_the_architecture_that_both_have_most_of() -> None:
    own = runs_of("a", counts=(1, 8, 8, 16))
    other = runs_of("b", counts=(8, 16, 16, 32))
    fit = grouped_fit("chinchilla", {"a": A, "b": better(A)}, pd.concat([own, other], ignore_index=True))
    two = recipes(fit, of="b", over="a")
    assert two.shared
    assert set(two.num_experts.values()) == {16.0}
    assert recipes(fit, of="b", over="a", experts=8).num_experts == {"a": 8.0, "b": 8.0}
    run = two.growth["b"].run(np.log(1e9), np.log(2e10))
    assert run["n_total"] / run["n_active"] == pytest.approx(float(Family().total_ratio(16.0) / Family().active_ratio(16.0)))
    none = grouped_fit("chinchilla", {"a": A, "b": A}, pd.concat([runs_of("a", counts=(4,)), runs_of("b", counts=(64,))]))
    found = bm.speedup(none, of="b", over="a")
    assert any("share no architecture" in said for said in found.attrs["warnings"])
    assert (found.attrs["num_experts_of"], found.attrs["num_experts_over"]) == (64.0, 4.0)


def test_what_is_reported(fit) -> None:
    own, other = many(2000)
    wide = {**other, "B": other["B"] * np.exp(0.03 * np.random.default_rng(seeded(8)).standard_normal(2000))}
    found = bm.speedup(
        grouped_fit("chinchilla", {"a": own, "b": wide}, runs_of("a", "b")), of="b", over="a", at=(3e20, 1e22)
    )
    largest = 6.0 * 1e9 * 8e10
    np.testing.assert_allclose(found["train_flop"], [3e20, 1e22, largest, *(times * largest for times in TIMES)])
    np.testing.assert_allclose(found["p_faster"], (found["ln_speedup"] > 0).mean("sample"))
    assert found["speedup"].sel(quantile=0.5).values[0] == pytest.approx(N_GAIN * D_GAIN, rel=0.02)
    assert (np.diff(found["speedup"].values, axis=1) >= 0).all()
    assert found.attrs["verdict"] == str(found["verdict"].values[0])
    assert found["curve_flop"].values[-1] == pytest.approx(100 * largest)
    assert (np.diff(found["p_distinguished"].values, axis=1) >= 0).all(), "more seeds tell more"
    difference = found["loss_difference"].sel(quantile=0.5).values[0]
    one_sd = np.sqrt(2.0) * float(found["noise_nats"][0])
    assert float(found["seeds_needed"][0]) == np.ceil(max(1.0, (2.0 * one_sd / difference) ** 2))


def test_more_of_what_is_asked_is_less_probable(fit) -> None:
    own, other = many(1000)
    wide = {**other, "B": other["B"] * np.exp(0.03 * np.random.default_rng(seeded(8)).standard_normal(1000))}
    tree = grouped_fit("chinchilla", {"a": own, "b": wide}, runs_of("a", "b"))
    verdicts = [bm.speedup(tree, of="b", over="a", threshold=threshold).attrs["verdict"] for threshold in (0.9, 1.17, 1.5)]
    assert verdicts == ["PROMOTE", "UNDECIDED", "REJECT"]


@pytest.mark.parametrize(("p", "said"), [(0.9, "PROMOTE"), (0.89, "UNDECIDED"), (0.11, "UNDECIDED"), (0.1, "REJECT")])
def test_verdicts(p, said) -> None:
    assert verdict_of(p, 0.9) == said


def test_probability_that_a_run_settles_it_in_closed_form() -> None:
    """ln s ~ Normal(m, 1) seen with noise sd: P(s > 1 | y) = Phi(E[ln s | y] / sd of ln s given y), and E[ln s | y] is normal."""
    rng, mean, noise, sure = np.random.default_rng(seeded(1)), 0.4, 0.7, 0.9
    true = mean + rng.standard_normal(40_000)
    seen = true + noise * rng.standard_normal(true.size)
    share = 1.0 / (1.0 + noise**2)
    left = np.sqrt(1.0 - share)
    limit = stats.norm.ppf(sure) * left
    expected = stats.norm.sf((limit - mean) / np.sqrt(share)) + stats.norm.cdf((-limit - mean) / np.sqrt(share))
    assert settled_after(true, seen[:, None], 0.0, sure) == pytest.approx(expected, abs=0.015)
    # Noise alone settles nothing; the twin of the test: an answer is not always the same.
    assert settled_after(true, rng.standard_normal((true.size, 1)), 0.0, sure) == 0.0


def test_runs_that_might_settle_it_are_worth_at_most_what_knowing_is() -> None:
    own, other = many(4000)
    wide = {**other, "B": other["B"] * np.exp(0.06 * np.random.default_rng(seeded(8)).standard_normal(4000))}
    tree = grouped_fit("chinchilla", {"a": own, "b": wide}, runs_of("a", "b"), noise=0.001)
    found = bm.speedup(tree, of="b", over="a", threshold=1.17)
    assert found.attrs["verdict"] == "UNDECIDED"
    assert ((found["run_evsi"] >= 0) & (found["run_evsi"] <= float(found["evpi"]) + 1e-12)).all()
    said = {
        (str(name), round(float(flop / found["train_flop"][0]), 3)): number
        for number, (name, flop) in enumerate(zip(found["run_of"].values, found["run_flop"].values, strict=True))
    }
    pair, alone = said["both", 2.0], said["b", 1.0]
    assert float(found["run_evsi"][pair]) > float(found["run_evsi"][alone]), "what draws share hides a run of one recipe"
    assert float(found["run_p_settled"][pair]) > float(found["run_p_settled"][alone])
    place = settling_run(found)
    assert place is None or float(found["run_p_settled"][place]) >= 0.9


def test_groups_without_overlap(fit) -> None:
    apart = pd.concat([runs_of("a"), runs_of("b", sizes=(1e10, 2e10))], ignore_index=True)
    tree = grouped_fit("chinchilla", {"a": A, "b": better(A)}, apart)
    with pytest.raises(bm.InputError, match="do not overlap in compute; give the budget"):
        bm.speedup(tree, of="b", over="a")
    found = bm.speedup(tree, of="b", over="a", at=1e22)
    assert "do not overlap" in found.attrs["warnings"][0]
    assert float(found["speedup"].sel(quantile=0.5)[0]) == pytest.approx(N_GAIN * D_GAIN, rel=1e-6)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"of": "c"}, "--of: is not a group of the fit, found 'c'; known: a, b"),
        ({"over": "aa"}, "--over: is not a group of the fit, found 'aa'; did you mean 'a'?"),
        ({"of": "a"}, "--of: is the group that it is compared with, found 'a'; name another: b"),
        ({"at": -1.0}, "--at: must be a positive number of FLOP"),
        ({"at": (1e22, np.nan)}, "--at: must be a positive number of FLOP"),
        ({"threshold": 0.0}, "--threshold: must be a positive factor"),
        ({"probability": 0.4}, "--probability: must lie between 0.5 and 1"),
        ({"experts": 7}, "--experts: no run of 'a' has that expert count, found 7; one of 1"),
    ],
)
def test_mistakes_are_one_sentence(fit, changed, says) -> None:
    with pytest.raises(bm.InputError) as raised:
        bm.speedup(fit, **({"of": "b", "over": "a"} | changed))
    assert says in str(raised.value)


def test_fits_that_cannot_be_compared(fit, small_fit) -> None:
    with pytest.raises(bm.InputError, match=r"no groups to compare.*--group-by"):
        bm.speedup(small_fit, of="b", over="a")
    alone = grouped_fit("chinchilla", {"a": A}, runs_of("a"))
    with pytest.raises(bm.InputError, match="one group only"):
        bm.speedup(alone, of="b", over="a")
    leverage = fit.copy()
    info = FitInfo.read(fit)
    write_info(leverage, info.spec, response="leverage")
    with pytest.raises(bm.InputError, match="predicts another response, found 'leverage'"):
        bm.speedup(leverage, of="b", over="a")
    without = grouped_fit(
        "made_up:BySize",
        {"a": {"E": 1.8, "A": 60.0, "alpha": 0.1}} | {"b": {"E": 1.8, "A": 60.0, "alpha": 0.1}},
        runs_of("a", "b").drop(columns="tokens"),
    )
    with pytest.raises(bm.InputError, match="tokens: is needed to know the compute"):
        bm.speedup(without, of="b", over="a")
    assert dataclasses.is_dataclass(info)
