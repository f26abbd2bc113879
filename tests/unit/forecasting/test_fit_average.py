"""A fit of several laws: weights, discrepancy, what is left out, and what a plan and a page make of it."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
import xarray as xr

from bayesmoe.criticism.gate import check, computed_gate
from bayesmoe.decisions.decide import decide
from bayesmoe.decisions.risk import risk, without_each_law
from bayesmoe.errors import InputError
from bayesmoe.forecasting.fit_average import fit_average
from bayesmoe.forecasting.forward_validation import splits
from bayesmoe.inference.ensemble import apportion, components, discrepancy_draws
from bayesmoe.inference.gate import Check, Forward, Gate
from bayesmoe.inference.spec import AVERAGE, AverageSpec, LawSpec, PriorSpec, load_table
from bayesmoe.inference.store import LAWS, FitInfo, load_fit, save_fit
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.distance_grid import LARGEST, SMALLEST
from bayesmoe.planning.planner import plan
from bayesmoe.planning.search import minimize_unimodal
from bayesmoe.reporting import text
from bayesmoe.reporting.build import build_report, figures


@pytest.fixture(scope="module")
def spec(small_spec):
    return dataclasses.replace(small_spec, average=AverageSpec(laws=("yun", "chinchilla")))


@pytest.fixture(scope="module")
def average(spec):
    return fit_average(spec)


@pytest.fixture(scope="module")
def planned(average, scenario):
    """A plan needs laws with experts: the same average with its dense law exchanged for a second copy of the other."""
    twin = average.copy(deep=True)
    twin[f"{LAWS}/chinchilla"] = twin[f"{LAWS}/yun"].copy(deep=True)
    return plan(twin, scenario), twin


@pytest.mark.slow
def test_the_law_that_made_the_runs_has_nearly_all_the_weight(average) -> None:
    """The runs come from Yun's law; Chinchilla's cannot see experts."""
    table = average[AVERAGE].to_dataset()
    assert float(table["weight"].sum()) == pytest.approx(1.0)
    assert float(table["weight"].sel(law="yun")) > 0.9
    assert float(table["log_score"].sel(law="yun").mean()) > float(table["log_score"].sel(law="chinchilla").mean())
    assert list(components(average)) == ["yun", "chinchilla"]
    assert float(table["loo_weight"].sum()) == pytest.approx(1.0)
    assert float(table["loo_weight"].sel(law="yun")) > 0.9


@pytest.mark.slow
def test_it_is_read_back_as_it_was_written(average, tmp_path) -> None:
    save_fit(average, tmp_path / "fit.nc")
    again = load_fit(tmp_path / "fit.nc")
    xr.testing.assert_equal(again[AVERAGE].to_dataset(), average[AVERAGE].to_dataset())
    assert again.attrs == average.attrs
    for name, member in components(average).items():
        xr.testing.assert_equal(again[f"{LAWS}/{name}/posterior"].to_dataset(), member.fit["posterior"].to_dataset())
        assert again[f"{LAWS}/{name}"].attrs["law"] == name


@pytest.mark.slow
def test_its_gate_is_the_worst_of_its_laws_and_judges_its_forecasts(average) -> None:
    found = {one.name: one for one in check(average).checks}
    assert found["R-hat"].where.split(":")[0] in ("yun", "chinchilla")
    assert found["laws left out"].verdict == "PASS"
    assert {found[f"forward coverage {level}"].where for level in ("50%", "80%", "90%")} == {
        found["forward coverage 90%"].where
    }
    assert found["forward coverage 90%"].verdict == "PASS"
    assert found["weight spread"].verdict == "PASS"

    def spoilt(**attrs) -> Gate:
        other = average.copy(deep=True)
        dataclasses.replace(FitInfo.read(average), **attrs).write(other)
        return computed_gate(other)

    def verdict(gate: Gate, name: str) -> str:
        return next(one.verdict for one in gate.checks if one.name == name)

    def covered(level: str, share: float) -> str:
        shares = {"0.5": 0.5, "0.8": 0.8, "0.9": 0.9} | {level: share}
        return verdict(spoilt(forward=Forward(shares, {}, 0.5)), f"forward coverage {float(level):.0%}")

    assert [covered(*each) for each in (("0.9", 0.9), ("0.9", 0.7), ("0.9", 0.4))] == ["PASS", "REVIEW", "FAIL"]
    assert [covered("0.5", share) for share in (0.5, 0.1, 1.0)] == ["PASS", "REVIEW", "REVIEW"]
    assert covered("0.8", 0.5) == "REVIEW"
    assert verdict(spoilt(forward=None), "forward coverage 90%") == "REVIEW"
    narrow = Forward({"0.5": 0.5, "0.8": 0.8, "0.9": 0.9}, {"0.5": 0.5, "0.8": 0.8, "0.9": 0.3}, 0.95)
    assert verdict(spoilt(forward=narrow), "difference coverage 90%") == "REVIEW"
    assert verdict(spoilt(forward=narrow), "difference coverage 80%") == "PASS"
    assert verdict(spoilt(forward=narrow), "forward PIT") == "REVIEW"
    assert verdict(spoilt(left_out={"wang": "R-hat 3"}), "laws left out") == "REVIEW"


@pytest.mark.slow
def test_a_law_that_fails_is_left_out_and_named(spec, monkeypatch) -> None:
    def failing(tree: xr.DataTree) -> Gate:
        fails = FitInfo.read(tree).law_name == "chinchilla"
        return Gate((Check("R-hat", "FAIL" if fails else "PASS", 3.0 if fails else 1.0, "A", "at most 1.01", "more"),))

    monkeypatch.setattr("bayesmoe.criticism.gate.computed_gate", failing)
    # What is left is weighed on one split: no weight is asked about.
    monkeypatch.setattr("bayesmoe.forecasting.forward_validation.splits", lambda *arguments: splits(*arguments)[:1])
    quick = dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=200, draws=100))
    found = fit_average(quick)
    assert list(components(found)) == ["yun"]
    assert FitInfo.read(found).left_out == {"chinchilla": "R-hat 3 at A"}


@pytest.mark.slow
def test_predictions_are_the_laws_in_their_shares(average) -> None:
    draws = average["posterior_predictive"]["loss"]
    of_yun = components(average)["yun"].fit["posterior_predictive"]["loss"]
    inside = np.isin(draws.values[0, :, 0], of_yun.values[0, :, 0]).mean()
    assert inside == pytest.approx(components(average)["yun"].weight, abs=0.01)


@pytest.mark.parametrize(("weights", "count", "expected"), [([0.5, 0.3, 0.2], 10, [5, 3, 2]), ([1, 1, 1], 10, [4, 3, 3])])
def test_shares_are_whole_and_in_proportion(weights, count, expected) -> None:
    assert apportion(np.array(weights), count).tolist() == expected


def test_draws_of_a_discrepancy_have_bias_and_scale() -> None:
    own = xr.Dataset(
        {"bias": (("d", "part"), [[0.3, 0.0]]), "scale": (("d", "part"), [[0.1, 0.2]]), "correlation": 0.7},
        coords={"part": ["n_dense", "tokens"]},
    )
    draws = discrepancy_draws(own, 40_000, np.random.default_rng(0))
    # 4 standard errors.
    np.testing.assert_allclose(draws.mean(axis=0), [0.3, 0.0], atol=0.004)
    np.testing.assert_allclose(draws.std(axis=0), [0.1, 0.2], rtol=0.015)
    assert np.corrcoef(draws.T)[0, 1] == pytest.approx(0.7, abs=0.01)


# Plans


@pytest.mark.slow
def test_each_law_has_its_share_of_a_plan(planned) -> None:
    found, fit = planned
    laws, counts = np.unique(found["law"].values, return_counts=True)
    weights = {name: member.weight for name, member in components(fit).items()}
    for law, count in zip(laws, counts, strict=True):
        assert count == pytest.approx(weights[law] * found.sizes["sample"], abs=1)
    parts = components(fit)["yun"].discrepancy["part"].values
    assert {f"yun.discrepancy along {part}" for part in parts} <= set(found["input"].values)


@pytest.mark.slow
def test_the_discrepancy_moves_losses_by_their_extrapolation_distance(planned, scenario) -> None:
    here = surfaces(planned[1], scenario)["yun"]
    alone = dataclasses.replace(here, discrepancy=None, distance=None)
    seen = components(planned[1])["yun"].discrepancy
    largest = float(seen["ln_covariate"].sel(axis="n_dense").max())
    far_away = np.full(here.shape, largest + 3.0)
    ratio = np.log(np.asarray(here.loss(far_away) / alone.loss(far_away)))
    assert ratio.std() > 0.005
    distance = np.asarray(here.distance)
    assert (np.diff(distance[:, :, 0, 0], axis=1) > -1e-3).all(), "the side on which a size lies is known"
    grid = np.linspace(np.log(SMALLEST), np.log(LARGEST), distance.shape[1])
    at = np.abs(grid - largest - 3.0).argmin()
    np.testing.assert_allclose(ratio, np.asarray(here.discrepancy) @ distance[:, at, 0].T, rtol=0.1, atol=2e-3)


@pytest.mark.slow
def test_the_discrepancy_moves_hardly_anything_at_a_run_that_was_seen(planned, scenario) -> None:
    """On the budget of a run that the fit has seen, at its size."""
    fit = planned[1]
    runs = fit[f"{LAWS}/yun/constant_data"].to_dataset()
    counts = scenario.choices.num_experts
    at = int(np.flatnonzero(np.isin(runs["num_experts"], counts))[0])
    n_dense, tokens, count = (float(runs[name][at]) for name in ("n_dense", "tokens", "num_experts"))
    flop = float(scenario.architecture.family().train_flop_per_token(n_dense, count, scenario.training.flop_rule)) * tokens
    training = dataclasses.replace(scenario.training, budget_flop=flop)
    here = surfaces(fit, dataclasses.replace(scenario, training=training))["yun"]
    alone = dataclasses.replace(here, discrepancy=None, distance=None)
    column = counts.index(int(count))

    def moved(ln_size: float) -> np.ndarray:
        sizes = np.full(here.shape, ln_size)
        return np.log(np.asarray(here.loss(sizes) / alone.loss(sizes)))[:, column]

    # Other runs nearby pull a little, so that nothing jumps; and distances stand on a grid of sizes.
    assert moved(np.log(n_dense)).std() < 0.2 * moved(np.log(n_dense) + 3.0).std()


@pytest.mark.slow
def test_the_loss_optimum_with_discrepancy_is_the_lowest_of_a_fine_grid(planned, scenario) -> None:
    here = surfaces(planned[1], scenario)["yun"]
    few = dataclasses.replace(
        here,
        parameters={name: value[:40] for name, value in here.parameters.items()},
        # Large enough that some draws have a second local minimum.
        discrepancy=4.0 * here.discrepancy[:40],
        cost_draws=jax.tree.map(lambda values: values[:40], here.cost_draws),
    )
    loss = jax.jit(few.loss)
    grid = np.linspace(np.log(1e7), np.log(1e12), 3000)
    least = np.min([np.asarray(loss(np.full(few.shape, x))) for x in grid], axis=0)
    assert (np.asarray(loss(few.loss_optimal())) <= least * (1 + 1e-6)).all()
    one_valley = minimize_unimodal(few.loss_slope, *few.brackets())
    assert (np.asarray(loss(one_valley)) > least * (1 + 1e-6)).any()


@pytest.mark.slow
def test_a_plan_without_each_law_has_none_of_its_draws(planned) -> None:
    found, _ = planned
    without = without_each_law(found)
    assert set(without) == {"yun", "chinchilla"}
    other = risk(found.isel(sample=found["law"].values != "chinchilla"))
    xr.testing.assert_allclose(without["chinchilla"]["p_best"], other["p_best"])
    assert without_each_law(found.isel(sample=found["law"].values == "yun")) == {}


@pytest.mark.slow
def test_the_page_shows_the_laws_and_the_plan_without_each(planned) -> None:
    found, fit = planned
    decisions = decide(found, fit)
    page = build_report(fit, figures(fit, decisions=decisions), plan=found, decisions=decisions)
    assert "Average of yun" in page
    assert text.WITHOUT_NOTE in page
    assert text.AVERAGED in page
    assert "stacking weight by PSIS-LOO" in page
    assert text.ONE_LAW not in page
    assert page.count("Without it:") == 2


def test_the_default_laws_are_those_that_the_table_varies(spec) -> None:
    from bayesmoe.forecasting.weights import laws_of

    table = load_table(spec.data, spec.groups)
    assert "effective-size" in laws_of(dataclasses.replace(spec, average=AverageSpec()), table.frame)
    one = table.frame.assign(num_experts=1)
    assert "chinchilla" in laws_of(dataclasses.replace(spec, average=AverageSpec()), one)


def test_priors_of_a_law_that_is_not_averaged_are_refused(spec) -> None:
    from bayesmoe.forecasting.weights import laws_of

    table = load_table(spec.data, spec.groups)
    given = AverageSpec(priors={"kaplan": {"slope_size": PriorSpec(median=0.1, sd=0.5)}})
    with pytest.raises(InputError, match="is not averaged"):
        laws_of(dataclasses.replace(spec, average=given), table.frame)


def test_several_laws_are_given_with_priors_of_their_own() -> None:
    from bayesmoe.fitting import _laws

    prior = PriorSpec(median=0.05, sd=1.0)
    average = _laws([LawSpec(name="yun", priors={"slope_tokens": prior}), "chinchilla"])["average"]
    assert average == AverageSpec(laws=("yun", "chinchilla"), priors={"yun": {"slope_tokens": prior}})
    with pytest.raises(InputError, match="has options"):
        _laws([LawSpec(name="yun", size="n_active"), "chinchilla"])
