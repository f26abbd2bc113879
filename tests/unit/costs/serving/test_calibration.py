"""A calibration as a file, and as draws for engines, accelerators and models that were or were not measured."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayesmoe.costs.serving.calibration import (
    KIND,
    SHIPPED,
    coefficients,
    drawn_calibration,
    read_calibration,
    without_residual,
)
from bayesmoe.costs.serving.step import BY_BANDWIDTH, OVERHEADS, TERMS
from bayesmoe.errors import InputError

DRAWS = 4000


def made(**changed: float) -> xr.Dataset:
    """A calibration whose draws are all alike, so that all spread comes from drawing."""
    value = {
        "within": 1e-9,
        "by_deployment": 0.2,
        "by_cell": 0.0,
        "between_models": 0.3,
        "by_engine": 0.1,
        "by_hardware": 0.15,
        "first_within": 1e-9,
        "first_by_deployment": 0.4,
        "first_by_cell": 0.0,
        "first_between_models": 0.5,
        "first_by_engine": 0.1,
        "first_by_hardware": 0.1,
        "first_prefill": 0.5,
        "first_step": 1.0,
        "nu": 1e6,
        **changed,
    }
    found = {name: (("chain", "draw"), np.full((2, 50), one)) for name, one in value.items()}
    of_engine, of_hardware = np.array([0.3, -0.3]), np.array([0.2, -0.2])
    for prefix in ("", "first_"):
        found[f"{prefix}of_engine"] = (("chain", "draw", "engine"), np.tile(of_engine, (2, 50, 1)))
        found[f"{prefix}of_hardware"] = (("chain", "draw", "hardware"), np.tile(of_hardware, (2, 50, 1)))
        found[f"{prefix}of_model"] = (("chain", "draw", "architecture"), np.zeros((2, 50, 1)))
    found["theta"] = (("chain", "draw", "term"), np.tile(0.1 * np.arange(len(TERMS)), (2, 50, 1)))
    coords = {"engine": ["SGLang", "vLLM"], "hardware": ["H100-SXM", "B200-SXM"], "architecture": ["m"], "term": list(TERMS)}
    return xr.Dataset(found, coords=coords)


@pytest.fixture(scope="module")
def shipped():
    return read_calibration()


@pytest.fixture
def saved(tmp_path):
    tree = xr.DataTree.from_dict({"posterior": made()})
    tree.attrs = {"points": 20, "points_file": "mine.csv", "rhat": 1.0, "divergences": 0}
    KIND.save(tmp_path / "mine.nc", tree)
    return tmp_path / "mine.nc"


def draw(calibration, *, seed=0, models=3, accelerator="H100-SXM", engine="vLLM"):
    rng = np.random.default_rng(seed)
    return coefficients(drawn_calibration(calibration, DRAWS, rng, accelerator=accelerator, engine=engine), models, rng)


def test_what_is_saved_is_read_in_single_precision(saved):
    found = read_calibration(saved)
    xr.testing.assert_equal(found.astype(float), made().astype("float32").astype(float))
    assert all(value.dtype == np.float32 for value in found.data_vars.values())
    assert {"points": 20, "points_file": "mine.csv", "rhat": 1.0, "divergences": 0}.items() <= found.attrs.items()


def test_without_a_path_the_shipped_one_is_read(shipped):
    xr.testing.assert_identical(shipped, read_calibration(SHIPPED))
    assert draw(shipped).slowdown.dtype == float


def rewritten(path, **attrs) -> None:
    found = xr.load_dataset(path, engine="netcdf4")
    found.attrs |= attrs
    path.unlink()
    found.to_netcdf(path, engine="netcdf4")


def test_another_kind_or_layout_is_refused(saved):
    rewritten(saved, format=KIND.format + 1)
    with pytest.raises(
        InputError, match=r"mine\.nc: was written by .*, in a newer layout \(\d+\) than this version reads \(\d+\); install"
    ):
        read_calibration(saved)
    rewritten(saved, kind="fit")
    with pytest.raises(InputError, match=r"mine\.nc: is not a calibration; make one with"):
        read_calibration(saved)


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:1000], lambda raw: b"", lambda raw: b"points,1\n", lambda raw: raw[500:]]
)
def test_a_damaged_file_is_one_sentence(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(
        InputError,
        match=r"mine\.nc: is not readable netCDF \(\w+\); make one with `bayesmoe calibrate-serving POINTS\.csv`\.$",
    ):
        read_calibration(saved)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="no such file; make one with `bayesmoe calibrate-serving"):
        read_calibration(tmp_path / "none.nc")
    with pytest.raises(InputError, match="is a folder; name a file"):
        read_calibration(tmp_path)


@pytest.mark.parametrize("models", [1, 5])
def test_shapes(shipped, models):
    found = draw(shipped, models=models)
    assert [slope.shape for slope in found.step] == [(DRAWS, 1)] * len(TERMS)
    assert found.first_prefill.shape == found.first_step.shape == (DRAWS, 1)
    assert found.slowdown.shape == found.first_slowdown.shape == (DRAWS, models)
    assert all((np.asarray(leaf) > 0).all() for leaf in (*found.step, *found[1:]))


def test_same_seed_same_draws(shipped):
    first, again, other = draw(shipped, seed=1), draw(shipped, seed=1), draw(shipped, seed=2)
    for one, two in zip((*first.step, *first[1:]), (*again.step, *again[1:]), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first.slowdown != other.slowdown).all()


def test_an_unknown_engine_is_told_the_nearest(shipped):
    with pytest.raises(InputError) as caught:
        draw(shipped, engine="vLMM")
    assert str(caught.value) == "serving.engine: is not in the calibration, found 'vLMM'; did you mean 'vLLM'?"


def test_effects_act_on_what_they_are_of():
    found = draw(made(), engine="vLLM", accelerator="H100-SXM")
    of = {**dict.fromkeys(OVERHEADS, -0.3), **dict.fromkeys(BY_BANDWIDTH, 0.2)}
    for i, (term, slope) in enumerate(zip(TERMS, found.step, strict=True)):
        np.testing.assert_allclose(np.log(slope), 0.1 * i + of.get(term, 0.0), atol=1e-9)
    np.testing.assert_allclose([found.first_prefill[0, 0], found.first_step[0, 0]], np.exp([0.5, 1.0]))
    assert np.log(found.first_slowdown).mean() == pytest.approx(-0.3 + 0.2, abs=0.03)
    assert np.log(found.slowdown).mean() == pytest.approx(0.0, abs=0.02)


def test_what_was_not_measured_is_drawn_from_the_spread_between_those_that_were():
    found = draw(made(), engine=None, accelerator="A100-SXM-40GB")
    spread = {term: np.log(slope).std() for term, slope in zip(TERMS, found.step, strict=True)}
    assert spread["memory"] == pytest.approx(0.15, rel=0.05)
    assert spread["layer"] == pytest.approx(0.1, rel=0.05)
    assert spread["compute"] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(found.step[1] / found.step[0], np.exp(0.1), err_msg="one engine, one effect")


def test_an_accelerator_or_engine_that_was_not_measured_is_wider(shipped):
    memory, layer = TERMS.index("memory"), TERMS.index("layer")
    measured, new = draw(shipped, accelerator="H200-SXM"), draw(shipped, accelerator="A100-SXM-40GB", engine=None)
    assert np.log(new.step[memory]).std() > 1.1 * np.log(measured.step[memory]).std()
    assert np.log(new.first_slowdown).std() > np.log(measured.first_slowdown).std()
    both = [np.log(one.step[layer]).std() for one in (draw(made()), draw(made(), engine=None))]
    assert both[1] > both[0]


def test_models_share_what_a_deployment_brings_and_differ_by_their_own():
    found = draw(made(), models=6)
    for residual, within, between in ((found.slowdown, 0.2, 0.3), (found.first_slowdown, 0.4, 0.5)):
        logs = np.log(residual)
        assert logs.std(axis=1, ddof=1).mean() == pytest.approx(between, rel=0.06)
        pairs = np.cov(logs.T)[np.triu_indices(6, 1)]
        np.testing.assert_allclose(pairs, within**2, rtol=0.2)
    assert np.corrcoef(np.log(found.slowdown[:, 0]), np.log(found.first_slowdown[:, 0]))[0, 1] == pytest.approx(0, abs=0.06)


def test_without_spread_between_models_all_are_off_alike():
    found = draw(made(between_models=0.0), models=4)
    np.testing.assert_allclose(found.slowdown, np.broadcast_to(found.slowdown[:, :1], (DRAWS, 4)))
    assert np.log(found.slowdown[:, 0]).std() == pytest.approx(0.2, rel=0.05)


def test_residuals_have_the_tails_that_were_fitted():
    alone = made(nu=3.0, between_models=0.0, by_deployment=0.0, within=0.2)
    heavy = np.log(draw(alone, models=1).slowdown[:, 0]) / 0.2
    # Student-t with three degrees: 2.8% beyond four, a normal has none; what lies beyond five is taken as five.
    assert 0.015 < (np.abs(heavy) > 4.0).mean() < 0.045
    assert np.abs(heavy).max() == pytest.approx(5.0, rel=1e-6)


def test_a_measured_latency_has_no_residual():
    found = without_residual(7)
    assert len(found.step) == len(TERMS)
    assert all(np.array_equal(leaf, np.ones((7, 1))) for leaf in (*found.step, *found[1:]))
