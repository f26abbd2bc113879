"""Model FLOP utilization of every expert count along sizes, on the scenario's cluster."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayesmoe.architecture import num_layers, width_times_layers
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training_measurements import TrainingPoints
from bayesmoe.costs.uncertain import median
from bayesmoe.curves.by_size import DRAWS, of_counts
from bayesmoe.decisions.recommendation import bands
from bayesmoe.errors import InputError
from bayesmoe.planning.cost_draws import sample_costs
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.scenario import Scenario
from bayesmoe.precision import in_float64


@in_float64
def mfu_by_size(scenario: Scenario, *, n_dense: Sequence[float], draws: int = DRAWS) -> xr.Dataset:
    """MFU of the fastest layout that fits, of every expert count at some sizes.

    Parameters
    ----------
    scenario : Scenario
        Its training cluster, choices and architecture are read; of several top_k or granularities the architecture's own.
    n_dense : sequence of float
        Backbone parameters.
    draws : int
        Draws of the calibration.

    Returns
    -------
    Dataset
        By ``num_experts`` and ``n_dense``: ``train_mfu`` at each ``quantile`` of the draws in which some layout fits, model FLOP over the peak in
        bfloat16; ``p_fits``, how many these are. ``d_model`` by ``n_dense``, the width of such a model.

    Raises
    ------
    InputError
        The scenario states no cluster, or an MFU that holds for all.
    """
    asked, training = of_counts(scenario), scenario.training
    by_size = sample_costs(asked, draws).throughput if training.by_layout else None
    if by_size is None:
        hint = "give training.cluster_gpus, and leave out training.mfu"
        raise InputError("is needed to know how fast each size trains", column="training.cluster_gpus", hint=hint)
    sizes, counts = np.asarray(n_dense, float), list(scenario.choices.counts)
    ln_size = jnp.broadcast_to(jnp.log(sizes), (1, len(counts), len(sizes)))
    mfu = 1.0 / (by_size.seconds_per_flop(ln_size) * accelerator_named(training.accelerator).peak_flop_per_s)
    fits = np.asarray(by_size.fits(ln_size))
    known = xr.DataArray(
        np.where(fits, mfu, np.nan),
        dims=("sample", "num_experts", "n_dense"),
        coords={"num_experts": counts, "n_dense": sizes},
    )
    mu = median(scenario.architecture.width_times_layers)
    width = np.asarray(width_times_layers(sizes, mu) / num_layers(sizes, mu))
    found = bands(xr.Dataset({"train_mfu": known})).assign(p_fits=known.notnull().mean("sample"), d_model=("n_dense", width))
    found["train_mfu"].attrs = {"units": QUANTITIES["train_mfu"]}
    return found


def measured_mfu(points: TrainingPoints) -> pd.DataFrame:
    """What was measured, for the same figure: ``d_model``, ``num_experts`` (1 for dense) and ``mfu`` of every point, of the peak in bfloat16."""
    rows = points.rows
    mfu = rows.model.flop / (points.seconds_per_token * rows.chip.flop_per_s)
    columns = {"d_model": rows.model.d_model, "num_experts": rows.model.num_experts, "mfu": mfu}
    return pd.DataFrame(
        {name: np.broadcast_to(np.asarray(column, float), np.shape(mfu)) for name, column in columns.items()}
    )
