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


def catalog_design() -> pd.DataFrame:
    """48 runs that vary everything some law of the catalog reads: sizes 5e7 to 2e9, tokens 2e9 to 1e11, 1 to 64 experts,
    granularity 1 and 4, with and without a shared expert, and two aspect ratios.
    """
    families = (Family(moe_share=0.5), Family(moe_share=0.5, top_k=4.0, granularity=4.0, shared_experts=1.0))
    sizes, tokens = np.geomspace(5e7, 2e9, 4).tolist(), np.geomspace(2e9, 1e11, 3).tolist()
    whole = [grid_of_runs(sizes, tokens, [1, 4, 16, 64], family=family) for family in families]
    # A checkerboard of both families: no covariate follows another.
    odd = (np.arange(len(whole[0])) + np.arange(len(whole[0])) // 4) % 2 == 1
    design = pd.concat([whole[0][~odd], whole[1][odd]]).sort_index()
    depth = np.where(odd, 2.0, 1.0)
    return design.assign(num_layers=design["num_layers"] * depth, d_model=design["d_model"] / np.sqrt(depth))


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
