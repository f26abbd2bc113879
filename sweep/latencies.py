"""Seconds of serving one of the sweep's models on one core, by the bytes it reads: ``python -m sweep.latencies`` writes the table that the scenario names.

A step of a batch reads the weights that all tokens share and those of the experts that they meet, ``E (1 - (1 - K/E)^B)`` of E where routing is even.
A prompt is computed at the core's peak. No time is measured: this is the roofline of ``models/accelerators/core.toml``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bayesmoe.files import written_whole
from bayesmoe.resources import resource_folder
from bayesmoe.specs import read_toml

EXPERTS = (1, 4, 8, 16, 32, 64)
SIZES = (1e4, 1e7)
"""Backbones; between them seconds are linear, as bytes are."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
TOP_K, BYTES = 2, 4.0
PROMPT, OUTPUT = 16.0, 48.0
"""Tokens of a prompt and of its answer, as in the scenario: together the length of a document."""
EXPERT_SHARE = 2 / 3


def experts_met(num_experts: int, batch: float) -> float:
    """Experts of a layer, in widths of the dense feed-forward part, that a batch reads."""
    if num_experts == 1:
        return 1.0
    return num_experts / TOP_K * (1.0 - (1.0 - TOP_K / num_experts) ** batch)


def latencies(peak_flop_per_s: float, bandwidth_bytes_per_s: float) -> pd.DataFrame:
    """Seconds of prefill and decode of an iteration, by expert count, size and batch."""
    rows = []
    for count in EXPERTS:
        for size in SIZES:
            for batch in BATCHES:
                read = BYTES * size * (1.0 - EXPERT_SHARE + EXPERT_SHARE * experts_met(count, batch))
                # A request in so many is new as an answer has tokens.
                prompt = 2.0 * size * PROMPT * batch / OUTPUT
                rows.append((count, 1, size, batch, prompt / peak_flop_per_s, read / bandwidth_bytes_per_s))
    return pd.DataFrame(rows, columns=["num_experts", "n_gpus", "n_dense", "batch", "prefill_s", "decode_s"])


def main() -> None:
    """Write the table."""
    from bayesmoe.costs.hardware import AcceleratorSpec

    models = Path(resource_folder("models"))
    core = read_toml(models / "accelerators" / "core.toml", AcceleratorSpec)
    with written_whole(models / "latencies" / "core.csv") as path:
        latencies(core.peak_flop_per_s, core.bandwidth_bytes_per_s).to_csv(path, index=False)


if __name__ == "__main__":
    main()
