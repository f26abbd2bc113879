"""Discrepancy beyond the runs: recovered where splits show it, its prior where they do not, and wider the further away."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy import special, stats
from seeds import seeded

from bayesmoe.forecasting.discrepancy import (
    Evidence,
    discrepancies_without_each,
    discrepancy,
    error_per_distance,
    joint_log_density,
    log_density,
    predicted,
)
from bayesmoe.forecasting.discrepancy_prior import shipped_prior
from bayesmoe.inference.ensemble import discrepancy_draws

AXES = ["n_dense", "tokens"]
PRIOR = shipped_prior()
INDEPENDENT = dataclasses.replace(PRIOR, correlation=0.0)
"""A prior under which one axis says nothing of another."""

SCALE = PRIOR.scale["size"]


def forecast(m: float, seed: int, *, distance: float = 0.1, runs: int = 20, parameter_sd: float = 1e-4) -> xr.Dataset:
    """A forecast whose runs miss by ``m`` of their reach along the first of two axes."""
    rng = np.random.default_rng(seeded(seed))
    away = np.stack([rng.uniform(0.5, 1.5, runs) * distance, np.zeros(runs)])
    expected = 2.5 * np.exp(parameter_sd * rng.standard_normal((400, 1)) * away[0] / distance)
    observed = 2.5 * np.exp(m * away[0] + 0.001 * rng.standard_normal(runs))
    return xr.Dataset(
        {
            "expected": (("draw", "run"), expected),
            "noise_scale": (("draw", "run"), np.full((400, runs), 0.001)),
            "noise_df": ("draw", np.full(400, 50.0)),
            "distance": (("part", "run"), away),
            "observed": ("run", observed),
        },
        coords={"part": AXES},
    )


def test_a_steady_miss_is_a_shift_along_its_axis_alone() -> None:
    found = discrepancy([forecast(0.3, seed) for seed in range(8)], AXES, seed=0, prior=INDEPENDENT)
    bias = found["bias"]
    assert float(bias.sel(part="n_dense").mean()) == pytest.approx(0.3, abs=0.06)
    assert abs(float(bias.sel(part="tokens").mean())) < 0.03
    either_way = discrepancy([forecast(0.3 * (-1) ** seed, seed) for seed in range(8)], AXES, seed=0, prior=INDEPENDENT)[
        "scale"
    ]
    assert float(found["scale"].sel(part="n_dense").median()) < 0.8 * float(either_way.sel(part="n_dense").median())
    steady = discrepancy([forecast(0.0, seed) for seed in range(8)], AXES, seed=0, prior=INDEPENDENT)
    assert float(steady["scale"].sel(part="n_dense").median()) < SCALE
    assert abs(float(steady["bias"].sel(part="n_dense").mean())) < 0.05


def test_misses_of_either_sign_are_growth() -> None:
    found = discrepancy([forecast(0.5 * (-1) ** seed, seed) for seed in range(8)], AXES, seed=0)
    assert abs(float(found["bias"].sel(part="n_dense").mean())) < 0.15
    assert float(found["scale"].sel(part="n_dense").median()) > 1.5 * SCALE


def test_a_miss_that_the_parameters_explain_says_little() -> None:
    sure = discrepancy([forecast(0.3, 0)], AXES, seed=0)["bias"].sel(part="n_dense")
    unsure = discrepancy([forecast(0.3, 0, parameter_sd=0.2)], AXES, seed=0)["bias"].sel(part="n_dense")
    assert float(sure.mean()) > 3 * abs(float(unsure.mean()))


def test_without_cuts_that_reach_along_an_axis_its_prior_remains() -> None:
    found, prior = (
        discrepancy([forecast(0.3, 0)], AXES, seed=0, prior=INDEPENDENT),
        discrepancy([], AXES, seed=1, prior=INDEPENDENT),
    )
    for name in ("bias", "scale"):
        ours, theirs = found[name].sel(part="tokens"), prior[name].sel(part="tokens")
        assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.25)


def test_bands_widen_with_reach_and_share_their_misfit() -> None:
    away = forecast(0.0, 0).isel(run=[0, 1, 2])
    away = away.assign(distance=(("part", "run"), np.array([[0.0, 0.1, 0.4], [0.0, 0.0, 0.0]])))
    draws = np.log(predicted(away, discrepancy([], AXES, seed=0), draws=4000, seed=0))
    spread = draws.std(axis=0)
    assert spread[0] < 0.002
    assert spread[2] == pytest.approx(4 * spread[1], rel=0.1)
    assert np.corrcoef(draws[:, 1], draws[:, 2])[0, 1] > 0.95
    alone = np.log(predicted(away, None, draws=4000, seed=0))
    assert alone.std(axis=0).max() < 0.002


def test_the_joint_density_is_that_of_runs_that_miss_together() -> None:
    """Of two runs at one place, against a histogram of their mean and their difference; as independent runs they would be other."""
    one = forecast(0.1, 0).isel(run=[3, 3])
    own = discrepancy([], AXES, seed=0)
    one = one.assign(observed=("run", one["observed"].values * np.array([1.0, 1.0005])))
    draws, y = np.log(predicted(one, own, draws=400_000, seed=2)), np.log(one["observed"].values)
    width = 0.0015
    near = (np.abs(draws - y) < width / 2).all(axis=1).mean() / width**2
    assert joint_log_density(one, own) == pytest.approx(np.log(near), abs=0.35)
    apart = 2.0 * np.log((np.abs(draws[:, 0] - y[0]) < width / 2).mean() / width)
    assert np.log(near) - apart > 1.0


def test_runs_that_share_a_discrepancy_have_its_covariance_too() -> None:
    """Against SciPy's normal density with the whole covariance, with means and covariances of several draws at once."""
    rng = np.random.default_rng(seeded(5))
    distance, error = rng.standard_normal((2, 7)), rng.standard_normal(7)
    own = np.diag(rng.uniform(0.5, 2.0, 7)) + 0.3
    inverse = np.linalg.inv(own)
    found = Evidence(
        distance @ inverse @ distance.T,
        distance @ inverse @ error,
        stats.multivariate_normal(np.zeros(7), own).logpdf(error),
    )
    mean = rng.standard_normal((3, 2))
    covariance = np.array([[[1.0, 0.3], [0.3, 0.5]], [[0.0, 0.0], [0.0, 0.0]], [[4.0, -1.0], [-1.0, 2.0]]])
    expected = [
        stats.multivariate_normal(m @ distance, own + distance.T @ c @ distance).logpdf(error)
        for m, c in zip(mean, covariance, strict=True)
    ]
    assert log_density(found, mean, covariance) == pytest.approx(expected, rel=1e-9)
    assert log_density(found, mean[0], covariance[2]) != pytest.approx(expected[0], abs=0.1)


