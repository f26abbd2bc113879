"""What training costs: FLOP through utilisation and price."""

from __future__ import annotations

from typing import Any

from bayesmoe.units import SECONDS_PER_HOUR


def training_usd(train_flop: Any, *, mfu: Any, peak_flop_per_s: Any, price_usd_per_gpu_hour: Any) -> Any:
    """Training cost: ``FLOP / (MFU peak) price / 3600``.

    Parameters
    ----------
    train_flop : array
        Training compute, FLOP.
    mfu : array
        Model FLOP utilisation, in (0, 1].
    peak_flop_per_s : array
        Peak of one accelerator, FLOP per second.
    price_usd_per_gpu_hour : array
        Price of one accelerator, USD per hour.

    Returns
    -------
    array
        USD, of the broadcast shape.
    """
    return train_flop / (mfu * peak_flop_per_s) * price_usd_per_gpu_hour / SECONDS_PER_HOUR
