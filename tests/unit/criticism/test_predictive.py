"""Residuals, coverage, overlap and reach on fits small enough to work by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayesmoe.criticism.predictive import headline_names, predictive_check, prior_overlap
from bayesmoe.inference.spec import FitSpec
from bayesmoe.inference.store import FitInfo

RUNS = ["a", "b", "c"]


def predicting(observed, predictions, *, response="loss", units="nats/token", **constant):
    """A fit of three runs whose predictive draws are the given rows, shared by two chains."""
    draws = np.array(predictions, dtype=float).reshape(2, -1, 3)
    seen = ("run", np.array(observed, dtype=float), {"units": units})
    tree = xr.DataTree.from_dict(
        {
            "posterior_predictive": xr.Dataset({response: (("chain", "draw", "run"), draws)}, coords={"run": RUNS}),
            "observed_data": xr.Dataset({response: seen}, coords={"run": RUNS}),
            "constant_data": xr.Dataset({name: ("run", values) for name, values in constant.items()}, coords={"run": RUNS}),
        }
    )
    FitInfo(spec=FitSpec(), law_name="yun", response=response).write(tree)
    return tree


@pytest.fixture
def checked():
    """Predictions from 2.0 to 3.0 in even steps for every run; observed inside, below and above the band."""
    rows = np.repeat(np.linspace(2.0, 3.0, 42)[:, None], 3, axis=1)
    return predictive_check(predicting([2.25, 2.04, 2.96], rows, num_experts=[1.0, 4.0, 8.0]))


def test_residuals_are_shares_of_the_median(checked):
    np.testing.assert_allclose(checked["residual"], np.array([2.25, 2.04, 2.96]) / 2.5 - 1, rtol=1e-12)


def test_the_band_is_ninety_per_cent(checked):
    np.testing.assert_allclose(checked["band_low"], 2.05 / 2.5 - 1, rtol=1e-12)
    np.testing.assert_allclose(checked["band_high"], 2.95 / 2.5 - 1, rtol=1e-12)
    assert checked["covered"].values.tolist() == [True, False, False]


def test_runs_keep_their_loss_and_expert_count(checked):
    np.testing.assert_array_equal(checked["observed"], [2.25, 2.04, 2.96])
    assert checked["observed"].attrs == {"units": "nats/token", "long_name": "loss"}
    np.testing.assert_array_equal(checked["num_experts"], [1, 4, 8])
    assert checked["run"].values.tolist() == RUNS


def test_a_leverage_is_checked_like_a_loss():
    rows = np.repeat(np.linspace(2.0, 3.0, 42)[:, None], 3, axis=1)
    found = predictive_check(predicting([2.25, 2.04, 2.96], rows, response="leverage", units="1"))
    np.testing.assert_allclose(found["residual"], np.array([2.25, 2.04, 2.96]) / 2.5 - 1, rtol=1e-12)
    assert found["covered"].values.tolist() == [True, False, False]
    assert found["observed"].attrs == {"units": "1", "long_name": "leverage"}


def test_runs_without_expert_counts_have_none():
    assert "num_experts" not in predictive_check(predicting([2.0, 2.0, 2.0], np.full((4, 3), 2.0)))


def test_the_small_fit_covers_its_runs(small_fit):
    found = predictive_check(small_fit)
    assert found.sizes["run"] == 80
    assert 0.8 <= float(found["covered"].mean()) <= 1.0
    assert abs(float(found["residual"].median())) < 0.003


def with_draws(prior, posterior):
    """A fit with one variable."""
    return xr.DataTree.from_dict(
        {
            "prior": xr.Dataset({"x": (("chain", "draw"), np.asarray(prior)[None])}),
            "posterior": xr.Dataset({"x": (("chain", "draw"), np.asarray(posterior).reshape(2, -1))}),
        }
    )


def test_overlap_of_the_same_density_is_one():
    draws = np.random.default_rng(0).standard_normal((2, 4000))
    assert prior_overlap(with_draws(draws[0], draws[0]), ["x"])["x"] == 1.0
    assert prior_overlap(with_draws(*draws), ["x"])["x"] == pytest.approx(1.0, abs=0.08)


def test_overlap_of_separate_densities_is_nothing():
    draws = np.random.default_rng(0).standard_normal((2, 4000))
    assert prior_overlap(with_draws(draws[0], draws[1] + 20.0), ["x"])["x"] < 0.01


def test_overlap_of_two_normals_is_the_known_share():
    # Two unit normals a distance of 2 apart share 2 Phi(-1) = 0.3173.
    draws = np.random.default_rng(0).standard_normal((2, 40_000))
    assert prior_overlap(with_draws(draws[0], draws[1] + 2.0), ["x"])["x"] == pytest.approx(0.3173, abs=0.02)


def test_overlap_does_not_count_draws():
    draws = np.random.default_rng(0).standard_normal(40_000)
    assert prior_overlap(with_draws(draws[:1000], draws), ["x"])["x"] == pytest.approx(1.0, abs=0.1)


def test_overlap_of_what_the_runs_moved_is_small(small_fit):
    found = prior_overlap(small_fit, ["loss_reference", "e_above"])
    assert found["loss_reference"] < 0.1 < found["e_above"] <= 1.0


def test_headline_names_are_what_was_sampled_and_no_more(small_fit):
    law = ["loss_reference", "slope_size", "slope_tokens", "gain", "interaction", "reducible", "experts_part", "size_part"]
    assert sorted(headline_names(small_fit)) == sorted([*law, "e_start", "e_above", "noise_scale", "noise_df"])


def test_headline_names_of_groups_are_their_populations():
    posterior = xr.Dataset(dict.fromkeys(("gain", "gain_population", "gain_spread", "gain_base", "A", "noise_scale"), 0.0))
    fit = xr.DataTree.from_dict({"posterior": posterior})
    FitInfo(spec=FitSpec(), law_name="yun", pooled=("gain",), paper_parameters=("A",)).write(fit)
    assert headline_names(fit) == ["gain_population", "noise_scale"]
