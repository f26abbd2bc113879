"""How fast: effective draws a second on Clark's hierarchical posterior, and whole processes from start to saved fit.

``python -m benchmarks.sampling`` runs each contender in a process of its own, one after the other, over five seeds. ``--quick`` leaves
out NumPyro's NUTS on the law as usually written, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clark import SPEC, arrays_of, clark_posterior
from benchmarks.processes import Cost, process_cost


def measured(contender: str, seeds: int) -> list[dict[str, Any]]:
    """Lines of a contender."""
    command = [sys.executable, "-m", "benchmarks.contenders", contender, "--seeds", str(seeds)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in found.stdout.splitlines()]


def print_contender(lines: list[dict[str, Any]]) -> None:
    """One line a seed."""
    for line in lines:
        print(
            f"  {line['contender']:26} seed {line['seed']}: R-hat {line['rhat']:.3f}, bulk ESS {line['bulk_ess']:6.0f}, "
            f"{line['warmup_s']:6.2f} s + {line['sampling_s']:6.2f} s, {line['gradients_per_draw']:5.1f} gradients a draw, "
            f"ESS/s {line['ess_per_s']:7.1f} ({line['ess_per_s_with_warmup']:.1f} with warm-up)",
            flush=True,
        )


def print_ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Median over seeds of ours over theirs, by sampling alone and with warm-up."""

    def ratio(key: str) -> float:
        return statistics.median(line[key] for line in ours) / statistics.median(line[key] for line in theirs)

    print(
        f"bayesmoe against {theirs[0]['contender']}: {ratio('ess_per_s'):.1f} times the smallest bulk ESS per second of "
        f"sampling, {ratio('ess_per_s_with_warmup'):.1f} times with warm-up (medians of {len(ours)} seeds)",
        flush=True,
    )


def processes() -> dict[str, Cost]:
    """Whole processes, first with empty caches and then with what these have left."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        arrays, out = Path(folder) / "arrays.npz", str(Path(folder) / "fit.nc")
        np.savez(arrays, **arrays_of(clark_posterior()))
        ours = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/jax"}
        theirs = {"PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor", "NUMBA_CACHE_DIR": f"{folder}/numba"}
        fit = [sys.executable, "-m", "bayesmoe", "fit", str(SPEC), "--out", out]
        pymc = [sys.executable, "-m", "benchmarks.in_pymc", str(arrays), out]
        for state in ("cold", "warm"):
            found[f"bayesmoe fit, {state}"] = process_cost(fit, ours)
            found[f"PyMC + nutpie, {state}"] = process_cost(pymc, theirs)
        found["bayesmoe fit --method laplace, cold"] = process_cost([*fit, "--method", "laplace"], ours)
        found["bayesmoe fit --method laplace, warm"] = process_cost([*fit, "--method", "laplace"], ours)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    print("process start to saved fit, 166 runs, 3 routers, law clark, 4 chains x 1000 draws:", flush=True)
    costs = processes()
    for name, cost in costs.items():
        print(f"  {name:36} {cost.seconds:6.1f} s, {cost.peak_gb:.2f} GB", flush=True)
    for state in ("cold", "warm"):
        ratio = costs[f"PyMC + nutpie, {state}"].seconds / costs[f"bayesmoe fit, {state}"].seconds
        print(f"bayesmoe against PyMC + nutpie, {state}: {ratio:.1f} times as fast", flush=True)
    print("smallest bulk ESS per second, compilation left out:", flush=True)
    ours = measured("bayesmoe", given.seeds)
    print_contender(ours)
    for contender in ("nutpie", *(() if given.quick else ("numpyro",))):
        theirs = measured(contender, given.seeds)
        print_contender(theirs)
        print_ratio(ours, theirs)


if __name__ == "__main__":
    main()
