"""The tests hold every call into laws and costs to its annotations."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from bayesmoe.costs.training import training_usd
from bayesmoe.laws.power import power


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(TypeCheckError):
        power(np.ones(2), np.ones(3))
    with pytest.raises(TypeCheckError):
        training_usd(np.ones((4, 3)), mfu=np.ones((4, 2)), peak_flop_per_s=1e15, price_usd_per_gpu_hour=2.0)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        power("2", 3.0)
