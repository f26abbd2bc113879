"""Fits of one table side by side by PSIS-LOO: which law interpolates best."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.inference.store import FitInfo

HIGH_K = 0.7
"""Pareto k from which a run's PSIS-LOO is doubtful."""


def compare(fits: dict[str, xr.DataTree]) -> pd.DataFrame:
    """Expected log predictive density of each fit by PSIS-LOO, and stacking weights.

    ``elpd = sum_i ln p(y_i | the other runs)``

    It asks how well a law fills gaps between runs, not how well it goes beyond them: for that, see
    :func:`bayesmoe.forecasting.backtest.backtest`.

    Parameters
    ----------
    fits : dict of DataTree
        At least two fits of the same runs with the same response, by name, with their pointwise log-likelihoods.

    Returns
    -------
    DataFrame
        One row a fit, best first: ``law``; ``elpd`` and its standard error ``se``, ``elpd_diff`` to the best and its standard error
        ``dse``, in nats; ``weight`` by stacking; ``doubtful``, the number of runs with a Pareto k above 0.7.

    Raises
    ------
    InputError
        There are fewer than two fits, they are of different runs, or one was saved without pointwise log-likelihoods.

    References
    ----------
    Vehtari et al. 2017, arXiv:1507.04544 (PSIS-LOO); Yao et al. 2018, arXiv:1704.02030 (stacking).

    Examples
    --------
    >>> bm.compare({"yun": dt, "chinchilla": other})  # doctest: +SKIP
    """
    if len(fits) < 2:
        raise InputError("needs at least two fits", column="FIT.nc", value=len(fits), hint="name another of the same runs")
    first, *others = fits
    for name, fit in fits.items():
        if "log_likelihood" not in fit.children:
            raise InputError("has no pointwise log-likelihoods", file=name, hint="refit with --pointwise always")
    for name in others:
        if not _same_runs(fits[first], fits[name]):
            raise InputError(
                f"was fitted to other runs than {first}", file=name, hint="fit both to the same table and selection"
            )
    import arviz_stats

    with warnings.catch_warnings():
        # Its warnings about k are our counts.
        warnings.simplefilter("ignore", UserWarning)
        loos: dict[str, Any] = {name: arviz_stats.loo(fit, pointwise=True) for name, fit in fits.items()}
        table: Any = arviz_stats.compare(loos, method="stacking", round_to="none")
    doubtful = {name: int((np.asarray(loo.pareto_k) > HIGH_K).sum()) for name, loo in loos.items()}
    return pd.DataFrame(
        {
            "law": [FitInfo.read(fits[str(name)]).law_name for name in table.index],
            **{column: table[column].to_numpy(float) for column in ("elpd", "se", "elpd_diff", "dse", "weight")},
            "doubtful": [doubtful[str(name)] for name in table.index],
        },
        index=pd.Index([str(name) for name in table.index], name="fit"),
    )


def _same_runs(fit_a: xr.DataTree, fit_b: xr.DataTree) -> bool:
    """Whether two fits saw the same runs with the same responses, in whatever order."""
    response = FitInfo.read(fit_a).response
    if response != FitInfo.read(fit_b).response:
        return False
    ours, theirs = (fit["observed_data"][response].to_series().sort_index() for fit in (fit_a, fit_b))
    return ours.index.equals(theirs.index) and bool(np.array_equal(ours.to_numpy(), theirs.to_numpy()))
