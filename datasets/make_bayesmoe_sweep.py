"""Write datasets/bayesmoe_sweep.csv from the rows of ``sweep/runs.jsonl``, and its checksum into the registry.

Run it as ``python datasets/make_bayesmoe_sweep.py`` after ``make sweep``; the same rows give the same file.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pandas as pd

from bayesmoe.files import write_text, written_whole

HERE = Path(__file__).parent
RUNS = HERE.parent / "sweep" / "runs.jsonl"
TABLE, REGISTRY = HERE / "bayesmoe_sweep.csv", HERE / "registry.toml"
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
    "train_flop",
    "seed",
    "learning_rate",
    "d_model",
    "num_layers",
    "cpu_s",
)
ENTRY = re.compile(r'(\[data\.bayesmoe-sweep\]\ntitle = "[^"]*?)\d+( runs.*?sha256 = ")[0-9a-f]*(")', re.DOTALL)


def table(rows: list[dict]) -> pd.DataFrame:
    """Rows as a run table, by size, tokens, experts and seed."""
    frame = pd.DataFrame(rows)[list(COLUMNS)].sort_values(["n_dense", "tokens", "num_experts", "seed"])
    return frame.assign(loss=frame["loss"].round(5)).reset_index(drop=True)


def main() -> None:
    """Write the table, the number of runs and the checksum."""
    runs = table([json.loads(line) for line in RUNS.read_text(encoding="utf-8").splitlines()])
    with written_whole(TABLE) as path:
        runs.to_csv(path, index=False)
    digest = hashlib.sha256(TABLE.read_bytes()).hexdigest()
    changed, times = ENTRY.subn(rf"\g<1>{len(runs)}\g<2>{digest}\g<3>", REGISTRY.read_text(encoding="utf-8"))
    if times != 1:
        raise SystemExit(f"{REGISTRY.name} has no entry bayesmoe-sweep")
    write_text(REGISTRY, changed)


if __name__ == "__main__":
    main()
