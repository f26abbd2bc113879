"""Fits to parts of a table: what is held out leaves no trace, and extrapolation distance is what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from arviz_stats.base import array_stats
from seeds import seeded

from bayesmoe.architecture import Family
from bayesmoe.inference.extrapolation import parts_of_distance
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.spec import AverageSpec, GroupSpec, PriorSpec, load_table
from bayesmoe.laws import law_named
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses


@pytest.fixture(scope="module")
def simulated(small_spec):
    """The embedded runs' table."""
    return load_table(small_spec.data, small_spec.groups)


AXES = ("n_dense", "tokens", "num_experts")


@pytest.fixture(scope="module")
def refits(small_spec, simulated):
    """Refits of that table."""
    return Refits(small_spec, simulated)


@pytest.fixture(scope="module")
def smaller(refits):
    """Runs below the largest size, and the fit to them."""
    kept = (refits.frame["n_dense"] < refits.frame["n_dense"].max()).to_numpy()
    return kept, refits.fit(kept, axes=AXES)


@pytest.fixture(scope="module")
def whole(refits):
    """The fit to every run."""
    return refits.fit(np.ones(len(refits.frame), dtype=bool), axes=AXES)


@pytest.mark.slow
def test_runs_held_out_leave_no_trace(small_spec, simulated, smaller, whole) -> None:
    kept, found = smaller
    spoilt = simulated.frame.assign(loss=np.where(kept, simulated.frame["loss"], 9.0))
    other = Refits(small_spec, dataclasses.replace(simulated, frame=spoilt)).fit(kept)
    np.testing.assert_array_equal(found["expected"].values, other["expected"].values)
    assert not np.array_equal(found["expected"].values, whole["expected"].values)


@pytest.mark.slow
def test_a_fit_that_starts_from_the_mode_of_another_predicts_the_same(refits, smaller, whole) -> None:
    """Means of the larger runs' expected log losses, at five standard errors of both: 24 runs, one false alarm in 70,000."""
    kept, cold = smaller
    warm = refits.fit(kept, axes=AXES, near=whole["mode"].values)
    means, errors = [], []
    for fit in (cold, warm):
        ln = np.log(fit["expected"].values[:, ~kept]).reshape(4, -1, (~kept).sum())
        means.append(ln.mean(axis=(0, 1)))
        errors.append(array_stats.mcse(ln, method="mean", chain_axis=0, draw_axis=1))
    np.testing.assert_array_less(np.abs(means[1] - means[0]), 5.0 * np.hypot(*errors))


def test_the_mode_of_a_fit_is_its_highest_draw(refits, small_spec, small_fit) -> None:
    _, density, arguments = refits._model(np.ones(len(refits.frame), dtype=bool))
    best = refits.mode(small_fit)
    assert float(density(best, *arguments)) == pytest.approx(float(small_fit["sample_stats"]["lp"].max()), abs=1e-6)


@pytest.mark.slow
def test_predictions_of_larger_runs_hold_the_truth(small_spec) -> None:
    """Runs made by the law fitted; 99.9% band of the mean of their residuals, at the noise that the fit found."""
    law = law_named("chinchilla")
    truth = law.coefficients("besiroglu")
    design = grid_of_runs(np.geomspace(5e7, 2e9, 6), np.geomspace(2e9, 1e11, 5), [1], family=Family())
    runs = as_run_table(simulate_losses(design, lambda run: law.loss(truth, run), noise_scale=0.004, seed=seeded(3)))
    refits = Refits(with_law(small_spec, "chinchilla"), runs)
    held = (refits.frame["n_dense"] == refits.frame["n_dense"].max()).to_numpy()
    found = refits.fit(~held)
    residual = np.log(refits.frame["loss"].to_numpy()[held]) - np.log(found["expected"].values[:, held])
    spread = np.hypot(residual.mean(axis=1).std(), float(found["noise_scale"].mean()) / np.sqrt(held.sum()))
    assert abs(residual.mean()) < 3.3 * spread
    assert abs(residual.mean() + 0.05) > 3.3 * spread
    assert float(found["rhat"]) < 1.05


def test_distance_is_the_slope_times_that_to_the_runs_nearby(refits, smaller) -> None:
    sizes = np.sort(refits.frame["n_dense"].unique())
    held, found = ~smaller[0], smaller[1]
    distance = found["distance"]
    assert list(distance["part"].values) == list(parts_of_distance(AXES))
    along = distance.sel(part="n_dense").values
    assert along[held].min() > 2.0 * np.abs(along[~held]).max()
    # Corners of the grid have neighbors on one side.
    assert np.abs(distance.sel(part=["tokens", "num_experts"]).values[:, held]).max() < 0.5 * along[held].min()
    products = distance.sel(part="n_dense x experts").values[held]
    assert products.min() < 0 < products.max()
    # A power law bends: from one size to the next the loss falls by less than the slopes of smaller ones say, and not by much less.
    ln = np.log(found["expected"].values).mean(axis=0)
    frame = refits.frame.assign(ln=ln, distance=along)
    paired = frame[held].merge(frame[frame["n_dense"] == sizes[-2]], on=["tokens", "num_experts"])
    ratio = (paired["ln_y"] - paired["ln_x"]) / paired["distance_x"]
    assert ratio.between(0.5, 1.0).all(), ratio.describe()


def test_a_fit_knows_where_its_runs_lie(small_fit, refits, whole) -> None:
    ours, refitted = refits.places(small_fit, AXES), whole
    np.testing.assert_array_equal(ours["ln_covariate"], refitted["ln_covariate"])
    # Means over two fits of some hundred draws each, whose chains part at the first digit in which two processors round differently: the slope
    # along experts, the least known, then differs by a tenth. Axes differ by more than twice that.
    np.testing.assert_allclose(ours["slope"], refitted["slope"], rtol=0.2, atol=1e-3)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(ours["slope"], refitted["slope"].roll(axis=1), rtol=0.2, atol=1e-3)
    assert (ours["slope"].sel(axis="n_dense") > 0.0).all()


@pytest.mark.slow
def test_a_group_extrapolates_from_its_own_runs(small_spec, simulated) -> None:
    """Two groups that were trained at the two halves of the expert counts: what one has seen is far for the other."""
    few = simulated.frame["num_experts"] <= simulated.frame["num_experts"].median()
    table = dataclasses.replace(simulated, frame=simulated.frame.assign(group=np.where(few, "few", "many")))
    held = few & (simulated.frame["num_experts"] == simulated.frame.loc[few, "num_experts"].max())
    found = {}
    for groups in (None, GroupSpec(column="group")):
        refits = Refits(dataclasses.replace(small_spec, groups=groups), table)
        asked = refits.frame["run_id"].isin(simulated.frame.loc[held, "run_id"]).to_numpy()
        distance = refits.fit(~asked, axes=("num_experts",))["distance"].sel(part="num_experts")
        found[groups] = distance.values[asked]
    assert (found[None] < found[GroupSpec(column="group")]).all()


def test_a_law_of_an_average_has_the_priors_that_the_average_gives_it(small_spec) -> None:
    prior = PriorSpec(median=0.05, sd=1.0)
    spec = dataclasses.replace(
        small_spec, average=AverageSpec(laws=("yun", "chinchilla"), priors={"yun": {"slope_tokens": prior}})
    )
    assert with_law(spec, "yun").law.priors == {"slope_tokens": prior}
    assert with_law(spec, "chinchilla").law.priors == {}
