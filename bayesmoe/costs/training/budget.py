"""What training costs: FLOP through utilization and price, and what a budget buys."""

from __future__ import annotations

from bayesmoe.arrays import Elementwise
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training_budget import Training
from bayesmoe.units import HOURS_PER_DAY, SECONDS_PER_HOUR


def training_usd(
    train_flop: Elementwise, *, mfu: Elementwise, peak_flop_per_s: Elementwise, price_usd_per_gpu_hour: Elementwise
) -> Elementwise:
    """Training cost in USD: ``FLOP / (MFU peak) price / 3600``, with MFU in (0, 1], FLOP/s of one accelerator, and USD per hour."""
    return gpu_usd(train_flop / (mfu * peak_flop_per_s), price_usd_per_gpu_hour)


def gpu_usd(seconds: Elementwise, price_usd_per_gpu_hour: Elementwise) -> Elementwise:
    """USD of seconds of one GPU."""
    return seconds * price_usd_per_gpu_hour / SECONDS_PER_HOUR


def seconds_per_train_flop(spec: Training, mfu: Elementwise) -> Elementwise:
    """Seconds of one GPU per training FLOP, on the accelerator of a spec at a utilization."""
    return 1.0 / (mfu * accelerator_named(spec.accelerator).peak_flop_per_s)


def gpu_seconds(spec: Training, price_usd_per_gpu_hour: Elementwise) -> Elementwise:
    """Seconds of one GPU that a budget of money, GPU-hours or days on a cluster buys.

    ``GPU-hours = USD / price``, as given, or ``cluster_gpus days 24 availability``.
    """
    if spec.budget_usd is not None:
        return spec.budget_usd / price_usd_per_gpu_hour * SECONDS_PER_HOUR
    if spec.budget_gpu_hours is not None:
        return spec.budget_gpu_hours * SECONDS_PER_HOUR
    return (spec.cluster_gpus or 0) * (spec.days or 0.0) * HOURS_PER_DAY * spec.training_share * SECONDS_PER_HOUR


def affordable_flop(spec: Training, *, mfu: Elementwise, price_usd_per_gpu_hour: Elementwise) -> Elementwise:
    """Training FLOP of a budget at one utilization: as given, or what its money, GPU-hours or days buy."""
    if spec.budget_flop is not None:
        return spec.budget_flop
    seconds = seconds_per_train_flop(spec, mfu)
    if spec.budget_usd is not None:
        return spec.budget_usd / gpu_usd(seconds, price_usd_per_gpu_hour)
    return gpu_seconds(spec, price_usd_per_gpu_hour) / seconds
