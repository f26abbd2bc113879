"""Simulated run tables: a design of runs, a true law, and noise on the multiplicative scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd

from bayesmoe.architecture import Family


def grid_of_runs(
    n_dense: Sequence[float], tokens: Sequence[float], num_experts: Sequence[int], *, family: Family
) -> pd.DataFrame:
    """Full factorial design: one row per backbone size, token count and expert count, without losses.

    Parameters
    ----------
    n_dense, tokens, num_experts : sequence
        Backbone parameters, training tokens, routed experts (1 for dense).
    family : Family
        Turns them into active and total parameters.
    """
    rows = [family.run(float(n), float(d), float(e)) for n, d, e in product(n_dense, tokens, num_experts)]
    frame = pd.DataFrame(rows)
    counts = ["num_experts", "top_k"]
    frame[counts] = frame[counts].astype(int)
    frame.insert(0, "run_id", [f"sim-{i:03d}" for i in range(len(frame))])
    return frame


def simulate_losses(
    design: pd.DataFrame, loss_of: Callable[[dict[str, np.ndarray]], np.ndarray], *, noise_scale: float, seed: int
) -> pd.DataFrame:
    """Add a column ``loss = L exp(noise_scale z)`` in nats per token, z standard normal.

    Parameters
    ----------
    design : DataFrame
        Runs without losses.
    loss_of : callable
        True loss from the design's columns.
    noise_scale : float
        Standard deviation of ln loss.
    seed : int
        Seed of the noise.
    """
    truth = np.asarray(loss_of({name: design[name].to_numpy() for name in design.columns}))
    noise = np.random.default_rng(seed).standard_normal(len(design))
    return design.assign(loss=truth * np.exp(noise_scale * noise))
