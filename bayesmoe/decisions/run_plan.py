"""A batch of runs as a plan: whether each is worth its cost, when it is trained, and what it takes."""

from __future__ import annotations

import datetime
from typing import Literal, NamedTuple

import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.units import HOURS_PER_DAY

Verdict = Literal["worth it", "not worth it", "cannot tell"]

STANDARD_ERRORS = 2.0
"""How far the estimated value of a run must lie from its cost."""

GPUS = 8
"""GPUs that train the runs, unless given."""


def verdict(evsi_usd: float, se_usd: float, train_usd: float) -> Verdict:
    """Whether a run is worth its cost: nobody can tell where the cost lies within two standard errors of the estimated value.

    Examples
    --------
    >>> verdict(evsi_usd=0.0, se_usd=2.6e5, train_usd=3.3e4)
    'cannot tell'
    """
    if evsi_usd - STANDARD_ERRORS * se_usd > train_usd:
        return "worth it"
    return "not worth it" if evsi_usd + STANDARD_ERRORS * se_usd < train_usd else "cannot tell"


def recommended_run(ranking: xr.Dataset) -> int | None:
    """Place of the first run that is worth its cost; None without one, or where the plan itself recommends nothing."""
    if not ranking.attrs["recommended_num_experts"]:
        return None
    return next((place for place, said in enumerate(ranking["verdict"].values) if said == "worth it"), None)


class ScheduledRun(NamedTuple):
    """A run of a batch, with what it takes.

    Attributes
    ----------
    run : int
        Place in the ranking.
    start, end : datetime
        When it is trained.
    days, gpu_hours, train_usd : float
        How long, on all GPUs; GPU hours; USD.
    """

    run: int
    start: datetime.datetime
    end: datetime.datetime
    days: float
    gpu_hours: float
    train_usd: float


def schedule(ranking: xr.Dataset, *, start: datetime.datetime, gpus: int = GPUS) -> tuple[ScheduledRun, ...]:
    """The batch, one run after the other on the same GPUs, in the order in which the runs were added.

    Parameters
    ----------
    ranking : Dataset
        From :func:`bayesmoe.decisions.next_run.next_runs`.
    start : datetime
        When the first begins.
    gpus : int
        GPUs of the scenario's training accelerator that each run has.

    Raises
    ------
    InputError
        There is no GPU, or the runs take longer than a calendar goes on.
    """
    if gpus < 1:
        raise InputError("must be at least 1", column="gpus", value=gpus)
    runs = []
    for place in ranking["batch_run"].values:
        one = ranking.isel(run=int(place))
        hours = float(one["gpu_hours"])
        days = hours / gpus / HOURS_PER_DAY
        try:
            end = start + datetime.timedelta(days=days)
        except OverflowError as error:
            raise InputError(f"are too few: a run takes {days:.3g} days", column="gpus", value=gpus) from error
        runs.append(ScheduledRun(int(place), start, end, days, hours, float(one["train_usd"])))
        start = end
    return tuple(runs)
