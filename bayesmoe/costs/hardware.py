"""Accelerators as data: peaks, bandwidth, memory, and where the figures come from."""

from __future__ import annotations

from dataclasses import dataclass

from bayesmoe.errors import InputError, nearest
from bayesmoe.units import BYTES_PER_GB


@dataclass(frozen=True)
class Accelerator:
    """One accelerator.

    Parameters
    ----------
    peak_flop_per_s : float
        Dense bfloat16 peak, FLOP per second.
    bandwidth_bytes_per_s : float
        Memory bandwidth, bytes per second.
    memory_bytes : float
        Memory, bytes (1 GB = 1e9 bytes).
    source : str
        Where the figures are printed.
    """

    peak_flop_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float
    source: str


ACCELERATORS: dict[str, Accelerator] = {
    "A100-SXM-40GB": Accelerator(312e12, 1.555e12, 40 * BYTES_PER_GB, "NVIDIA A100 datasheet, 2021"),
    "A100-SXM-80GB": Accelerator(312e12, 2.039e12, 80 * BYTES_PER_GB, "NVIDIA A100 datasheet, 2021"),
    "H100-SXM": Accelerator(989e12, 3.35e12, 80 * BYTES_PER_GB, "NVIDIA H100 datasheet, 2023"),
    "H200-SXM": Accelerator(989e12, 4.8e12, 141 * BYTES_PER_GB, "NVIDIA H200 datasheet, 2024"),
    "B200-SXM": Accelerator(2250e12, 8.0e12, 180 * BYTES_PER_GB, "NVIDIA DGX B200 datasheet, 2024"),
}


def accelerator_named(name: str) -> Accelerator:
    """The accelerator of that name, or :class:`InputError` with the nearest known one."""
    if name not in ACCELERATORS:
        raise InputError(
            "is not a known accelerator", column="accelerator", value=name, cure=nearest(name, list(ACCELERATORS))
        )
    return ACCELERATORS[name]
