"""Noise that depends on the run: the joint density of replicates, references, and what fits say of tables made with and without it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from seeds import seeded

from bayesmoe.architecture import Family
from bayesmoe.errors import InputError
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.noise import given_earlier, ln_ratio, noise_data, parts_of, relative_scale, replicates
from bayesmoe.inference.predict import predict
from bayesmoe.inference.spec import DataSpec, FitSpec, LawSpec, NoiseSpec
from bayesmoe.laws import law_named
from bayesmoe.runs import as_run_table
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses
from bayesmoe.sampling.settings import SamplerSpec

LAW = law_named("chinchilla")
TRUTH = LAW.coefficients("besiroglu")
DESIGN = grid_of_runs(np.geomspace(5e7, 2e9, 6), np.geomspace(2e9, 1e11, 6), [1], family=Family())
RATIO = ln_ratio(DESIGN, "n_active")
SPEC = FitSpec(
    data=DataSpec(file="runs.csv"), law=LawSpec(name="chinchilla"), sampler=SamplerSpec(draws=500, seed=seeded(3))
)


def fitted(frame: pd.DataFrame, *parts: str):
    """A fit of Chinchilla's law whose noise depends on these parts."""
    return fit_spec(dataclasses.replace(SPEC, noise=NoiseSpec(depends_on=parts)), table=as_run_table(frame))


def runs(noise: np.ndarray | float, seed: int) -> pd.DataFrame:
    """Runs of the design, of Chinchilla's law, with noise of each run's own scale."""
    exact = simulate_losses(DESIGN, lambda run: LAW.loss(TRUTH, run), noise_scale=0.0, seed=0)
    return exact.assign(loss=exact["loss"] * np.exp(noise * np.random.default_rng(seeded(seed)).standard_normal(len(exact))))


def test_replicates_one_by_one_have_their_joint_density() -> None:
    loss, mean, scale, share = np.array([2.51, 2.46, 2.50, 2.44]), 2.48, 0.03, 0.3
    total = 0.0
    for place, value in enumerate(loss):
        earlier = {"earlier": float(place), "earlier_mean": loss[:place].mean() if place else value}
        total += stats.norm.logpdf(value, *map(float, given_earlier(mean, scale, share, earlier)))
    covariance = scale**2 * (share * np.eye(4) + (1.0 - share))
    assert total == pytest.approx(stats.multivariate_normal.logpdf(loss, np.full(4, mean), covariance), rel=1e-6)
    alone = stats.norm.logpdf(loss, mean, scale).sum()
    assert abs(total - alone) > 0.1, "replicates are no independent runs"


def test_replicates_differ_in_seed_and_measurements_only() -> None:
    frame = pd.DataFrame(
        {
            "run_id": list("abcdef"),
            "n_dense": [1e8, 1e8, 1e8, 1e8, 2e8, 1e8],
            "learning_rate": [1.0, 1.0, 1.0, 2.0, 1.0, 1.0],
            "loss": [3.0, 3.1, 3.2, 3.3, 2.9, 3.4],
            "loss_c4": [3.5, 3.6, 3.7, 3.8, 3.4, 3.9],
            "seed": [1, 2, 3, 1, 1, np.nan],
        }
    )
    number = replicates(frame)
    assert number[:3].nunique() == 1
    assert number.nunique() == 4, "another learning rate, another size and a run without a seed stand alone"
    found = noise_data(frame, np.array([True, False, True, True, True, True]), "loss", ("seed",))
    np.testing.assert_array_equal(found["earlier"][:3], [0, 1, 1])
    assert float(found["earlier_mean"][2]) == 3.0, "a run held out is no replicate"


def test_a_table_that_cannot_tell_a_part_goes_without_it() -> None:
    one_budget = DESIGN.assign(tokens=2e10, loss=3.0)
    assert parts_of(one_budget, ("loss", "ratio", "seed")) == ("loss",)
    assert parts_of(DESIGN.assign(loss=3.0), ("ratio",)) == ("ratio",)
    seeds = pd.concat([DESIGN.assign(seed=1), DESIGN.assign(seed=2)], ignore_index=True)
    assert parts_of(seeds, ("seed",)) == ("seed",)


def test_noise_is_the_tables_at_its_references_and_never_runs_away() -> None:
    data = {"ln_loss": np.log(2.5), "ln_ratio": np.log(20.0), "ln_ratio_range": np.log(100.0)}
    ratio = np.log([20.0, 200.0, 2.0, 1e30, 2000.0])
    slopes = {"noise_loss": 1.0, "noise_ratio": 0.3}
    found = np.asarray(relative_scale(slopes, np.log([2.5] * 5), ratio, data))
    assert found[0] == pytest.approx(1.0)
    assert found[1] == pytest.approx(found[2])
    assert 1.5 < found[1] < found[3] < 3.0
    assert found[3] == found[4], "no more than at the furthest run seen"
    extremes = relative_scale({"noise_ratio": np.array([[9.0], [-9.0]])}, np.zeros(5), ratio, data)
    assert 1 / 9.01 < float(np.min(extremes)) / float(np.max(extremes)) < 1 / 8.9


