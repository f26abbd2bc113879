"""How much of a law's discrepancy two groups of runs share: what they share cancels between them, what they do not does not."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.inference.ensemble import discrepancy_draws
from bayesmoe.resources import resource_folder
from bayesmoe.specs import read_toml, spec


@spec
class LearnedFrom:
    """A table that a prior was learned from."""

    lab: str
    table: str
    sha256: str
    runs: int


@spec
class SharedDiscrepancy:
    """Prior of the share of a law's discrepancy that groups of runs have in common: ``rho ~ Beta(shared, own)``.

    Attributes
    ----------
    shared, own : float
        Parameters of the Beta distribution; its mean is ``shared / (shared + own)``.
    learned_from : tuple of LearnedFrom
        Tables that it was learned from; empty where somebody chose it.
    """

    shared: float
    own: float
    learned_from: tuple[LearnedFrom, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no Beta distribution has."""
        for name in ("shared", "own"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise InputError("must be positive", column=name, value=getattr(self, name))

    def draws(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draws of the share, shape (count,), in [0, 1]."""
        return rng.beta(self.shared, self.own, size=count)


@functools.cache
def shipped_share() -> SharedDiscrepancy:
    """The prior that was learned from public tables with groups, ``models/priors/shared_discrepancy.toml``."""
    return read_shared_discrepancy(resource_folder("models") / "priors" / "shared_discrepancy.toml")


def read_shared_discrepancy(path: str | Path) -> SharedDiscrepancy:
    """Read such a prior.

    Raises
    ------
    InputError
        The file is missing, or holds something else.
    """
    return read_toml(path, SharedDiscrepancy)


def discrepancies_of_groups(
    discrepancy: xr.Dataset, groups: Sequence[str], share: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draws of a law's discrepancy in each of several groups.

    ``m_g = b + sqrt(rho) (m - b) + sqrt(1 - rho) (m_own,g - b)``: m and each m_own,g are draws of the law's discrepancy, b is its mean. So every
    group's m_g has the mean and the covariance that m has, and those of two groups are correlated by rho.

    Parameters
    ----------
    discrepancy : Dataset
        Of the law, see :class:`bayesmoe.inference.ensemble.Component`.
    groups : sequence of str
        Names.
    share : array, shape (S,)
        rho by draw.
    rng : numpy Generator
        Source of draws.

    Returns
    -------
    dict of array, shape (S, part)
        Dimensionless: relative error of the change of ln loss that the law predicts.
    """
    count, mean = len(share), discrepancy["bias"].mean("discrepancy_draw").values
    common = np.sqrt(share)[:, None] * (discrepancy_draws(discrepancy, count, rng) - mean)
    own = np.sqrt(1.0 - share)[:, None]
    return {group: mean + common + own * (discrepancy_draws(discrepancy, count, rng) - mean) for group in groups}
