"""How far runs lie from the runs that a law was fitted to, in the law's own measure."""

from __future__ import annotations

import numpy as np

SHARED = ""
"""Group of the runs that belong to every group."""


def runs_in_group(groups: np.ndarray, group: str | None) -> np.ndarray:
    """Runs from which a run of a group is extrapolated, shape (n,): the group's own, with those that all share; all where it has none."""
    of_group = groups == group
    return of_group | (groups == SHARED) if of_group.any() else np.ones(len(groups), dtype=bool)


def extrapolation_distance(asked: np.ndarray, seen: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """By how much the log response would move from the nearest run seen if its slopes there went on, axis by axis.

    ``r_j = |d ln L/d ln x_j| |ln x_j - ln x_j,seen|``, from the run seen from which the sum over the axes is least.

    Parameters
    ----------
    asked : array, shape (axis, m)
        Natural logarithms of the covariates of the runs asked.
    seen : array, shape (axis, n)
        The same of the runs seen.
    slope : array, shape (axis, n)
        ``|d ln L/d ln x_j|`` at the runs seen; zero along what the law does not read.

    Returns
    -------
    array, shape (axis, m)
        Dimensionless.
    """
    total = np.zeros((asked.shape[1], seen.shape[1]))
    for ln_asked, ln_seen, steep in zip(asked, seen, slope, strict=True):
        total += steep * np.abs(ln_asked[:, None] - ln_seen)
    nearest = total.argmin(axis=1)
    return slope[:, nearest] * np.abs(asked - seen[:, nearest])
