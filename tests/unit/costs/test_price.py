"""Prices at matrix speed equal the general way, draw by draw, and architectures that are alike miss alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.architecture import public_models
from bayesmoe.costs.cost import fleet_of, latency_of
from bayesmoe.costs.price import serving_prices
from bayesmoe.costs.serving import Coefficients, ServedModel, Traffic, cheapest_replica, served_shapes
from bayesmoe.costs.serving.calibration import drawn_calibration, read_calibration
from bayesmoe.costs.uncertain import Uncertain
from bayesmoe.costs.workload import ServingSpec
from bayesmoe.errors import InputError

SHAPES = [one.shape for one in public_models().values()]
SPEC = ServingSpec(accelerator="H200-SXM", max_gpus=8, precision="fp8", price_usd_per_gpu_hour=3.0, utilization=0.5)


def general(spec: ServingSpec, draws: int) -> np.ndarray:
    """The same draws of the calibration through the general replica, without the models' own residuals."""
    known = drawn_calibration(
        read_calibration(None), draws, np.random.default_rng(0), accelerator=spec.accelerator, engine=spec.engine
    )
    latency = latency_of(spec)
    off = Coefficients(tuple(slope[:, None] for slope in known.step), 1.0, 1.0, known.common[:, None], 1.0)
    traffic = Traffic(spec.prompt_tokens, spec.output_tokens, spec.bytes_per_kv_element)
    found = cheapest_replica(
        served_shapes(SHAPES),
        latency,
        fleet_of(spec),
        traffic,
        off,
        utilization=spec.utilization,
        price_usd_per_gpu_hour=spec.price_usd_per_gpu_hour,
    )
    return np.asarray(found.usd_per_million_tokens)


def without_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the models' own residuals out."""
    monkeypatch.setattr("bayesmoe.costs.price._alike", lambda model, rng: np.zeros((len(model.n_total), 16)))


@pytest.mark.parametrize(
    "changes", [{}, {"max_gpus": 1}, {"engine": "vLLM", "routing_evenness": 0.5}, {"precision": "bf16"}]
)
def test_prices_equal_the_general_way(monkeypatch, changes):
    spec = dataclasses.replace(SPEC, **changes)
    without_own(monkeypatch)
    priced, slow = np.asarray(serving_prices(served_shapes(SHAPES), spec, draws=40)), general(spec, 40)
    assert priced.shape == slow.shape == (40, len(SHAPES))
    np.testing.assert_array_equal(np.isfinite(priced), np.isfinite(slow))
    assert np.isinf(priced[~np.isfinite(priced)]).all()
    np.testing.assert_allclose(priced[np.isfinite(priced)], slow[np.isfinite(slow)], rtol=1e-9)


def test_a_model_for_itself_costs_what_it_costs_among_others(monkeypatch):
    without_own(monkeypatch)
    every = np.asarray(serving_prices(served_shapes(SHAPES), SPEC, draws=7))
    for k in (0, 5):
        np.testing.assert_allclose(
            serving_prices(served_shapes(SHAPES[k : k + 1]), SPEC, draws=7)[:, 0], every[:, k], rtol=1e-12
        )


def test_models_that_are_alike_miss_alike():
    near = served_shapes([SHAPES[0]] * 3)
    scale = np.array([1.0, 1.01, 30.0])
    near = ServedModel(
        *(leaf * scale if name in ("n_total", "n_active", "num_layers") else leaf for name, leaf in near._asdict().items())
    )
    fast = np.asarray(serving_prices(near, SPEC, draws=4000))
    residual = np.log(fast) - np.log(fast).mean(axis=0)
    spread = residual[:, 0] - residual[:, 1]
    apart = residual[:, 0] - residual[:, 2]
    assert spread.std() < 0.1 * apart.std()


def test_own_residuals_have_the_calibrations_spread(monkeypatch):
    own = np.log(np.asarray(serving_prices(served_shapes(SHAPES[:2]), SPEC, draws=8000)))
    without_own(monkeypatch)
    own = own - np.log(np.asarray(serving_prices(served_shapes(SHAPES[:2]), SPEC, draws=8000)))
    calibration = read_calibration(None)
    told = float(np.sqrt((calibration["between_models"] ** 2).mean()))
    # Of 8,000 draws the standard deviation is known to 1%, and the calibration's own draws to a few.
    np.testing.assert_allclose(own.std(axis=0), told, rtol=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"max_tpot_s": 0.05}, {"max_ttft_s": 1.0}, {"prompt_tokens": Uncertain(median=100.0, log_sd=0.1)}],
)
def test_what_differs_between_draws_is_refused(changes):
    with pytest.raises(InputError, match="price such a fleet with `cost`"):
        serving_prices(served_shapes(SHAPES[:1]), dataclasses.replace(SPEC, **changes), draws=2)
