"""Seconds of ``bayesmoe runs check`` on a table of 100,000 runs and 300 columns, process start to end, beside pandas reading the same file.

``python -m benchmarks.run_tables``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.processes import process_cost


def table(runs: int, columns: int) -> pd.DataFrame:
    """Runs on a power law under eight expert counts, among columns of other metrics, a tenth of them words."""
    rng = np.random.default_rng(0)
    n_dense = 10 ** rng.uniform(7, 10, runs)
    tokens = 20 * n_dense * 10 ** rng.uniform(-0.5, 0.5, runs)
    experts = 2 ** (np.arange(runs) % 8)
    loss = 1.7 + 400 * n_dense**-0.34 + 410 * tokens**-0.28 - 0.03 * np.log(experts) + rng.normal(0, 0.005, runs)
    known = {
        "run_id": [f"run-{run}" for run in range(runs)], "num_experts": experts, "top_k": np.where(experts > 1, 2, 1), "n_dense": n_dense, "tokens": tokens,
        "val/loss": loss, "state": "finished", "recipe_name": rng.choice(["a", "b", "c"], runs),
    }  # fmt: skip
    others = {
        f"eval/metric_{place}": rng.random(runs).round(4) if place % 10 else rng.choice(["x", "y"], runs)
        for place in range(columns - len(known))
    }
    return pd.DataFrame(known | others)


def main() -> None:
    """Print the seconds of three repeats of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        table(given.runs, given.columns).to_csv(path, index=False)
        print(f"{given.runs} runs, {given.columns} columns, {path.stat().st_size / 1e6:.0f} MB")
        contenders = {
            "pandas.read_csv": ("-c", f"import pandas; pandas.read_csv({str(path)!r})"),
            "bayesmoe runs check": ("-m", "bayesmoe", "runs", "check", str(path)),
        }
        for name, command in contenders.items():
            took = [process_cost([sys.executable, *command], {}) for _ in range(given.repeats)]
            print(f"{name}: {', '.join(f'{cost.seconds:.1f} s, {cost.peak_gb:.1f} GB' for cost in took)}")


if __name__ == "__main__":
    main()
