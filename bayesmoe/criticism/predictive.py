"""How the posterior predictive meets the runs it was fitted to, and how strongly the data moved the priors."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayesmoe.inference.store import FitInfo
from bayesmoe.units import QUANTILES


def predictive_check(fit: xr.DataTree) -> xr.Dataset:
    """Residuals of the runs and the posterior predictive band.

    Returns
    -------
    Dataset
        By ``run``: ``observed`` (the response, in the units of its attribute), ``residual = observed / median prediction -
        1``, ``band_low`` and ``band_high`` of the 90% predictive band on the same scale, ``covered``, and ``num_experts`` where
        the table gives it.
    """
    response = FitInfo.read(fit).response
    draws = fit["posterior_predictive"][response]
    low, median, high = draws.quantile(QUANTILES, ["chain", "draw"]).values
    observed = fit["observed_data"].dataset[response]
    residuals = xr.Dataset(
        {
            "observed": observed.assign_attrs(long_name=observed.name),
            "residual": observed / median - 1.0,
            "band_low": ("run", low / median - 1.0),
            "band_high": ("run", high / median - 1.0),
            "covered": (observed >= low) & (observed <= high),
        }
    )
    runs = fit["constant_data"].dataset
    return residuals.assign(num_experts=runs["num_experts"]) if "num_experts" in runs else residuals


def prior_overlap(fit: xr.DataTree, names: list[str]) -> dict[str, float]:
    """Overlap of prior and posterior densities in [0, 1] by scalar variable: near 1 means that the data said nothing."""
    overlaps = {}
    for name in names:
        prior, posterior = (np.asarray(fit[group][name]).ravel() for group in ("prior", "posterior"))
        prior, posterior = prior[np.isfinite(prior)], posterior[np.isfinite(posterior)]
        edges = np.unique(np.quantile(np.concatenate([prior, posterior]), np.linspace(0, 1, 41)))
        p, q = (np.histogram(values, edges)[0] / len(values) for values in (prior, posterior))
        overlaps[name] = float(np.minimum(p, q).sum())
    return overlaps


def headline_names(fit: xr.DataTree) -> list[str]:
    """Scalar coordinates of a fit, or their populations where groups differ, and the noise: what a page has room for."""
    info = FitInfo.read(fit)
    pooled, derived = set(info.pooled), set(info.paper_parameters)
    names = []
    for name in map(str, fit["posterior"].data_vars):
        if name in derived or name.endswith(("_base", "_spread", "_population")):
            continue
        names.append(f"{name}_population" if name in pooled else name)
    return names
