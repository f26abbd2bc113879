"""Throughput along sizes: the curve between knots, and its knots against all layouts in every draw."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training.by_size import ThroughputBySize
from bayesmoe.costs.training.calibration import drawn_training, read_training_calibration, training_slopes
from bayesmoe.costs.training.fastest_by_size import KNOTS, sizes, throughput_by_size
from bayesmoe.costs.training.layouts import Cluster, layouts, room
from bayesmoe.costs.training.memory import MEMORY_SD, training_memory
from bayesmoe.costs.training.step import Chip
from bayesmoe.costs.training.throughput import seconds_per_token
from bayesmoe.costs.training.trained_model import Trained
from bayesmoe.precision import in_float64

COUNTS, FAMILY, DRAWS = (1, 8, 64), Family(1.0 / 3.0, 2.0, 1.0, 0.0), 40
ASKED = Trained(COUNTS, (FAMILY,) * len(COUNTS), 0.045, 0.5)


def cluster(num_gpus: int, step_tokens: float = 2.0**22) -> Cluster:
    return Cluster(accelerator_named("H100-SXM"), "bf16", num_gpus, step_tokens, 4096.0)


@in_float64
def throughput(on: Cluster, asked: Trained = ASKED, seed: int = 0) -> ThroughputBySize:
    per_token = np.ones((len(asked.num_experts), KNOTS))
    return throughput_by_size(asked, on, per_token, DRAWS, np.random.default_rng(seed), accelerator="H100-SXM")


def made(ln_seconds) -> ThroughputBySize:
    """One draw of one architecture with knots at 0, 2, 4, ..."""
    values = np.asarray(ln_seconds, float)[None, None]
    ends = np.array([[-np.inf]]), np.array([[np.inf]])
    return ThroughputBySize.of(values, np.zeros_like(values), *ends, first=0.0, step=2.0)


@in_float64
def ln_at(found: ThroughputBySize, *places: float):
    return np.log(np.asarray(found.seconds_per_flop(jnp.array(places)[None, None])))[0, 0]


def test_a_line_stays_a_line_and_goes_on_beyond_its_ends():
    np.testing.assert_allclose(ln_at(made([1.0, 2.0, 3.0, 4.0]), -2.0, 0.5, 3.0, 6.0, 9.0), [0.0, 1.25, 2.5, 4.0, 5.5])


def test_corners_are_rounded_over_half_a_step():
    """Slope 0, then 1: straight from half a step away, and an eighth of a step higher in the corner, ``w / 4`` for ``w = 1``."""
    np.testing.assert_allclose(ln_at(made([5.0, 5.0, 7.0]), 0.5, 1.0, 2.0, 3.0, 4.0), [5.0, 5.0, 5.25, 6.0, 7.0])


@in_float64
def test_sizes_that_are_the_same_in_every_draw_cost_the_same_as_sizes_of_each():
    found, asked = throughput(cluster(64)), jnp.log(jnp.geomspace(2e7, 5e11, 23))
    shared = found.seconds_per_flop(jnp.broadcast_to(asked, (1, len(COUNTS), 23)))
    each = found.seconds_per_flop(jnp.broadcast_to(asked, (DRAWS, len(COUNTS), 23)))
    np.testing.assert_allclose(shared, each, rtol=1e-9)
    np.testing.assert_allclose(found.seconds_per_flop(jnp.full((DRAWS, len(COUNTS)), asked[5])), each[..., 5], rtol=1e-12)


@in_float64
@pytest.mark.parametrize("gpus", [64, 1024])
def test_knots_are_the_fastest_of_all_layouts_that_fit_in_each_draw(gpus):
    """Layouts are compared in a few draws, and those that win there in every draw: of all, none is faster by more than 3%."""
    on, rng = cluster(gpus), np.random.default_rng(0)
    found = throughput(on)
    drawn = drawn_training(read_training_calibration(), DRAWS, rng, accelerator="H100-SXM", precision="bf16")
    slopes = training_slopes(drawn, np.array(COUNTS) > 1, rng)
    slack = np.exp(MEMORY_SD * rng.standard_normal((DRAWS, 1)))
    for k, g in ((0, 8), (1, 9), (2, 9)):
        model = ASKED.models(k, sizes()[g : g + 1], 4096.0)
        rounded = model._replace(d_model=128.0 * np.round(model.d_model / 128.0))
        tried = layouts(rounded, on)
        memory = training_memory(model, tried, "bf16")
        needed = np.asarray(memory.total - memory.activations + slack * memory.activations)
        own = slopes._replace(unevenness=slopes.unevenness[:, k : k + 1], slowdown=slopes.slowdown[:, k : k + 1])
        seconds = np.asarray(
            seconds_per_token(model, tried, Chip.of(on.accelerator, "bf16"), own, learned_router=float(k > 0))
        )
        best = np.where(needed <= room(on), seconds, np.inf).min(axis=1)
        np.testing.assert_allclose(np.exp(found.ln_seconds[:, k, g]), best, rtol=0.03)
        assert (np.exp(found.ln_seconds[:, k, g]) > best * (1.0 - 1e-4)).all()
        np.testing.assert_allclose(np.exp(found.ln_filled[:, k, g]), needed.min(axis=1) / room(on), rtol=0.01)


@in_float64
def test_one_gpu_holds_what_eighteen_bytes_a_parameter_leave_room_for():
    """Working weight 2, gradient 4, Adam 12 bytes; 4 GB of workspace and some activations, in 92% of 80 GB."""
    found = throughput(cluster(1, step_tokens=2.0**16))
    largest = np.exp(found.ln_largest[:, 0])
    most = (0.92 * 80e9 - 4e9) / 18.0
    assert (largest < most).all()
    assert (largest > 0.75 * most).all()
    fits = np.asarray(found.fits(jnp.log(jnp.array([1e9, 1e10]))[None, None]))
    np.testing.assert_array_equal(fits[:, 0], np.tile([True, False], (DRAWS, 1)))
    filled = np.asarray(found.filled(jnp.asarray(found.ln_largest)))
    np.testing.assert_allclose(filled, 1.0, rtol=1e-5)


@in_float64
def test_more_memory_and_gpus_hold_larger_models():
    assert (throughput(cluster(256)).ln_largest > throughput(cluster(64)).ln_largest).all()


@in_float64
def test_what_nothing_divides_fits_nowhere_and_has_no_nan():
    found = throughput(cluster(8192, step_tokens=2.0**16))
    size = jnp.broadcast_to(jnp.log(jnp.array([1e7, 1e9, 1e12])), (1, len(COUNTS), 3))
    assert not np.asarray(found.fits(size)).any()
    assert np.isfinite(np.asarray(found.seconds_per_flop(size))).all()
    assert np.isinf(np.asarray(found.filled(size))).all()


@in_float64
def test_a_dense_model_has_nothing_of_experts():
    fine = Trained((1,), (Family(1.0 / 3.0, 4.0, 4.0, 1.0),), 0.045, 0.5)
    found, coarse = throughput(cluster(64), fine), throughput(cluster(64), Trained((1,), (FAMILY,), 0.045, 0.5))
    np.testing.assert_array_equal(found.ln_seconds, coarse.ln_seconds)
    np.testing.assert_array_equal(found.ln_largest, coarse.ln_largest)
