"""Latency targets faster than anything that was measured: of those nothing is known, and no price is given."""

from __future__ import annotations

from typing import NamedTuple

from bayesmoe.costs.serving.calibration import read_calibration
from bayesmoe.costs.uncertain import median
from bayesmoe.costs.workload import Serving


class UnmeasuredTarget(NamedTuple):
    """A target of :class:`~bayesmoe.costs.workload.Serving` and the fastest measurement behind the calibration, in seconds."""

    key: str
    target_s: float
    fastest_s: float

    def __str__(self) -> str:
        return (
            f"{self.key} of {1e3 * self.target_s:.3g} ms is faster than every measurement behind the calibration "
            f"({1e3 * self.fastest_s:.3g} ms at best)"
        )


def unmeasured_targets(serving: Serving) -> tuple[UnmeasuredTarget, ...]:
    """Targets that no measured engine met with any model, on any accelerator; drafts count as if all were accepted.

    A latency table of the user's own is their measurement: nothing is said of it.
    """
    if serving.latency_table is not None:
        return ()
    fastest, drafts = read_calibration(serving.calibration).attrs, 1 + max(serving.drafts)
    targets = (
        UnmeasuredTarget("serving.max_tpot_s", *_seconds(serving.max_tpot_s, fastest["fastest_tpot_s"] / drafts)),
        UnmeasuredTarget("serving.max_ttft_s", *_seconds(serving.max_ttft_s, fastest["fastest_ttft_s"])),
    )
    return tuple(one for one in targets if one.target_s < one.fastest_s)


def _seconds(target: object, fastest: float) -> tuple[float, float]:
    return float("inf") if target is None else median(target), float(fastest)
