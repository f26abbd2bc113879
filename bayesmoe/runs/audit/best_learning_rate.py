"""The best learning rate of every configuration, and how far the lowest of several noisy losses lies below the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.integrate import quad
from scipy.stats import norm

from bayesmoe.errors import InputError
from bayesmoe.runs.schema import MAPPABLE

_NOT_A_CONFIGURATION = ("run_id", "loss", "leverage", "seed")


@dataclass(frozen=True)
class Best:
    """What keeping the lowest loss of each configuration did.

    Parameters
    ----------
    kept : tuple of int
        Rows kept.
    most, median : int
        Most and median number of runs a configuration had.
    seed_sd_nats : float or None
        Standard deviation of the loss between seeds, all else equal, in nats per token; None without replicates.
    replicates : int
        Runs that it was estimated from.
    bias_nats, most_bias_nats : float or None
        How far the lowest of ``median``, or of ``most``, equally good runs lies below their mean: ``sd * E[max of k normals]``.
    also_differed : tuple of str
        Further columns that differed within configurations.
    """

    kept: tuple[int, ...]
    most: int
    median: int
    seed_sd_nats: float | None
    replicates: int
    bias_nats: float | None
    most_bias_nats: float | None
    also_differed: tuple[str, ...]


def best_of_learning_rate(frame: pd.DataFrame, *, origin: str) -> Best:
    """Choose the run of lowest loss among those equal in all our columns but learning rate, seed and loss.

    Parameters
    ----------
    frame : DataFrame
        Checked runs under our column names, indexed by line.
    origin : str
        File name for the message.

    Raises
    ------
    InputError
        The table has no learning rate, or nothing that tells configurations apart.
    """
    if "learning_rate" not in frame:
        hint = "add it, or say which it is: --map learning_rate=YOUR_COLUMN"
        raise InputError("is needed to choose the best of", file=origin, column="learning_rate", hint=hint)
    configuration = [name for name in MAPPABLE if name in frame and name not in _NOT_A_CONFIGURATION]
    if set(configuration) <= {"num_experts", "group"}:
        hint = "add sizes or tokens, or map them with --map"
        raise InputError("has nothing that tells configurations apart", file=origin, hint=hint)
    runs = frame.groupby(configuration, dropna=False, sort=False)
    count = runs["loss"].size()
    most, median = int(count.max()), round(float(count.median()))
    sd, replicates = _between_seeds(frame, [*configuration, "learning_rate"])
    return Best(
        kept=tuple(sorted(int(row) for row in runs["loss"].idxmin())),
        most=most,
        median=median,
        seed_sd_nats=sd,
        replicates=replicates,
        bias_nats=None if sd is None else sd * lowest_of(median),
        most_bias_nats=None if sd is None else sd * lowest_of(most),
        also_differed=_also_differed(frame, configuration),
    )


def lowest_of(count: int) -> float:
    """How far the lowest of ``count`` standard normals lies below their mean, on average: ``int k x phi(x) Phi(x)^(k-1) dx``."""
    if count < 2:
        return 0.0
    return float(quad(lambda x: count * x * norm.pdf(x) * norm.cdf(x) ** (count - 1), -10.0, 10.0)[0])


def _between_seeds(frame: pd.DataFrame, configuration: list[str]) -> tuple[float | None, int]:
    """Pooled standard deviation of the loss between seeds, all else equal, and the runs behind it."""
    if "seed" not in frame or frame["seed"].isna().all():
        return None, 0
    loss = frame.groupby(configuration, dropna=False, sort=False).filter(lambda runs: runs["seed"].nunique() > 1)
    if loss.empty:
        return None, 0
    groups = loss.groupby(configuration, dropna=False, sort=False)["loss"]
    squares = float(((loss["loss"] - groups.transform("mean")) ** 2).sum())
    return float(np.sqrt(squares / (len(loss) - groups.ngroups))), len(loss)


def _also_differed(frame: pd.DataFrame, configuration: list[str]) -> tuple[str, ...]:
    others = [
        str(name)
        for name in frame
        if name not in configuration and name not in (*_NOT_A_CONFIGURATION, "learning_rate", "name", "state")
    ]
    if not others:
        return ()
    values = frame[others].astype(str)
    count = values.groupby([frame[name] for name in configuration], dropna=False, sort=False).nunique()
    return tuple(name for name in others if (count[name] > 1).any())
