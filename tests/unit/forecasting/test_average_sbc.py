"""Calibration of the averaged pipeline: what is counted, and that a simulation is its number's own."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from seeds import seeded

from bayesmoe.architecture import Family
from bayesmoe.forecasting.average_sbc import average_calibration, average_ranks_of
from bayesmoe.inference.spec import AverageSpec, DataSpec, FitSpec
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs

ERROR_RATE = 0.001


def percentiles(shape: float) -> xr.Dataset:
    """Percentiles of two hundred runs: uniform for a shape of 1, gathered at both ends below it."""
    return xr.Dataset({"largest": ("simulation", np.random.default_rng(seeded(1)).beta(shape, shape, 200))})


def test_bands_that_are_too_narrow_are_rejected_and_wide_ones_are_not() -> None:
    assert float(average_calibration(percentiles(1.0))["joint_p_value"]) >= ERROR_RATE
    assert float(average_calibration(percentiles(3.0))["joint_p_value"]) >= ERROR_RATE
    assert float(average_calibration(percentiles(0.4))["joint_p_value"]) < ERROR_RATE


def test_coverage_is_the_share_of_runs_in_the_middle() -> None:
    ranks = xr.Dataset({"largest": ("simulation", [0.5, 0.5, 0.02, 0.9])})
    np.testing.assert_allclose(average_calibration(ranks)["coverage"], [0.5, 0.75, 0.75, 0.75])


@pytest.mark.slow
@pytest.mark.sweep
def test_a_simulation_depends_on_its_own_number_only() -> None:
    design = grid_of_runs(np.geomspace(5e7, 2e9, 5), np.geomspace(2e9, 1e11, 5), [1], family=Family())
    table = as_run_table(design.assign(loss=3.0))
    spec = FitSpec(data=DataSpec(file="runs.csv"), average=AverageSpec(laws=("chinchilla", "kaplan")))
    both = average_ranks_of(spec, table, [0, 3], seed=seeded(2))
    xr.testing.assert_identical(average_ranks_of(spec, table, [3], seed=seeded(2)), both.sel(simulation=[3]))
    assert set(both["law"].values) <= {"chinchilla", "kaplan"}
    assert ((both["largest"] >= 0.0) & (both["largest"] <= 1.0)).all()
    assert not np.array_equal(both["largest"][0], both["largest"][1])
    other = as_run_table(design.assign(loss=4.0))
    xr.testing.assert_identical(average_ranks_of(spec, other, [3], seed=seeded(2)), both.sel(simulation=[3]))
