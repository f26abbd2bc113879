"""How calibrations are fitted: NUTS on a NumPyro model, and its draws as a tree with their convergence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import numpyro
import pandas as pd
import xarray as xr
from numpyro.infer import MCMC, NUTS

POINTS_PER_MODEL = 10.0
"""What the points of one architecture count for together: they sweep the same kernels and err together, and what a slope must carry over to
another model shows between models."""

_MOST_RHAT = 1.05


class Settings(NamedTuple):
    """How NUTS samples a calibration."""

    draws: int = 500
    warmup: int = 500
    chains: int = 2
    seed: int = 0
    progress: bool = False


def counts_as(group: pd.Series, points: float = POINTS_PER_MODEL) -> np.ndarray:
    """What each point counts for: the points of one group, however many, count as so many together."""
    return np.minimum(1.0, points / group.groupby(group).transform("size").to_numpy(float))


def sampler(model: Callable[..., None], settings: Settings) -> MCMC:
    """NUTS on a model; run again on data of the same shapes, it does not compile again."""
    return MCMC(
        NUTS(model, init_strategy=numpyro.infer.init_to_median),
        num_warmup=settings.warmup,
        num_samples=settings.draws,
        num_chains=settings.chains,
        chain_method="sequential",
        progress_bar=settings.progress,
    )


def sampled(
    mcmc: MCMC, data: Any, *, seed: int, dims: Mapping[str, Sequence[str]], coords: Mapping[str, Sequence[str]]
) -> xr.DataTree:
    """Draws and divergences, with the worst R-hat and the number of divergences as attributes; sites that end in ``_z`` are left out."""
    mcmc.run(jax.random.key(seed), data, extra_fields=("diverging",))
    samples = {name: np.asarray(value) for name, value in mcmc.get_samples(group_by_chain=True).items()}
    posterior = xr.Dataset(
        {
            name: (["chain", "draw", *dims.get(name, [])], value)
            for name, value in samples.items()
            if not name.endswith("_z")
        },
        coords={dim: list(names) for dim, names in coords.items()},
    )
    diverging = np.asarray(mcmc.get_extra_fields(group_by_chain=True)["diverging"])
    tree = xr.DataTree.from_dict(
        {"posterior": posterior, "sample_stats": xr.Dataset({"diverging": (["chain", "draw"], diverging)})}
    )
    tree.attrs = {"rhat": worst_rhat(posterior), "divergences": int(diverging.sum())}
    return tree


def worst_rhat(posterior: xr.Dataset) -> float:
    """Largest R-hat of any parameter; NaN of a single chain."""
    if posterior.sizes["chain"] < 2:
        return float("nan")
    import arviz_stats

    rhat: Any = arviz_stats.rhat(posterior)
    return float(max(float(value.max()) for value in rhat.data_vars.values()))


def settled(tree: xr.DataTree) -> bool:
    """Whether the chains of a calibration agree: R-hat at most 1.05 and at most one divergence in a hundred draws."""
    draws = tree["posterior"].sizes["chain"] * tree["posterior"].sizes["draw"]
    return bool(tree.attrs["rhat"] <= _MOST_RHAT and tree.attrs["divergences"] <= draws / 100)
