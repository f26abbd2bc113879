"""Weights by scale are those that forward validation gives on the runs up to a limit, and on no other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.forecasting.forward_validation import distance_axes, forward_forecasts, splits, training_compute
from bayesmoe.forecasting.weights import average_of
from bayesmoe.forecasting.weights_by_compute import weights_by_scale
from bayesmoe.inference.refits import Refits, with_law
from bayesmoe.inference.spec import AverageSpec, load_table

LAWS = ("yun", "chinchilla")


@pytest.fixture(scope="module")
def spec(small_spec):
    return dataclasses.replace(small_spec, average=AverageSpec(laws=LAWS))


@pytest.fixture(scope="module")
def table(spec):
    return load_table(spec.data, spec.groups)


@pytest.fixture(scope="module")
def limits(table):
    return np.quantile(training_compute(table.frame, "n_dense"), [0.4, 1.0]).tolist()


@pytest.fixture(scope="module", autouse=True)
def two_splits():
    """Forward validation on two splits of the runs: whatever it is, the weights are those that it gives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesmoe.forecasting.forward_validation.splits", lambda *arguments: splits(*arguments)[-2:])
        yield


@pytest.fixture(scope="module")
def found(spec, table, limits):
    return weights_by_scale(spec, table, limits)


@pytest.mark.slow
def test_weights_are_those_of_the_runs_up_to_the_limit(found, spec, table, limits) -> None:
    axes, forward = distance_axes(table.frame, "n_dense"), {}
    for name in LAWS:
        refits = Refits(with_law(spec, name, "n_dense"), table)
        seen = training_compute(refits.frame, "n_dense") <= limits[0] * 1.001
        forward[name] = forward_forecasts(refits, seen, "n_dense", on_progress=lambda line: None)
    average = average_of(forward, axes, seed=spec.sampler.seed)
    for name in LAWS:
        own = found["weight"].sel(law=name).isel(limit=0)
        assert own.sel(quantile=0.5).item() == pytest.approx(average.weights[name])
        distance = 1.6449 * average.weight_sd[name]
        ends = np.clip([average.weights[name] - distance, average.weights[name] + distance], 0, 1)
        np.testing.assert_allclose(own.sel(quantile=[0.05, 0.95]), ends, atol=1e-3)


@pytest.mark.slow
def test_weights_sum_to_one_and_the_law_that_sees_experts_has_most(found, limits) -> None:
    middle = found["weight"].sel(quantile=0.5)
    np.testing.assert_allclose(middle.sum("law"), 1.0)
    assert bool((middle.sel(law="yun") > 0.8).all())
    assert found["runs"].values.tolist() == [35, 80]
    assert found["limit"].values.tolist() == limits


@pytest.mark.slow
def test_larger_runs_change_nothing(found, spec, table, limits) -> None:
    twin = dataclasses.replace(table, frame=table.frame.copy())
    beyond = training_compute(twin.frame, "n_dense") > limits[0] * 1.001
    twin.frame.loc[beyond, "loss"] *= 1.2
    again = weights_by_scale(spec, twin, limits[:1])
    np.testing.assert_allclose(again["weight"].isel(limit=0), found["weight"].isel(limit=0), atol=0.02)
