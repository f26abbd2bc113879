"""Plan on latencies that you measured yourself, in place of the roofline.

``python examples/own_serving_table.py --out DIR`` writes ``DIR/latency.csv``, ``DIR/scenario.toml`` and ``DIR/plan.nc``. The latencies are
made up here, linear in size and batch; put your own measurements in the same columns.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import pandas as pd
from fit_a_posterior import fitted

import bayesmoe as bm

SCENARIO = """name = "own latencies"

[training]
budget_flop = 1e21

[choices]
num_experts = [1, 8]
baseline_num_experts = 1

[serving]
accelerator = "A100-SXM-40GB"
max_gpus = 4
price_usd_per_gpu_hour = 1.5
latency_table = "latency.csv"
"""


def measured() -> pd.DataFrame:
    """Every size with every batch, for each expert count and number of GPUs that a replica may have."""
    rows = []
    for experts, gpus, size, batch in itertools.product((1, 8), (1, 2, 4), (1e8, 1e9, 1e10), (1, 32, 256)):
        step_s = 0.004 + (2e-12 * size * (1.0 + 0.1 * experts) + 2e-5 * batch) / gpus
        rows.append((experts, gpus, size, batch, 1e-3 + 1e-12 * size * batch / gpus, step_s))
    return pd.DataFrame(rows, columns=["num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s"])


def main(out: Path) -> None:
    """Write the table and a scenario that names it, and plan."""
    measured().to_csv(out / "latency.csv", index=False)
    (out / "scenario.toml").write_text(SCENARIO, encoding="utf-8")

    posterior = fitted()
    found = bm.plan(posterior, bm.read_scenario(out / "scenario.toml"))
    bm.save_plan(found, out / "plan.nc")
    # A size outside the table has no known latency, and no plan is made on one.
    print(bm.risk(found)[["p_feasible", "p_best"]].sel(problem="cheapest_serving").to_dataframe().round(3))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
