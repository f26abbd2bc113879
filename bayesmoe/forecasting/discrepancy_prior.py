"""Prior of the discrepancy of laws beyond their runs: by kind of part, learned across labs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bayesmoe.errors import InputError
from bayesmoe.inference.extrapolation import EXPERTS
from bayesmoe.inference.shared_discrepancy import LearnedFrom as LearnedFrom
from bayesmoe.resources import resource_folder
from bayesmoe.specs import read_toml, spec

KINDS = ("size", "tokens", "experts", "size x experts", "tokens x experts")
"""Kinds of parts of the extrapolation distance."""


@spec
class DiscrepancyPrior:
    """Prior of a law's discrepancy: ``scale_p ~ LogNormal(ln scale[kind of p], log_sd)``, see :func:`bayesmoe.forecasting.discrepancy.discrepancy`.

    Attributes
    ----------
    scale : dict of float
        Median of the scale by kind of part, dimensionless: of what a law says the log loss would move, which share it is wrong by.
    log_sd : float
        Log-sd of every scale: how far labs, tables and laws differ.
    correlation : float
        Correlation between any two axes; products with experts have none.
    learned_from : tuple of LearnedFrom
        Tables that it was learned from; empty where somebody chose it.
    """

    scale: dict[str, float]
    log_sd: float
    correlation: float = 0.3
    learned_from: tuple[LearnedFrom, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no scale can be."""
        if missing := [kind for kind in KINDS if kind not in self.scale]:
            raise InputError("is missing", column="scale", value=missing[0], hint=f"give all of {', '.join(KINDS)}")
        if not all(value > 0.0 for value in (*self.scale.values(), self.log_sd)):
            raise InputError("must be positive", column="scale")

    def scales(self, parts: Sequence[str]) -> np.ndarray:
        """Median scale of each part, shape (part,)."""
        return np.array([self.scale[kind_of(part)] for part in parts])


def kind_of(part: str) -> str:
    """Which kind a part of the distance is of: size, whatever parameters a table counts, tokens, experts, or a product."""
    axis, *product = part.split(" ", 1)
    return " ".join([{"tokens": "tokens", EXPERTS: "experts"}.get(axis, "size"), *product])


@functools.cache
def shipped_prior() -> DiscrepancyPrior:
    """The prior that was learned from public tables, ``models/priors/discrepancy.toml``."""
    return read_discrepancy_prior(resource_folder("models") / "priors" / "discrepancy.toml")


def read_discrepancy_prior(path: str | Path) -> DiscrepancyPrior:
    """Read a prior that ``bayesmoe calibrate-discrepancy`` wrote, or that somebody chose.

    Raises
    ------
    InputError
        The file is missing, or holds something else.
    """
    return read_toml(path, DiscrepancyPrior)
