"""Values of a column that count as one level: of a grid that was meant, runs miss the places by a few percent."""

from __future__ import annotations

import numpy as np

_SAME_LEVEL = 0.08


def levels(values: np.ndarray) -> np.ndarray:
    """Rank of each value among the table's levels, shape (n,): values within 8% of the least of a level belong to it."""
    ln = np.log(values)
    starts: list[float] = []
    for value in np.unique(ln):
        if not starts or value - starts[-1] > _SAME_LEVEL:
            starts.append(float(value))
    return np.searchsorted(starts, ln, side="right") - 1
