"""How far and on which side runs lie from the runs that a law was fitted to, in the law's own measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SHARED = ""
"""Group of the runs that belong to every group."""

EXPERTS = "num_experts"

NEIGHBORHOOD = 0.02
"""Change of the log loss within which runs count as about equally near: the distance passes from one to the next without a jump."""

EXPERTS_SCALE = 2.0
"""Unit of ln experts in a product: a factor of 7.4."""

_BY_EXPERTS = " x experts"


def parts_of_distance(axes: Sequence[str]) -> tuple[str, ...]:
    """Names of the parts of an extrapolation distance: along each axis, and those that differ between expert counts."""
    products = [f"{axis}{_BY_EXPERTS}" for axis in axes if axis != EXPERTS] if EXPERTS in axes else []
    return (*axes, *products)


def is_axis(part: str) -> bool:
    """Whether a part of the distance is one along an axis, and not a product."""
    return not part.endswith(_BY_EXPERTS)


def runs_in_group(groups: np.ndarray, group: str | None) -> np.ndarray:
    """Runs from which a run of a group is extrapolated, shape (n,): the group's own, with those that all share; all where it has none."""
    of_group = groups == group
    return of_group | (groups == SHARED) if of_group.any() else np.ones(len(groups), dtype=bool)


def extrapolation_distance(asked: np.ndarray, seen: np.ndarray, slope: np.ndarray, axes: Sequence[str]) -> np.ndarray:
    """By how much the log response would move from the runs seen nearby if the law's slopes went on, with the side on which a run lies.

    ``r_j = s_j (ln x_j - sum_i w_i ln x_ij),   w_i ~ exp(-sum_j s_j |ln x_j - ln x_ij| / 0.02)``

    s_j is the mean of ``|d ln L/d ln x_j|`` over the runs seen: where a law says that an axis has nothing more to give, it is doubted as
    much as elsewhere. Beside the axes stand the products ``r_j (ln E - mean ln E) / 2`` of all axes but the experts: an error of these
    parts differs between expert counts. All parts are smooth, near zero among the runs seen, and grow beyond them.

    Parameters
    ----------
    asked : array, shape (axis, m)
        Natural logarithms of the covariates of the runs asked.
    seen : array, shape (axis, n)
        The same of the runs seen.
    slope : array, shape (axis, n)
        ``|d ln L/d ln x_j|`` at the runs seen; zero along what the law does not read.
    axes : sequence of str
        Names of the axes.

    Returns
    -------
    array, shape (part, m)
        Dimensionless; the parts of :func:`parts_of_distance`.
    """
    steep = slope.mean(axis=1)
    total = np.zeros((asked.shape[1], seen.shape[1]))
    for ln_asked, ln_seen, of_axis in zip(asked, seen, steep, strict=True):
        total += of_axis * np.abs(ln_asked[:, None] - ln_seen)
    near = np.exp((total.min(axis=1, keepdims=True) - total) / NEIGHBORHOOD)
    away = steep[:, None] * (asked - seen @ (near / near.sum(axis=1, keepdims=True)).T)
    if EXPERTS not in axes:
        return away
    experts = list(axes).index(EXPERTS)
    share = (asked[experts] - seen[experts].mean()) / EXPERTS_SCALE
    return np.concatenate([away, np.delete(away, experts, axis=0) * share])
