"""Ranks and their test: exact ranks pass, uneven ones do not; the slow suite calibrates every law."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from designs import catalog_design

from bayesmoe.criticism.sbc import calibration, simulation_ranks
from bayesmoe.laws import law_named


def ranks_of(**values: np.ndarray) -> xr.Dataset:
    """Ranks by parameter name."""
    many = len(next(iter(values.values())))
    found = {name: ("simulation", array) for name, array in values.items()}
    return xr.Dataset({**found, "divergences": ("simulation", np.zeros(many, int))})


def test_even_ranks_pass_and_one_uneven_parameter_is_found() -> None:
    even = (np.arange(100) + 0.5) / 100
    found = calibration(ranks_of(a=even, b=even[::-1]))
    assert float(found["joint_p_value"]) == 1.0
    found = calibration(ranks_of(a=even, b=even**3))
    assert float(found["joint_p_value"]) < 1e-4
    assert float(found["p_value"].sel(parameter="a")) > 0.99


@pytest.mark.parametrize(
    "wrong", [lambda u: 0.5 + 0.5 * (u - 0.5), lambda u: np.clip(0.5 + 2 * (u - 0.5), 0, 1), lambda u: 0.7 * u]
)
def test_bands_too_wide_too_narrow_and_biased_are_rejected(wrong) -> None:
    u = np.random.default_rng(0).uniform(size=100)
    assert float(calibration(ranks_of(a=wrong(u)))["joint_p_value"]) < 0.001


@pytest.mark.slow
def test_the_joint_probability_is_seldom_small_by_chance() -> None:
    """400 calibrated sets of 8 parameters: at most 5% + 3 sd below 0.05."""
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(400):
        ranks = ranks_of(**{f"p{i}": rng.uniform(size=60) for i in range(8)})
        rejected += float(calibration(ranks)["joint_p_value"]) < 0.05
    assert rejected <= 33


@pytest.mark.slow
def test_ranks_follow_the_seed_and_lie_between_0_and_1() -> None:
    law, design = law_named("clark-separable"), catalog_design()
    first = simulation_ranks(law, design, simulations=3, seed=5)
    assert set(first.data_vars) == {"loss_reference", "slope_size", "gain", "noise_scale", "noise_df", "divergences"}
    xr.testing.assert_identical(first, simulation_ranks(law, design, simulations=3, seed=5))
    ranks = first.drop_vars("divergences").to_array()
    assert bool(((ranks >= 0) & (ranks <= 1)).all())
    assert float(ranks.std()) > 0.1