def test_the_prior_misses_by_shift_and_growth_together() -> None:
    """Given growth, a miss is normal with sd sqrt(2) growth; the distribution function of its size is the mean over growth's prior."""
    misses = np.abs(discrepancy_draws(discrepancy([], ["n_dense"], seed=0), 200_000, np.random.default_rng(1)))
    scale = SCALE * np.exp(PRIOR.log_sd * stats.norm.ppf((np.arange(2000) + 0.5) / 2000))
    for share in (0.5, 0.9):
        assert special.erf(np.quantile(misses, share) / (2.0 * scale)).mean() == pytest.approx(share, abs=0.03)
        shift_left_out = special.erf(np.quantile(misses, share) / (np.sqrt(2.0) * scale)).mean()
        assert shift_left_out > share + 0.03


def test_a_miss_is_a_share_of_reach() -> None:
    assert error_per_distance(forecast(0.3, 0)) == pytest.approx(0.3, abs=0.02)
    nowhere = forecast(0.3, 0)
    assert np.isnan(error_per_distance(nowhere.assign(distance=0.0 * nowhere["distance"])))


def test_axes_miss_together() -> None:
    """What splits along size teach is believed along tokens too, as far as the correlation goes, and not at all without one."""
    splits = [forecast(0.3, seed) for seed in range(8)]
    bias = discrepancy(splits, AXES, seed=0)["bias"]
    apart = discrepancy(splits, AXES, seed=0, prior=INDEPENDENT)["bias"]
    assert float(bias.sel(part="tokens").mean()) > 0.05
    assert abs(float(apart.sel(part="tokens").mean())) < 0.02
    assert float(bias.sel(part="n_dense").mean()) == pytest.approx(float(apart.sel(part="n_dense").mean()), abs=0.03)


def test_a_law_that_misses_all_axes_alike_has_more_evidence_under_a_correlation() -> None:
    alike = [forecast(m, seed) for seed, m in enumerate((0.2, -0.2, 0.25, -0.15))]
    alike = [one.assign(distance=one["distance"].isel(part=[0, 0]).assign_coords(part=AXES) / 2.0) for one in alike]
    evidence = [
        discrepancy(alike, AXES, seed=0, prior=dataclasses.replace(PRIOR, correlation=correlation)).attrs["log_evidence"]
        for correlation in (0.7, 0.0)
    ]
    assert evidence[0] > evidence[1]


def test_splits_shared_between_inferences_say_the_same_as_each_alone() -> None:
    splits = {str(seed): forecast(0.1 * seed, seed) for seed in range(3)}
    every, without = discrepancies_without_each(splits, AXES, seed=3)
    xr.testing.assert_allclose(every, discrepancy(list(splits.values()), AXES, seed=3))
    assert set(without) == set(splits)
    for name, found in without.items():
        others = [one for other, one in splits.items() if other != name]
        xr.testing.assert_allclose(found, discrepancy(others, AXES, seed=3))
    assert not np.allclose(without["0"]["bias"], without["2"]["bias"])
