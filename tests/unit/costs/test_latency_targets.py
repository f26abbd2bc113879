"""Latency targets faster than anything measured: they get a doubt and no price."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bayesmoe.architecture import public_shape
from bayesmoe.costs.cost import bands, cost
from bayesmoe.costs.latency_targets import UnmeasuredTarget, unmeasured_targets
from bayesmoe.costs.serving.calibration import read_calibration
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.workload import Serving
from bayesmoe.documents.cost import CostDocument
from bayesmoe.reporting.cost_text import costs

SERVING = Serving(accelerator="H100-SXM", price_usd_per_gpu_hour=2.0, lifetime_tokens=1e12)
PRICES = ("serving_usd_per_million_tokens", "usd_per_million_input_tokens", "usd_per_million_decoded_tokens", "lifetime_usd")


def serve(**changed) -> Serving:
    """The fleet with other keys."""
    return dataclasses.replace(SERVING, **changed)


def test_the_fastest_measurements_are_those_of_the_public_tables():
    """Of all rows without a flag: 2.29 ms a token and 25 ms to the first, both on B200."""
    attrs = read_calibration().attrs
    assert attrs["fastest_tpot_s"] == pytest.approx(2.2864e-3)
    assert attrs["fastest_ttft_s"] == pytest.approx(25.376e-3)


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({}, []),
        ({"max_tpot_s": 0.003, "max_ttft_s": 0.03}, []),
        ({"max_tpot_s": 0.002}, ["serving.max_tpot_s"]),
        ({"max_tpot_s": 0.001, "max_ttft_s": 0.01}, ["serving.max_tpot_s", "serving.max_ttft_s"]),
        # Three drafts that are all accepted make four tokens of a step.
        ({"max_tpot_s": 0.001, "draft_tokens": "best"}, []),
        ({"max_tpot_s": 0.0005, "draft_tokens": 3}, ["serving.max_tpot_s"]),
        ({"max_tpot_s": 0.001, "latency_table": "mine.csv"}, []),
    ],
)
def test_targets_that_nothing_met(changed, keys):
    assert [one.key for one in unmeasured_targets(serve(**changed))] == keys


def test_the_sentence_says_how_fast_the_fastest_was():
    assert str(UnmeasuredTarget("serving.max_tpot_s", 0.001, 0.0022864)) == (
        "serving.max_tpot_s of 1 ms is faster than every measurement behind the calibration (2.29 ms at best)"
    )


def test_such_a_target_has_no_price():
    found = cost([public_shape("llama-3.1-8b")], Training(budget_flop=1e22), serve(max_tpot_s=0.001), draws=20)
    assert all(np.isnan(found[name]).all() for name in PRICES)
    assert np.isfinite(found["train_usd"]).all()
    said = costs(bands(found))
    assert "No price of serving: serving.max_tpot_s of 1 ms is faster than every measurement behind the calibration" in said
    assert "per million output tokens" not in said
    document = CostDocument.of(bands(found))
    assert document.doubts == tuple(map(str, unmeasured_targets(serve(max_tpot_s=0.001))))
    assert document.architectures[0].serving_usd_per_million_tokens.q50 is None


def test_a_target_that_was_met_has_one():
    found = cost([public_shape("llama-3.1-8b")], Training(budget_flop=1e22), serve(max_tpot_s=0.05), draws=20)
    assert found.attrs["doubts"] == []
    assert math.isfinite(float(bands(found)["serving_usd_per_million_tokens"][1, 0]))