SLOPE = 0.7
"""True growth of the noise per e-fold of tokens per parameter."""


@pytest.fixture(scope="module")
def scattered() -> tuple[pd.DataFrame, np.ndarray]:
    """Runs whose noise grows by up to threefold away from the usual ratio, and its scale."""
    median = np.median(RATIO)
    references = {"ln_ratio": median, "ln_ratio_range": np.abs(RATIO - median).max()}
    scale = 0.003 * np.asarray(relative_scale({"noise_ratio": SLOPE}, np.zeros(len(RATIO)), RATIO, references))
    return runs(scale, seed=4), scale


@pytest.mark.slow
def test_noise_that_grows_away_from_the_frontier_is_found_and_predicted(scattered) -> None:
    _, scale = scattered
    # Three runs of each configuration: one alone leaves the slope half unknown.
    frame = pd.concat([runs(scale, seed=seed) for seed in (4, 14, 24)], ignore_index=True)
    found = fitted(frame.assign(run_id=[f"run {i}" for i in range(len(frame))]), "ratio")
    low, high = np.quantile(found["posterior"]["noise_ratio"].values, [0.0005, 0.9995])
    assert low < SLOPE < high
    assert low > 0.0
    models = DESIGN.iloc[[0, 5]].assign(run_id=["near", "far"])
    order = np.argsort(np.abs(ln_ratio(models, "n_active") - np.median(RATIO)))
    drawn = predict(found, models)
    spread = np.log(drawn["loss"] / drawn["expected"]).std("sample").values
    assert spread[order[1]] > 1.5 * spread[order[0]]
    with pytest.raises(InputError, match="n_active: is needed by the noise of this fit"):
        predict(found, models.drop(columns="n_active"))


@pytest.mark.slow
def test_a_table_of_even_noise_says_so() -> None:
    found = fitted(runs(0.004, seed=5), "ratio", "loss")
    for site in ("noise_ratio", "noise_loss"):
        low, high = np.quantile(found["posterior"][site].values, [0.0005, 0.9995])
        assert low < 0.0 < high


@pytest.mark.slow
def test_runs_far_from_the_frontier_pull_less(scattered) -> None:
    """A discrepancy of the runs furthest away moves the frontier's loss less than under one noise for all."""
    frame, scale = scattered
    far = scale > np.quantile(scale, 0.7)
    bent = frame.assign(loss=np.where(far, frame["loss"] * 1.03, frame["loss"]))
    models = DESIGN.assign(run_id=[f"model {i}" for i in range(len(DESIGN))])[scale < np.quantile(scale, 0.3)]
    truth = np.asarray(LAW.loss(TRUTH, {name: models[name].to_numpy(float) for name in LAW.covariates}))
    moved = {}
    for parts in ((), ("ratio",)):
        expected = predict(fitted(bent, *parts), models)["expected"].values
        moved[parts] = np.abs(np.log(np.median(expected, axis=0) / truth)).mean()
    assert moved["ratio",] < 0.6 * moved[()]


@pytest.mark.slow
def test_seed_noise_is_told_from_misfit_of_the_configuration() -> None:
    rng = np.random.default_rng(seeded(6))
    seeds = pd.concat([DESIGN.assign(seed=seed) for seed in range(3)], ignore_index=True)
    seeds = seeds.assign(run_id=[f"run {i}" for i in range(len(seeds))])
    exact = simulate_losses(seeds, lambda run: LAW.loss(TRUTH, run), noise_scale=0.0, seed=0)
    discrepancy = np.tile(0.008 * rng.standard_normal(len(DESIGN)), 3)
    frame = exact.assign(loss=exact["loss"] * np.exp(discrepancy + 0.002 * rng.standard_normal(len(exact))))
    correlation, apart = fitted(frame, "seed"), fitted(frame)
    seed_scale = correlation["posterior"]["noise_scale"] * np.sqrt(correlation["posterior"]["seed_share"])
    low, high = np.quantile(seed_scale.values, [0.0005, 0.9995])
    assert low < 0.002 < high
    ratio = float(correlation["posterior"]["loss_reference"].std() / apart["posterior"]["loss_reference"].std())
    assert ratio == pytest.approx(np.sqrt(3.0), rel=0.25), "three seeds of one discrepancy are one run, nearly"


@pytest.mark.parametrize(("part", "hint"), [("seed", "a column seed"), ("ratio", "tokens and a size that both vary")])
def test_noise_that_the_table_cannot_tell_is_refused_where_it_is_asked_for(part, hint) -> None:
    with pytest.raises(InputError, match=hint):
        fitted(DESIGN.assign(tokens=2e10, loss=3.0), part)
