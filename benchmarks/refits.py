"""Refits of simulated tables of Clark's runs: in one process, and on one and more workers of a cluster on this machine.

``python -m benchmarks.refits``
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import jax

from bayesmoe.cli.calibrate import ranks_in_worker
from bayesmoe.criticism.cluster import finished_blocks
from bayesmoe.inference.spec import law_of, load_table, read_fit_spec
from benchmarks.clark import SPEC

BLOCK = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refits", type=int, default=200)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    spec = read_fit_spec(SPEC)
    table = load_table(spec.data, spec.groups, law_of(spec.law).response)
    blocks = [list(range(first, first + BLOCK)) for first in range(0, given.refits, BLOCK)]
    begin = time.perf_counter()
    for block in blocks:
        ranks_in_worker(block, spec, table)
    alone = time.perf_counter() - begin
    print(f"{given.refits} refits of Clark's 166 runs in one process: {alone:.0f} s, compilation included", flush=True)
    one = None
    for workers in sorted({1, os.cpu_count() or 1}):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            finished_blocks(ranks_in_worker, blocks, (spec, table), kept=Path(folder) / "kept.jsonl", workers=workers)
            took = time.perf_counter() - begin
        one = one or took
        print(f"on {workers} worker(s): {took:.0f} s, {one / took:.2f} times as fast as one worker", flush=True)


if __name__ == "__main__":
    main()
