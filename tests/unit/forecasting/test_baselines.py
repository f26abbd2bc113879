"""Today's practice, done well enough to be a fair opponent."""

from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded

from bayesmoe.architecture import Family
from bayesmoe.forecasting.baselines import huber_bootstrap, with_residuals
from bayesmoe.laws import law_named
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses

LAW = law_named("chinchilla")
TRUTH = LAW.coefficients("besiroglu")


@pytest.fixture(scope="module")
def runs():
    """Thirty runs of Chinchilla's law with little noise."""
    design = grid_of_runs(np.geomspace(5e7, 2e9, 6), np.geomspace(2e9, 1e11, 5), [1], family=Family())
    return simulate_losses(design, lambda run: LAW.loss(TRUTH, run), noise_scale=0.002, seed=seeded(0))


def test_the_bootstrap_moves_and_holds_the_runs_it_saw(runs) -> None:
    law = law_named("chinchilla", size="n_dense")
    found = huber_bootstrap(law, runs, np.ones(len(runs), dtype=bool), seed=0, resamples=40)
    assert found.moved > 0.9
    assert found.residual_sd == pytest.approx(0.002, rel=0.5)
    draws = with_residuals(found, draws=1000, seed=0)
    low, high = np.quantile(draws, [0.005, 0.995], axis=0)
    assert ((runs["loss"] >= low) & (runs["loss"] <= high)).mean() > 0.85
    assert not ((runs["loss"] * 1.02 >= low) & (runs["loss"] * 1.02 <= high)).any()


@pytest.mark.slow
def test_groups_have_their_own_level(runs) -> None:
    shifted = runs.assign(group=np.where(np.arange(len(runs)) % 2, "a", "b"))
    shifted["loss"] = runs["loss"] * np.where(shifted["group"] == "a", 1.05, 1.0)
    law = law_named("chinchilla", size="n_dense")
    found = huber_bootstrap(law, shifted, np.ones(len(runs), dtype=bool), seed=0, resamples=5)
    assert found.residual_sd < 0.006
    pooled = huber_bootstrap(law, shifted.drop(columns="group"), np.ones(len(runs), dtype=bool), seed=0, resamples=5)
    assert pooled.residual_sd > 0.015
