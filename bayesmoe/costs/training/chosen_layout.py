"""The layout that a model is most often trained in on a cluster, in words, or why none will do."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bayesmoe.costs.training.cost import described, indivisible, too_large
from bayesmoe.costs.training.fastest_by_size import every_layout
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.layouts import Cluster, room
from bayesmoe.costs.training.trained_model import Trained


class ChosenLayout(NamedTuple):
    """A layout in words.

    Attributes
    ----------
    layout : str
        The commonest choice; empty where nothing fits in any draw.
    reason : str
        Why nothing fits; empty where something does.
    """

    layout: str
    reason: str


@lru_cache(maxsize=1024)
def chosen_layout(
    asked: Trained, n_dense: float, cluster: Cluster, *, accelerator: str, calibration: str | None = None
) -> ChosenLayout:
    """Layout of the first of some architectures at a size.

    Parameters
    ----------
    asked : Trained
        One architecture.
    n_dense : float
        Backbone parameters.
    cluster, accelerator, calibration
        As of :func:`bayesmoe.costs.training.fastest_by_size.throughput_by_size`.
    """
    tried = every_layout(asked, 0, np.array([n_dense]), cluster, accelerator, calibration)
    if not len(tried.place):
        return ChosenLayout("", indivisible(cluster))
    fitting = np.where(tried.needed[:, None] <= room(cluster), tried.seconds, np.inf)
    best = fitting.argmin(axis=-1)[np.isfinite(fitting).any(axis=-1)]
    if not len(best):
        least = int(tried.needed.mean(axis=0).argmin())
        return ChosenLayout("", too_large(tried.layout, least, tried.needed, cluster))
    common = int(np.bincount(best).argmax())
    return ChosenLayout(described(Layout(*(leaf[common : common + 1] for leaf in tried.layout))), "")
