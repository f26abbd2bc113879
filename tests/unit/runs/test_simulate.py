"""Simulated runs: the design by hand, the noise from its seed, and the shipped grid from its own script."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.resources import resource_folder
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses


def falling(runs: dict[str, np.ndarray]) -> np.ndarray:
    """A loss that is easy to follow: 3 at one billion tokens, falling with a small power of them."""
    return 3.0 * (runs["tokens"] / 1e9) ** -0.15


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script that writes the shipped grid."""
    path = resource_folder("datasets") / "make_simulated_yun_grid.py"
    spec = importlib.util.spec_from_file_location("make_simulated_yun_grid", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_design_is_every_size_with_every_token_and_expert_count():
    # Yun's family: a third of the backbone is replaced by experts of the same size, two of them active.
    design = grid_of_runs([3e8, 6e8], [1e9, 2e9], [1, 4], family=Family())
    assert design["run_id"].tolist() == [f"sim-00{i}" for i in range(8)]
    assert design["n_dense"].tolist() == [3e8] * 4 + [6e8] * 4
    assert design["tokens"].tolist() == [1e9, 1e9, 2e9, 2e9] * 2
    assert design["num_experts"].tolist() == [1, 4] * 4
    assert design["top_k"].tolist() == [1, 2] * 4
    assert design["n_active"].tolist() == pytest.approx([3e8, 4e8] * 2 + [6e8, 8e8] * 2)
    assert design["n_total"].tolist() == pytest.approx([3e8, 6e8] * 2 + [6e8, 12e8] * 2)
    assert design["num_experts"].dtype.kind == design["top_k"].dtype.kind == "i"
    assert design["activation_ratio"].tolist() == pytest.approx([1, 2 / 4] * 4)
    assert design["train_flop"].tolist() == pytest.approx([1.8e18, 2.4e18, 3.6e18, 4.8e18, 3.6e18, 4.8e18, 7.2e18, 9.6e18])
    assert "loss" not in design


def test_without_noise_the_loss_is_the_laws():
    design = grid_of_runs([1e8], [1e9, 1e11], [1], family=Family())
    assert simulate_losses(design, falling, noise_scale=0.0, seed=1)["loss"].tolist() == pytest.approx(
        [3.0, 3.0 * 100**-0.15]
    )


def test_noise_is_on_the_logarithm_and_follows_its_scale_and_seed():
    design = grid_of_runs([1e8], np.geomspace(1e9, 1e11, 50), [1], family=Family())
    truth = np.log(falling(design))

    def noise(scale: float, seed: int) -> np.ndarray:
        return np.log(simulate_losses(design, falling, noise_scale=scale, seed=seed)["loss"]) - truth

    np.testing.assert_allclose(noise(0.02, 7), 0.02 * np.random.default_rng(7).standard_normal(50), atol=1e-12)
    np.testing.assert_allclose(noise(0.04, 7), 2.0 * noise(0.02, 7), atol=1e-12)
    assert np.abs(noise(0.02, 7) - noise(0.02, 8)).min() > 0


def test_the_design_is_left_alone():
    design = grid_of_runs([1e8], [1e9], [1], family=Family())
    simulate_losses(design, falling, noise_scale=0.1, seed=1)
    assert "loss" not in design


def test_the_script_reproduces_the_shipped_grid(maker):
    shipped = (resource_folder("datasets") / "simulated-yun-grid.csv").read_text(encoding="utf-8")
    assert maker.simulated_yun_grid().to_csv(index=False) == shipped


def test_another_seed_gives_other_losses_on_the_same_design(maker, monkeypatch):
    shipped = maker.simulated_yun_grid()
    monkeypatch.setattr(maker, "SEED", maker.SEED + 1)
    other = maker.simulated_yun_grid()
    assert (other["loss"] != shipped["loss"]).mean() > 0.9
    assert other.drop(columns="loss").equals(shipped.drop(columns="loss"))
