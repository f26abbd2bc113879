"""Training cost, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.costs.training import training_usd

CASE = {"mfu": 0.4, "peak_flop_per_s": 1e15, "price_usd_per_gpu_hour": 2.0}


def test_by_hand():
    # 1.44e21 FLOP at 40 % of 1e15 a second are 3.6e6 s, that is 1,000 hours at 2 USD.
    assert training_usd(1.44e21, **CASE) == pytest.approx(2000.0, rel=1e-12)


@pytest.mark.parametrize(("name", "factor"), [("mfu", 0.5), ("peak_flop_per_s", 0.5), ("price_usd_per_gpu_hour", 2.0)])
def test_each_input_scales_the_cost(name, factor):
    assert training_usd(1.44e21, **{**CASE, name: CASE[name] * factor}) == pytest.approx(4000.0, rel=1e-12)


def test_arrays_broadcast():
    mfu = np.array([[0.4], [0.2]])
    found = training_usd(np.array([1.44e21, 2.88e21, 0.0]), **{**CASE, "mfu": mfu})
    np.testing.assert_allclose(found, [[2000.0, 4000.0, 0.0], [4000.0, 8000.0, 0.0]], rtol=1e-12)
