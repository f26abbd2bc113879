"""Accelerators: the datasheets' figures, and the cure for a wrong name."""

from __future__ import annotations

import pytest

from bayesmoe.costs.hardware import ACCELERATORS, accelerator_named
from bayesmoe.errors import InputError

DATASHEETS = {
    # Dense BF16 FLOP/s, bytes/s, bytes; NVIDIA's datasheets (A100 2021, H100 2023, H200 2024) and the DGX B200's over eight.
    "A100-SXM-40GB": (312e12, 1.555e12, 40e9),
    "A100-SXM-80GB": (312e12, 2.039e12, 80e9),
    "H100-SXM": (989e12, 3.35e12, 80e9),
    "H200-SXM": (989e12, 4.8e12, 141e9),
    "B200-SXM": (2250e12, 8.0e12, 180e9),
}


@pytest.mark.parametrize("name", sorted(ACCELERATORS))
def test_figures_are_the_datasheets(name):
    found = accelerator_named(name)
    assert (found.peak_flop_per_s, found.bandwidth_bytes_per_s, found.memory_bytes) == DATASHEETS[name]
    assert "NVIDIA" in found.source


def test_a_near_miss_is_told_the_right_name():
    with pytest.raises(InputError, match="did you mean 'H100-SXM'") as caught:
        accelerator_named("H100-SMX")
    assert caught.value.value == "H100-SMX"


def test_a_wild_name_is_told_all_names():
    with pytest.raises(InputError) as caught:
        accelerator_named("abacus")
    assert all(name in str(caught.value) for name in DATASHEETS)
