"""Write bayesmoe/costs/training/calibration.nc: the training step calibrated on public measurements of throughput.

``python datasets/make_training_calibration.py FOLDER`` reads the tables ``training_*.csv`` from FOLDER (see the data cards: NVIDIA-NeMo, Megatron-LM,
dgxc-benchmarking, llm-foundry, torchtitan and others, at commits). Rows with a flag of ``training_tables.UNUSABLE`` are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

SOURCE = (
    "Megatron-Bridge @ 067f987d, llm-foundry @ 8c8dd48f, dgxc-benchmarking @ c5c765f2, Megatron-LM @ d48bd6be, Megatron-MoE-ModelZoo @ e8650517, "
    "torchtitan @ b5bcd76c, NeMo @ f75bd886 (Apache-2.0, MIT, BSD-3); whole runs as cited in training_end_to_end.csv"
)


def main() -> None:
    """Calibrate and write."""
    import jax
    import training_tables as tables

    from bayesmoe.costs.hierarchical import Settings
    from bayesmoe.costs.training.calibration import KIND
    from bayesmoe.costs.training.fit_calibration import calibrate_training

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    points, pairs, runs, _ = tables.everything(given.folder)
    found = calibrate_training(points, pairs, runs, settings=Settings(draws=1200, warmup=800, chains=2))
    attrs, found = found.attrs, found.isel(draw=slice(None, None, 4))
    found.attrs = attrs | {"source": SOURCE}
    KIND.save(KIND.shipped, found)
    print({key: found.attrs[key] for key in ("points", "rhat", "divergences")})


if __name__ == "__main__":
    main()
