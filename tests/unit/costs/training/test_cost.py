"""Training on a cluster, with the shipped calibration: what fits, what is said where nothing does, and conservation."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.architecture import public_shape
from bayesmoe.costs.training.calibration import drawn_training, read_training_calibration, training_slopes
from bayesmoe.costs.training.cost import STEP_PARTS, cluster_of, cost_on_cluster, training_cost
from bayesmoe.costs.training.step import TERMS
from bayesmoe.costs.training_budget import Training
from bayesmoe.specs import from_mapping

DRAWS = 200


def spec(**changed) -> Training:
    return from_mapping({"budget_flop": 1e22, "cluster_gpus": 64, **changed}, Training)


def on_cluster(name: str, **changed):
    shapes, asked = [public_shape(name)], spec(**changed)
    found = training_cost(shapes, asked, cluster_of(asked), DRAWS, np.random.default_rng(0))
    return cost_on_cluster(shapes, asked, found, np.full((DRAWS, 1), 1e12))


def test_hours_are_tokens_over_rate():
    found = on_cluster("mixtral-8x7b")
    assert found["train_fits"].all()
    hours = found["train_gpu_hours"] * found["train_tokens_per_s_per_gpu"] * 3600.0
    np.testing.assert_allclose(hours, 1e12, rtol=1e-5)
    np.testing.assert_allclose(found["train_days"] * 24 * 64, found["train_gpu_hours"], rtol=1e-6)
    np.testing.assert_allclose(found["train_part_share"].sum("train_part"), 1.0, rtol=1e-5)
    assert found["train_part"].values.tolist() == list(STEP_PARTS)
    flop = public_shape("mixtral-8x7b").train_flop_per_token(4096.0)
    np.testing.assert_allclose(found["train_mfu"], found["train_tokens_per_s_per_gpu"] * flop / 989e12, rtol=1e-5)


def test_what_does_not_fit_says_why_and_has_no_rate():
    found = on_cluster("deepseek-v3", cluster_gpus=8)
    assert not found["train_fits"].any()
    assert found["train_tokens_per_s_per_gpu"].isnull().all()
    assert "GB a GPU" in str(found["train_reason"].item())
    assert float(found["train_memory_bytes"].median()) > 80e9


def test_a_step_that_cannot_be_shared_out_says_so():
    found = on_cluster("mixtral-8x7b", cluster_gpus=2048, step_tokens=4096.0)
    assert "no layout divides it" in str(found["train_reason"].item())
    assert not found["train_fits"].any()


def test_without_a_cluster_nothing_is_said():
    assert cluster_of(from_mapping({"budget_flop": 1e22}, Training)) is None


def test_more_gpus_never_make_it_unfit():
    shape = public_shape("qwen3-30b-a3b")
    fits = []
    for gpus in (1, 8, 64, 256):
        some = spec(cluster_gpus=gpus)
        fits.append(training_cost([shape], some, cluster_of(some), DRAWS, np.random.default_rng(0)).fits.mean())
    assert fits == sorted(fits)
    assert fits[0] == 0.0
    assert fits[-1] == 1.0


def test_draws_of_the_shipped_calibration():
    drawn = drawn_training(
        read_training_calibration(), DRAWS, np.random.default_rng(0), accelerator="H100-SXM", precision="bf16"
    )
    slopes = training_slopes(drawn, np.array([False, True, True]), np.random.default_rng(0))
    assert len(slopes.terms) == len(TERMS)
    assert slopes.terms[0].shape == (DRAWS, 1)
    assert slopes.slowdown.shape == slopes.unevenness.shape == (DRAWS, 3)
    assert all((np.asarray(leaf) > 0).all() for leaf in (*slopes.terms, slopes.slowdown, slopes.unevenness))


@pytest.mark.parametrize(("run", "slower"), [("whole_run", 1.1), ("steady_state", 0.9)])
def test_runs_fall_behind_benchmarks(run, slower):
    made = [
        drawn_training(
            read_training_calibration(), 2000, np.random.default_rng(0), accelerator="H100-SXM", precision="bf16", run=kind
        ).common
        for kind in (None, run)
    ]
    assert np.median(made[1]) > slower * np.median(made[0])
