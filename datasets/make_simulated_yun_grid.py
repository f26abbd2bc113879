"""Write datasets/simulated-yun-grid.csv: Ludziejewski's published joint law on Yun's grid of runs.

Run it as ``python datasets/make_simulated_yun_grid.py``; the same file comes out every time.

Sizes and tokens are Yun et al. 2024's (arXiv:2404.02852, Table 1 and section 3.1: four backbones, 2.5 to 20 billion tokens,
1 to 32 experts in one FFN of two). The loss is Ludziejewski et al. 2025's (arXiv:2502.05172, Table 3), with top-1 routing and
both embedding matrices counted, as there; the noise is that paper's training RMSE, 0.0062, on ln loss.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bayesmoe.architecture import Family
from bayesmoe.files import written_whole
from bayesmoe.laws.forms.ludziejewski import Ludziejewski
from bayesmoe.runs.simulate import grid_of_runs, simulate_losses

BACKBONES = {81_395_712: 768, 184_647_680: 896, 289_406_976: 1024, 679_477_248: 1536}
TOKENS = (2.5e9, 5e9, 10e9, 20e9)
EXPERTS = (1, 4, 8, 16, 32)
VOCABULARY = 50_257
COLUMNS = (
    "run_id",
    "n_dense",
    "n_active",
    "n_total",
    "tokens",
    "num_experts",
    "top_k",
    "granularity",
    "shared_experts",
    "loss",
    "group",
)
NOISE_SCALE = 0.0062
SEED = 2502_05172


def simulated_yun_grid() -> Any:
    """The table, as a DataFrame."""
    law = Ludziejewski()
    (joint,) = law.published

    def loss_of(runs: dict[str, np.ndarray]) -> np.ndarray:
        width = np.array([BACKBONES[int(n)] for n in runs["n_dense"]])
        with_embeddings = {**runs, "n_active": runs["n_active"] + 2.0 * width * VOCABULARY}
        return np.asarray(law.loss(joint.coefficients, with_embeddings), dtype=float)

    design = grid_of_runs(list(BACKBONES), TOKENS, EXPERTS, family=Family(top_k=1.0))
    runs = simulate_losses(design, loss_of, noise_scale=NOISE_SCALE, seed=SEED)
    runs["loss"] = runs["loss"].round(5)
    for name in ("n_dense", "n_active", "n_total", "tokens"):
        runs[name] = runs[name].round().astype("int64")
    return runs.assign(group="simulated")[list(COLUMNS)]


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    with written_whole(Path(__file__).parent / "simulated-yun-grid.csv") as path:
        simulated_yun_grid().to_csv(path, index=False)
