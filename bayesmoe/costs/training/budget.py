"""What training costs: FLOP through utilization and price."""

from __future__ import annotations

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.workload import Training
from bayesmoe.units import SECONDS_PER_HOUR


def training_usd(
    train_flop: Elementwise, *, mfu: Elementwise, peak_flop_per_s: Elementwise, price_usd_per_gpu_hour: Elementwise
) -> Elementwise:
    """Training cost in USD: ``FLOP / (MFU peak) price / 3600``, with MFU in (0, 1], FLOP/s of one accelerator, and USD per hour."""
    return train_flop / (mfu * peak_flop_per_s) * price_usd_per_gpu_hour / SECONDS_PER_HOUR


def usd_per_train_flop(spec: Training, *, mfu: Elementwise, price_usd_per_gpu_hour: Elementwise) -> Elementwise:
    """USD of one training FLOP on the accelerator of a spec, under draws of its utilization and price."""
    peak = accelerator_named(spec.accelerator).peak_flop_per_s
    return training_usd(1.0, mfu=mfu, peak_flop_per_s=peak, price_usd_per_gpu_hour=price_usd_per_gpu_hour)


def affordable_flop(spec: Training, usd_per_flop: Elementwise) -> Elementwise:
    """Training FLOP of a budget: as given, or what its money buys at that price."""
    return spec.budget_flop if spec.budget_flop is not None else spec.budget_usd / usd_per_flop
