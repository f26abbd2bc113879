"""``python -m sweep``: train the runs of the design that ``runs.jsonl`` lacks; ``--small`` trains six of them again and compares."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from sweep.run import RUNS, STATE, rows_of, said, train_all

TOLERANCE = 0.02
"""Largest relative difference of a loss from its committed row: another processor rounds otherwise, and training carries it on."""


def compared(rows: list[dict[str, Any]], committed: list[dict[str, Any]], tolerance: float = TOLERANCE) -> bool:
    """Whether every row has a committed one of its name whose loss is that near; prints each."""
    known, good = {row["run_id"]: row for row in committed}, True
    for row in sorted(rows, key=lambda row: row["run_id"]):
        there = known.get(row["run_id"])
        if there is None:
            print(f"{row['run_id']}: no committed row")
            good = False
            continue
        off = row["loss"] / there["loss"] - 1.0
        good &= abs(off) <= tolerance
        print(f"{row['run_id']}: loss {row['loss']:.6f}, committed {there['loss']:.6f}, off by {off:+.4%}")
    return good


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    from sweep.design import design, small

    parser = argparse.ArgumentParser(prog="python -m sweep", description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="train six runs again and compare them with their committed rows"
    )
    parser.add_argument("--list", action="store_true", help="only say what is left to train")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, each in a process of one thread (2)")
    parser.add_argument("--at-most", type=int, default=None, help="train so many of the runs that are left")
    given = parser.parse_args(arguments)
    if given.small:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "runs.jsonl"
            train_all(small(), path, processes=given.processes, state=Path(folder), done=said)
            good = compared(rows_of(path), rows_of(RUNS))
        print(f"{'as committed' if good else 'NOT as committed'}: tolerance {TOLERANCE:.1%} of the loss")
        return 0 if good else 1
    known = {row["run_id"] for row in rows_of(RUNS)}
    left = [run for run in design() if run.run_id not in known]
    print(f"{len(known)} rows are there, {len(left)} runs are left")
    if given.list:
        print("\n".join(run.run_id for run in left))
        return 0
    train_all(left[: given.at_most], RUNS, processes=given.processes, state=STATE, done=said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
