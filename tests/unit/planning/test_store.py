"""A plan's file, and what it says it was made from."""

from __future__ import annotations

import pytest
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.planning.store import PlanInfo, load_plan, save_plan


def test_what_is_read_is_what_is_written(small_plan):
    info = PlanInfo.read(small_plan)
    assert PlanInfo.read(info.write(small_plan.drop_attrs(deep=False))) == info
    assert info.write(small_plan.drop_attrs(deep=False)).attrs == small_plan.attrs


def test_a_plan_without_a_readable_scenario_is_refused(small_plan, tmp_path):
    save_plan(small_plan.assign_attrs(scenario="{}"), tmp_path / "plan.nc")
    with pytest.raises(InputError, match="holds no scenario that can be read"):
        load_plan(tmp_path / "plan.nc")


@pytest.fixture
def file(small_plan, tmp_path):
    """The plan as a file."""
    path = tmp_path / "plan.nc"
    save_plan(small_plan, path)
    return path


def test_a_plan_survives_its_file(small_fit, small_plan, file):
    xr.testing.assert_identical(load_plan(file, of=small_fit), small_plan)


def test_the_plan_of_another_fit_is_refused(small_fit, file):
    other = small_fit.copy(deep=True)
    other["posterior"]["noise_scale"][0, 0] *= 1.0 + 1e-12
    with pytest.raises(InputError, match="another fit"):
        load_plan(file, of=other)


def test_a_missing_plan_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.nc: no such file"):
        load_plan(tmp_path / "gone.nc")


def test_a_cut_off_plan_is_refused(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="is not readable netCDF"):
        load_plan(file)


def test_other_netcdf_is_not_a_plan(tmp_path):
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="is not a plan"):
        load_plan(tmp_path / "other.nc")
