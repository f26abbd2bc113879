"""A power law that outliers do not bend: which runs lie far from the others, before any law is fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.stats import median_abs_deviation, norm

_LEAST_RUNS = 8
_FLOOR = 1e-4


class Trend(NamedTuple):
    """Distances of runs from the trend.

    Attributes
    ----------
    residuals : Series
        ln loss less the trend, by row.
    mad : float
        Their median absolute deviation, scaled to a normal's sd, at least 1e-4.
    of : str
        The columns of the trend.
    levels : Series
        Intercept by group, in ln loss.
    """

    residuals: pd.Series
    mad: float
    of: str
    levels: pd.Series


def power_law_residuals(frame: pd.DataFrame, group: pd.Series | None = None) -> Trend | None:
    """Residuals of ``ln loss = c + a ln size + b ln tokens + d ln num_experts``, an intercept a group, under a soft absolute loss.

    Returns None where there are fewer than eight runs, too few for the columns, or nothing varies.

    Parameters
    ----------
    frame : DataFrame
        Validated runs.
    group : Series, optional
        Group of each run, in place of the frame's own.
    """
    size = next((name for name in ("n_active", "n_dense", "n_total") if _known(frame, name)), None)
    axes = [
        name
        for name in (size, "tokens", "num_experts")
        if name is not None and _known(frame, name) and frame[name].nunique() > 1
    ]
    if not axes or not _known(frame, "loss"):
        return None
    columns = [_standard(np.log(frame[name].to_numpy(float))) for name in axes]
    if group is None:
        group = frame["group"].astype(str) if "group" in frame else pd.Series("", index=frame.index)
    member = pd.get_dummies(group)
    design = np.column_stack([member.to_numpy(float), *columns])
    if len(frame) < max(_LEAST_RUNS, 2 * design.shape[1]):
        return None
    ln_loss = np.log(frame["loss"].to_numpy(float))
    start = np.linalg.lstsq(design, ln_loss, rcond=None)[0]
    scale = _mad(ln_loss - design @ start)
    for _ in range(3):
        start = least_squares(lambda x: design @ x - ln_loss, start, loss="soft_l1", f_scale=scale).x
        scale = _mad(ln_loss - design @ start)
    names = [*axes, "group"] if member.shape[1] > 1 else axes
    return Trend(
        pd.Series(ln_loss - design @ start, index=frame.index),
        scale,
        ", ".join(names),
        pd.Series(start[: member.shape[1]], index=member.columns),
    )


def _known(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool((frame[name] > 0).all())


def _standard(column: np.ndarray) -> np.ndarray:
    return (column - column.mean()) / column.std()


def _mad(residuals: np.ndarray) -> float:
    return max(float(median_abs_deviation(residuals)) / float(norm.ppf(0.75)), _FLOOR)
