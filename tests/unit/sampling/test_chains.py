"""The sampler against a density whose moments are known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.sampling.chains import _compiled, sample
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.sampling.start import overdispersed_starts

MEAN = np.array([1.0, -2.0, 0.5])
FACTOR = np.array([[1.0, 0.0, 0.0], [0.999, 0.05, 0.0], [0.0, 0.0, 30.0]])


def gaussian(position, precision):
    """Log density of a strongly correlated Gaussian."""
    away = position - MEAN
    return -0.5 * away @ precision @ away


def draws(precision, seed: int, chains: int = 4, kernel: str = "hmc"):
    """Draws of the Gaussian with that precision."""
    prior = np.random.default_rng(seed).normal(size=(chains, 3))
    start = overdispersed_starts(gaussian, (precision,), prior, chains=chains, held=np.zeros(3, dtype=bool), seed=seed)
    seen = []
    settings = SamplerSpec(kernel=kernel, warmup=600, draws=500, target_accept=0.8)
    out = sample(gaussian, (precision,), start, jax.random.key(seed), settings, on_progress=seen.append)
    return out.position, out.stats, seen


@pytest.fixture(scope="module")
def precision():
    return np.linalg.inv(FACTOR @ FACTOR.T)


def standardized_mean(position: np.ndarray) -> np.ndarray:
    """Mean in units of the true standard deviation, times the root of a cautious effective sample size."""
    sd = np.sqrt(np.diag(FACTOR @ FACTOR.T))
    return (position.mean(axis=(0, 1)) - MEAN) / sd * np.sqrt(position.shape[0] * position.shape[1] / 4)


@pytest.mark.parametrize("kernel", ["hmc", "nuts"])
def test_moments_of_a_correlated_gaussian(precision, kernel) -> None:
    position, stats, _ = draws(precision, 0, kernel=kernel)
    # |z| > 4 has probability 6e-5 in each of three coordinates.
    assert np.abs(standardized_mean(position)).max() < 4
    covariance = np.cov(position.reshape(-1, 3).T)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), np.sqrt(np.diag(FACTOR @ FACTOR.T)), rtol=0.12)
    assert stats["diverging"].sum() == 0


def test_a_shifted_density_is_rejected(precision) -> None:
    position, _, _ = draws(precision, 0)
    sd = np.sqrt(np.diag(FACTOR @ FACTOR.T))
    assert np.abs(standardized_mean(position + 0.3 * sd)).max() > 4


def test_the_same_key_gives_the_same_draws_whatever_the_threads(precision, monkeypatch) -> None:
    first, _, _ = draws(precision, 3, chains=2)
    monkeypatch.setattr("bayesmoe.sampling.chains.CORES", 1)
    again, _, _ = draws(precision, 3, chains=2)
    np.testing.assert_array_equal(first, again)


def test_progress_counts_every_stage_to_its_end(precision) -> None:
    _, _, seen = draws(precision, 1, chains=2)
    warmup = [p.done for p in seen if p.stage == "warm-up"]
    assert warmup == sorted(warmup)
    assert 200 <= warmup[-1] < 600, "a Gaussian needs no more than two windows"
    assert [p.done for p in seen if p.stage == "sampling"][-1] == 500
    assert all(p.done <= p.total for p in seen)


def test_a_second_mode_that_one_climb_in_sixteen_met_has_a_chain() -> None:
    def two_modes(position):
        x = position[0]
        return jnp.logaddexp(-0.5 * ((x - 20) / 0.5) ** 2, -0.5 * ((x + 20) / 0.5) ** 2)

    prior = np.append(np.full(15, 18.0), -18.0)[:, None]
    start = overdispersed_starts(two_modes, (), prior, chains=4, held=np.zeros(1, dtype=bool), seed=0)
    out = sample(two_modes, (), start, jax.random.key(0), SamplerSpec(warmup=300, draws=100, target_accept=0.8))
    signs = np.sign(out.position[..., 0].mean(axis=1))
    assert set(signs) == {-1.0, 1.0}


def test_a_mode_of_no_weight_has_no_chain() -> None:
    def lopsided(position):
        x = position[0]
        return jnp.logaddexp(-0.5 * ((x - 20) / 0.5) ** 2, -0.5 * ((x + 20) / 0.5) ** 2 - 30.0)

    prior = np.repeat([[18.0], [-18.0]], 8, axis=0)
    start = overdispersed_starts(lopsided, (), prior, chains=4, held=np.zeros(1, dtype=bool), seed=0)
    assert (start.positions > 0).all()


def test_no_chain_starts_where_the_density_is_not_finite() -> None:
    """A Gaussian cut off a little above its mode: scattering alone would start about one chain in three beyond the cut."""

    def cut_off(position):
        x = position[0]
        return jnp.where(x < 0.5, -0.5 * x**2, jnp.nan)

    prior = np.linspace(-2.0, 0.4, 40)[:, None]
    start = overdispersed_starts(cut_off, (), prior, chains=40, held=np.zeros(1, dtype=bool), seed=0)
    assert (start.positions < 0.5).all()
    assert start.positions.std() > 0.5


@pytest.mark.slow
def test_a_climb_does_not_follow_a_peak_without_mass() -> None:
    """Normal(0, exp(s)) with one observation at 0: its density grows without bound as s falls."""

    def funnel(position):
        x, s = position
        return -0.5 * (x / jnp.exp(s)) ** 2 - s - 0.5 * (x - 0.1) ** 2 - 1e-3 * s**2

    prior = np.random.default_rng(0).normal(size=(16, 2))
    start = overdispersed_starts(funnel, (), prior, chains=4, held=np.array([False, True]), seed=0)
    assert start.mode[1] == np.median(prior[:, 1])
    free = overdispersed_starts(funnel, (), prior, chains=4, held=np.zeros(2, dtype=bool), seed=0)
    assert free.mode[1] < -5.0


@pytest.fixture
def interruptible():
    """A process started in the background ignores SIGINT, and so would a test in it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_keeps_what_all_chains_have_drawn(precision) -> None:
    start = overdispersed_starts(gaussian, (precision,), np.zeros((2, 3)), chains=2, held=np.zeros(3, dtype=bool), seed=0)

    def interrupt_at(stage, done):
        def report(progress):
            if progress.stage == stage and progress.done >= done:
                signal.raise_signal(signal.SIGINT)

        return report

    settings = SamplerSpec(warmup=300, draws=500, target_accept=0.8)
    found = sample(gaussian, (precision,), start, jax.random.key(0), settings, on_progress=interrupt_at("sampling", 150))
    assert found.interrupted
    assert found.position.shape == (2, 150, 3)
    with pytest.raises(KeyboardInterrupt):
        sample(gaussian, (precision,), start, jax.random.key(0), settings, on_progress=interrupt_at("warm-up", 100))


def test_tables_of_one_shape_share_a_program(precision) -> None:
    draws(precision, 0, chains=2)
    before = _compiled.cache_info()
    draws(2.0 * precision, 0, chains=2)
    after = _compiled.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)


@pytest.mark.slow
def test_chains_spread_over_devices_draw_what_one_device_draws() -> None:
    """Each in a process of its own: the number of devices is fixed when JAX starts."""
    script = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
from bayesmoe.sampling.chains import sample
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.sampling.start import Start
start = Start(np.linspace(-1, 1, 8).reshape(4, 2), np.zeros(2), np.eye(2))
density = lambda position: -0.5 * position @ position
found = sample(density, (), start, jax.random.key(0), SamplerSpec(warmup=100, draws=50, target_accept=0.8))
print(jax.local_device_count(), repr(found.position.sum()))
"""

    def run(devices: int) -> list[str]:
        flags = f"--xla_force_host_platform_device_count={devices}"
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True, check=True
        ).stdout.split()

    one, four = run(1), run(4)
    assert (one[0], four[0]) == ("1", "4")
    assert one[1] == four[1]
