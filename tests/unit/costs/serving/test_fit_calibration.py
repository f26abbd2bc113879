"""The calibration: known coefficients come back, points that were held back are foretold, and the shipped one is sound."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import serving_points as truth
import xarray as xr

from bayesmoe.architecture import public_shape
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.hierarchical import counts_as
from bayesmoe.costs.serving.calibration import SHIPPED, coefficients, drawn_calibration, read_calibration
from bayesmoe.costs.serving.fit_calibration import calibrate_serving, terms_of
from bayesmoe.costs.serving.roofline import Roofline
from bayesmoe.costs.serving.step import TERMS
from bayesmoe.costs.serving_measurements import Points, read_points
from bayesmoe.errors import InputError

FEW = {"warmup": 500, "draws": 1000, "chains": 2}
HELD_BACK = "dbrx"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Points of six architectures, those of a seventh, and what the six say."""
    folder = tmp_path_factory.mktemp("points")
    frame = truth.simulated_points(architectures=(*truth.ARCHITECTURES, HELD_BACK), seed=1)
    points = read_points(truth.write_points(folder / "points.csv", frame))
    seen = (points.frame["architecture"] != HELD_BACK).to_numpy()
    measured, held_back = points.where(seen), points.where(~seen)
    return SimpleNamespace(measured=measured, held_back=held_back, tree=calibrate_serving(measured, **FEW))


