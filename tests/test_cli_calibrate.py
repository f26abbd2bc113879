"""``bayesmoe calibrate``: two workers give the ranks of one process."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayesmoe.criticism.sbc import ranks_of
from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import law_of, load_table, read_fit_spec
from bayesmoe.resources import resource_folder

SPEC = resource_folder("models") / "simulated-yun-grid.toml"


@pytest.mark.slow
@pytest.mark.sweep
def test_two_workers_give_the_ranks_of_one_process(bayesmoe, tmp_path) -> None:
    out = tmp_path / "ranks.nc"
    ended = bayesmoe(
        "calibrate", SPEC, "--simulations", 20, "--workers", 2, "--law", "chinchilla", "--size", "n_dense", "--out", out
    )
    assert ended.code in (0, 1), ended.err
    assert list(tmp_path.iterdir()) == [out], "the partial file is gone"
    with xr.open_dataset(out, engine="netcdf4") as found:
        spec = read_fit_spec(SPEC)
        law = law_of(spec.law.__class__(name="chinchilla", size="n_dense"))
        table = load_table(spec.data, spec.groups)
        _, structure, data = arrange(table, law, coordinates_of(law, {}), spec)
        alone = ranks_of(structure, data, [3, 11], seed=spec.sampler.seed)
        for name in ("slope_size", "noise_scale"):
            np.testing.assert_array_equal(found[name].sel(simulation=[3, 11]), alone[name])
    assert "20 simulations" in ended.out
    assert "uniform" in ended.out


def test_a_folder_cannot_be_written(bayesmoe, tmp_path) -> None:
    ended = bayesmoe("calibrate", SPEC, "--out", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "is a folder" in ended.err
