"""Is the band of an average of laws right about tables that one of its laws made?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayesmoe.criticism.sbc import without_seed
from bayesmoe.forecasting.backtest import asked_of, averaged_draws, forecasts_of
from bayesmoe.forecasting.forward_validation import training_compute
from bayesmoe.forecasting.hold_outs import forward_masks
from bayesmoe.forecasting.weights import average_of, laws_of, prior_of, size_of
from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.model import EXPECTED, RUN_NOISE, noisy
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.refits import with_law
from bayesmoe.inference.repetition import resolved
from bayesmoe.inference.spec import AVERAGE_NOISE, FitSpec, law_of
from bayesmoe.runs import RunTable

LOSSES = (0.5, 12.0)
"""Losses that a run can have, nats per token; a truth that leaves them is drawn again."""

_MOST_TRIES = 1000


def average_ranks_of(spec: FitSpec, table: RunTable, numbers: Sequence[int], *, seed: int) -> xr.Dataset:
    """Percentiles of simulated larger runs within the average's forecast from the smaller ones.

    Each simulation draws one of the laws of the spec's average, a truth from that law's prior and a table from the truth, with the covariates
    and groups of ``table``, whose losses are not used; holds out the fifth of the runs with the most training compute; and puts the whole
    pipeline to the rest: fits, splits, weights, discrepancy. A simulation depends on the seed and its own number only.

    Returns
    -------
    Dataset
        ``largest``, share of the forecast's draws below the simulated loss of the run with the most compute; ``held_out``, the mean over
        all runs held out of whether the 90% band holds them; ``law``, which made the table; by ``simulation``.
    """
    spec = without_seed(dataclasses.replace(spec, noise=spec.noise or AVERAGE_NOISE))
    held = next(iter(forward_masks(spec, table.frame, 1).values()))
    names = laws_of(spec, table.frame)
    rows = []
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        law = str(rng.choice(names))
        forecasts = forecasts_of(spec, _simulated(with_law(spec, law, size_of(spec, table.frame)), table, rng), held)
        average = average_of(forecasts.forward, forecasts.axes, seed=seed, prior=prior_of(spec))
        asked = asked_of(forecasts)
        draws = averaged_draws(asked, average.weights, average.discrepancies, seed=seed)
        first = next(iter(forecasts.parts))
        frame = forecasts.parts[first].frame[forecasts.asked[first]]
        below = (draws < asked[first]["observed"].values).mean(axis=0)
        largest = int(training_compute(frame, forecasts.size).argmax())
        rows.append((float(below[largest]), float(((below >= 0.05) & (below <= 0.95)).mean()), law))
    ranks = pd.DataFrame(rows, columns=["largest", "held_out", "law"], index=pd.Index(list(numbers), name="simulation"))
    return xr.Dataset.from_dataframe(ranks)


def average_calibration(ranks: xr.Dataset) -> xr.Dataset:
    """Coverage of the bands of the largest run, and the probability of so little if they cover what they say.

    An average whose laws include the truth pays for laws that do not: its bands may be too wide here, and must not be too narrow.

    Returns
    -------
    Dataset
        ``coverage`` and ``p_value`` (binomial, one-sided) by ``level``; ``joint_p_value``, the smallest times the number of levels.
    """
    rank, levels = ranks["largest"].values, np.array([0.5, 0.8, 0.9, 0.95])
    inside = np.abs(rank - 0.5)[:, None] <= levels / 2.0
    p_values = stats.binom.cdf(inside.sum(axis=0), len(rank), levels)
    return xr.Dataset(
        {
            "coverage": ("level", inside.mean(axis=0)),
            "p_value": ("level", p_values),
            "joint_p_value": min(1.0, float(p_values.min()) * len(levels)),
        },
        coords={"level": levels},
    )


def _simulated(spec: FitSpec, table: RunTable, rng: np.random.Generator) -> RunTable:
    """The table with losses drawn from the law's prior."""
    spec, table = resolved(spec, table)
    law = law_of(spec.law)
    frame, structure, data = arrange(table, law, coordinates_of(law, spec.law.priors), spec)
    density, placeholder = LogDensity(structure), jnp.ones(len(frame))
    for key in jax.random.split(jax.random.key(int(rng.integers(2**31))), _MOST_TRIES):
        place = density.prior(key, 1, data, placeholder)
        expected = density.expected(place[None], data, placeholder)
        losses = noisy(expected[EXPECTED][0], expected[RUN_NOISE][0], expected["noise_df"][0], rng)[0]
        if LOSSES[0] < losses.min() and losses.max() < LOSSES[1]:
            drawn = pd.Series(losses, index=frame["run_id"])
            return dataclasses.replace(
                table, frame=table.frame.assign(loss=table.frame["run_id"].map(drawn)), simulated=True
            )
    raise RuntimeError(f"the prior of {law.name} gives no possible table in {_MOST_TRIES} tries")
