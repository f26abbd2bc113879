"""The law of one group of runs, or of a group that is not trained yet."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesmoe.errors import InputError
from bayesmoe.inference.store import GROUP_DIM, FitInfo, reference_of_fit

NEW_GROUP = "new"
"""A group not trained yet: drawn from the population of groups."""


def parameters_of_group(
    fit: xr.DataTree, group: str | None, *, draws: int, rng: np.random.Generator, column: str
) -> dict[str, Any]:
    """Draws of a law's paper parameters for one group.

    Parameters
    ----------
    fit : DataTree
        A fit of one law.
    group : str, optional
        A group of the fit, or "new"; None where runs are not grouped.
    draws : int
        How many, evenly spaced over all: neighbors in a chain are alike.
    rng : numpy Generator
        Source of a new group's coordinates.
    column : str
        What an error names as the place of ``group``.

    Returns
    -------
    dict of array, shape (draws,)
        In the law's units.

    Raises
    ------
    InputError
        The fit is grouped and has no such group, or is not grouped and a group is named.
    """
    info, reference = FitInfo.read(fit), reference_of_fit(fit)
    posterior = fit["posterior"].to_dataset().stack(sample=("chain", "draw")).transpose("sample", ...)
    groups = [str(name) for name in posterior[GROUP_DIM].values] if GROUP_DIM in posterior.dims else []
    if groups and group not in (*groups, NEW_GROUP):
        hint = f"one of {', '.join(groups)}, or 'new' for a group not trained yet"
        raise InputError("must name a group of the fit", column=column, value=group or "nothing", hint=hint)
    if not groups and group is not None:
        raise InputError(
            "the fit has no groups", column=column, value=group, hint="leave it out, or refit with --group-by COLUMN"
        )
    values = {}
    for coordinate in info.coordinates:
        draws_of = posterior[coordinate.name]
        if GROUP_DIM not in draws_of.dims:
            values[coordinate.name] = jnp.asarray(draws_of.values)
        elif group == NEW_GROUP:
            mean = coordinate.to_real(jnp.asarray(posterior[f"{coordinate.name}_population"].values))
            spread = posterior[f"{coordinate.name}_spread"].values
            values[coordinate.name] = coordinate.to_support(mean + spread * rng.standard_normal(len(spread)))
        else:
            values[coordinate.name] = jnp.asarray(draws_of.sel({GROUP_DIM: group}).values)
    every = posterior.sizes["sample"]
    kept = np.linspace(0, every - 1, draws).round().astype(int)
    parameters = jax.vmap(lambda q: info.law.to_paper(q, reference))(values)
    return {name: jnp.broadcast_to(jnp.asarray(value), (every,))[kept] for name, value in parameters.items()}
