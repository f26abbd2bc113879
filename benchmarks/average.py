"""An average of laws by forward validation, from the start of the process to the saved file: with an empty cache of programs, and again.

Clark's routers (166 runs, 3 groups), AI2's ladder (203 runs, 10 recipes) and a simulated dense table of 250 runs.
``python -m benchmarks.average``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.processes import process_cost

MODELS = Path(__file__).parents[1] / "models"
TABLES = ("clark", "olmoe3", "dense")


def dense_table() -> pd.DataFrame:
    """250 dense runs of Hoffmann's law with 0.4% noise, sizes and tokens on no grid."""
    rng = np.random.default_rng(0)
    n_dense, ratio = (np.exp(rng.uniform(*np.log(ends), 250)) for ends in ((2e7, 2e9), (4.0, 100.0)))
    loss = 1.69 + 406.4 / n_dense**0.34 + 410.7 / (ratio * n_dense) ** 0.28
    runs = {
        "n_dense": n_dense,
        "tokens": ratio * n_dense,
        "num_experts": 1,
        "loss": loss * np.exp(0.004 * rng.standard_normal(250)),
    }
    return pd.DataFrame(runs)


def command(table: str, folder: Path) -> list[str]:
    """Fit an average to one of the tables."""
    given = {"clark": str(MODELS / "clark2022-routers.toml"), "olmoe3": str(MODELS / "olmoe3-ladder.toml")}
    if table == "dense":
        dense_table().to_csv(folder / "dense.csv", index=False)
    return [
        *(sys.executable, "-m", "bayesmoe", "fit", given.get(table, str(folder / "dense.csv"))),
        *("--law", "average", "--out", str(folder / "fit.nc")),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", choices=TABLES, default=list(TABLES))
    given = parser.parse_args()
    print("table     cold s  warm s  peak GB")
    for table in given.tables:
        with tempfile.TemporaryDirectory() as folder:
            # The cache of compiled programs lies where the user's caches do.
            environment = {"XDG_CACHE_HOME": folder}
            how = command(table, Path(folder))
            cold, warm = (process_cost(how, environment) for _ in range(2))
        print(f"{table:8} {cold.seconds:7.0f} {warm.seconds:7.0f} {warm.peak_gb:8.1f}", flush=True)


if __name__ == "__main__":
    main()