def foretold(calibration: xr.Dataset, points: Points, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws of ln seconds of a step and to the first token, shape (draw, point)."""
    rng, frame = np.random.default_rng(seed), points.frame
    step, first = np.zeros((2, 2000, len(frame)))
    for (hardware, precision, engine), rows in frame.groupby(["hardware", "weight_precision", "engine"]).indices.items():
        drawn = drawn_calibration(calibration, 2000, rng, accelerator=hardware, engine=engine)
        off, roofline = coefficients(drawn, 1, rng), Roofline(accelerator_named(hardware), precision)
        batch, gpus = (frame[name].to_numpy(float)[rows] for name in ("batch", "n_gpus"))
        asked = (points.served(rows), batch, gpus, points.traffic(rows), off)
        step[:, rows], first[:, rows] = np.log(sum(roofline(*asked))), np.log(roofline.first_token_s(*asked))
    return step, first


def covered(draws: np.ndarray, value: np.ndarray | float, share: float) -> np.ndarray:
    """Whether the central interval covers."""
    low, high = np.quantile(draws, [(1 - share) / 2, (1 + share) / 2], axis=0)
    return (low <= value) & (value <= high)


def flat(tree: xr.DataTree, name: str) -> np.ndarray:
    return tree["posterior"][name].stack(sample=("chain", "draw")).transpose("sample", ...).values


@pytest.mark.slow
def test_terms_are_those_counted_by_hand(simulated):
    points = simulated.measured
    terms, prompt = terms_of(points)
    by_hand = [truth.counted(public_shape(row["architecture"]), row) for row in points.frame.to_dict("records")]
    np.testing.assert_allclose(terms, [[row[term] for term in TERMS] for row in by_hand], rtol=1e-9)
    np.testing.assert_allclose(prompt, [[row["prompt"], row["prompt_experts"]] for row in by_hand], rtol=1e-9)


@pytest.mark.slow
def test_chains_agree_and_say_so(simulated):
    attrs = simulated.tree.attrs
    assert attrs["rhat"] < 1.05
    assert attrs["divergences"] == int(simulated.tree["sample_stats"]["diverging"].sum()) <= 4
    assert (attrs["points"], attrs["seed"], attrs["points_file"]) == (120, 0, "points.csv")
    assert attrs["points_sha256"] == simulated.measured.sha256
    posterior = simulated.tree["posterior"]
    assert posterior["term"].values.tolist() == list(TERMS)
    assert posterior["architecture"].values.tolist() == sorted(truth.ARCHITECTURES)
    assert posterior["engine"].values.tolist() == sorted(truth.OF_ENGINE)
    assert not any(str(name).endswith("_z") for name in posterior.data_vars)


@pytest.mark.slow
def test_known_coefficients_come_back(simulated):
    theta = flat(simulated.tree, "theta")
    assert covered(theta, np.log([truth.SLOPES[term] for term in TERMS]), 0.999).all()
    # What the points say most about.
    assert theta[:, TERMS.index("memory")].std() < 0.15
    assert theta[:, TERMS.index("layer")].std() < 0.3
    for name, value in (("first_prefill", truth.FIRST_PREFILL), ("first_step", truth.FIRST_STEP)):
        assert covered(flat(simulated.tree, name), np.log(value), 0.999), name
    assert covered(flat(simulated.tree, "within"), truth.WITHIN, 0.999)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "known"), [("of_engine", truth.OF_ENGINE), ("of_hardware", truth.OF_HARDWARE)])
def test_known_effects_come_back(simulated, name, known):
    draws, sizes = flat(simulated.tree, name), np.array(list(known.values()))
    largest, smallest = sizes.argmax(), sizes.argmin()
    apart = draws[:, largest] - draws[:, smallest]
    assert covered(apart, sizes[largest] - sizes[smallest], 0.999)
    assert (apart > 0).mean() > 0.95


@pytest.mark.slow
def test_a_model_that_was_not_measured_is_foretold(simulated):
    points = simulated.held_back
    step, first = foretold(simulated.tree["posterior"].to_dataset(), points)
    ln_tpot, ln_ttft = (np.log(points.frame[name].to_numpy(float) * 1e-3) for name in ("tpot_ms", "ttft_ms"))
    timed = np.isfinite(ln_ttft)
    # One of 20 lies outside by chance in 2% of cases, two in 2 of 10,000.
    assert (~covered(step, ln_tpot, 0.999)).sum() <= 1
    assert (~covered(first[:, timed], ln_ttft[timed], 0.999)).sum() <= 1
    assert 5 < timed.sum() < len(timed)
    # The points of one model err together, by its own effect.
    assert abs(np.mean(ln_tpot - np.median(step, axis=0))) < 3 * np.hypot(truth.BETWEEN, truth.WITHIN)
    assert np.median(step.std(axis=0)) < 0.3


@pytest.mark.slow
def test_same_seed_same_draws(simulated):
    some = simulated.measured.where(np.arange(120) < 40)
    settings = {"warmup": 30, "draws": 20, "chains": 1}
    found = [calibrate_serving(some, seed=seed, **settings) for seed in (3, 3, 4)]
    same = [bool((found[0]["posterior"]["theta"] == one["posterior"]["theta"]).all()) for one in found[1:]]
    assert same == [True, False]
    assert np.isnan(found[0].attrs["rhat"]), "one chain has nothing to agree with"


@pytest.mark.slow
def test_points_without_time_to_first_token(simulated):
    points = simulated.measured
    blank = Points(points.frame.assign(ttft_ms=np.nan), points.models, points.file, points.sha256)
    found = calibrate_serving(blank, warmup=100, draws=100, chains=1)
    assert all(np.isfinite(value).all() for value in found["posterior"].data_vars.values())
    assert covered(flat(found, "theta"), np.log([truth.SLOPES[term] for term in TERMS]), 0.999).all()
    # Nothing was learned of it: the prior's spread.
    assert flat(found, "first_step").std() == pytest.approx(1.0, rel=0.5)


@pytest.mark.slow
def test_too_few_points_are_refused(simulated):
    with pytest.raises(InputError) as caught:
        calibrate_serving(simulated.measured.where(np.arange(120) < 19))
    assert str(caught.value) == f"{simulated.measured.file}: has too few points, found 19; give at least 20."


def test_points_of_one_group_count_as_so_many_at_most():
    groups = pd.Series(["many"] * 40 + ["few"] * 4 + ["ten"] * 10)
    np.testing.assert_allclose(counts_as(groups), [0.25] * 40 + [1.0] * 14)
    np.testing.assert_allclose(counts_as(groups, 3.0), [3 / 40] * 40 + [0.75] * 4 + [0.3] * 10)


@pytest.mark.slow
def test_what_is_one_models_own_is_told_from_what_all_share(tmp_path):
    """Models in a deployment differ by 0.25, deployments by nothing: a fit with one residual for all, as an earlier one, is what this rejects."""
    rng = np.random.default_rng(5)
    frame = truth.simulated_points(each=48, seed=2, deployments=12).assign(ttft_ms=np.nan)
    cells = frame.groupby(["architecture", "hardware", "engine", "weight_precision", "n_gpus"], sort=False).ngroup()
    frame["tpot_ms"] *= np.exp(0.25 * rng.standard_normal(cells.max() + 1))[cells]
    found = calibrate_serving(read_points(truth.write_points(tmp_path / "points.csv", frame)), **FEW)
    own = np.hypot(np.hypot(flat(found, "by_cell"), flat(found, "within")), flat(found, "between_models"))
    assert 0.15 < np.median(own) < 0.4
    assert np.median(flat(found, "by_deployment")) < 0.5 * np.median(own)


@pytest.fixture(scope="module")
def shipped():
    return read_calibration()


@pytest.mark.parametrize(
    ("term", "low", "high"),
    [
        ("layer", 5e-6, 200e-6),
        ("memory", 0.8, 3.0),
        ("prefill", 0.8, 4.0),
        ("compute", 0.5, 6.0),
        ("experts", 1.0, 12.0),
        ("request", 1e-7, 60e-6),
    ],
)
def test_shipped_coefficients_are_physical(shipped, term, low, high):
    slope = np.exp(shipped["theta"].sel(term=term))
    assert low < float(slope.quantile(0.05)) < float(slope.quantile(0.95)) < high


def test_shipped_chains_agree_and_name_their_source(shipped):
    assert shipped.attrs["rhat"] <= 1.01
    assert shipped.attrs["divergences"] <= 20
    assert shipped.attrs["points"] > 1000
    assert len(shipped.attrs["points_sha256"]) == 64
    assert "aiconfigurator" in shipped.attrs["source"]
    assert shipped["term"].values.tolist() == list(TERMS)
    assert SHIPPED.stat().st_size < 500_000


@pytest.fixture
def public(shared_data, tmp_path):
    """The public points at a load, with real over nominal lengths, as ``datasets/make_serving_calibration.py`` has them."""
    file = shared_data / "serving" / "serving_silicon_derived.csv"
    frame = pd.read_csv(file)
    frame["length_share"] = np.where(frame["run_family"] == "inferencex", 0.9, 1.0)
    return read_points(truth.write_points(tmp_path / file.name, frame))


@pytest.mark.slow
@pytest.mark.sweep
def test_a_real_model_that_was_left_out_is_foretold(public):
    left_out = (public.frame["architecture"] == "llama-3.1-8b").to_numpy()
    found = calibrate_serving(public.where(~left_out), warmup=300, draws=300)
    points = public.where(left_out)
    step, _ = foretold(found["posterior"].to_dataset(), points)
    ln_tpot = np.log(points.frame["tpot_ms"].to_numpy(float) * 1e-3)
    assert 0.75 <= covered(step, ln_tpot, 0.9).mean() <= 1.0
    assert np.median(np.abs(np.expm1(np.median(step, axis=0) - ln_tpot))) < 0.30
