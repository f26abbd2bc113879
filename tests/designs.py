"""Designs of runs that tests of many laws share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesmoe.architecture import Family
from bayesmoe.runs.simulate import grid_of_runs


def catalog_design() -> pd.DataFrame:
    """48 runs that vary everything some law of the catalog reads.

    Sizes 5e7 to 2e9, tokens 2e9 to 1e11, 1 to 64 experts, granularity 1 and 4, with and without a shared expert, and two aspect ratios.
    """
    families = (Family(moe_share=0.5), Family(moe_share=0.5, top_k=4.0, granularity=4.0, shared_experts=1.0))
    sizes, tokens = np.geomspace(5e7, 2e9, 4).tolist(), np.geomspace(2e9, 1e11, 3).tolist()
    whole = [grid_of_runs(sizes, tokens, [1, 4, 16, 64], family=family) for family in families]
    # A checkerboard of both families: no covariate follows another.
    odd = (np.arange(len(whole[0])) + np.arange(len(whole[0])) // 4) % 2 == 1
    design = pd.concat([whole[0][~odd], whole[1][odd]]).sort_index()
    depth = np.where(odd, 2.0, 1.0)
    return design.assign(num_layers=design["num_layers"] * depth, d_model=design["d_model"] / np.sqrt(depth))
