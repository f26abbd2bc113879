"""Train a list of runs in processes of one thread each, and keep a JSON line of each; what is there already is not trained again."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RUNS = HERE / "runs.jsonl"
STATE = HERE.parent / ".sweep"
"""Checkpoints and compiled programs; may be deleted."""

ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "false",
    "JAX_COMPILATION_CACHE_DIR": str(STATE / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Environment of a process that trains."""


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of a file of JSON lines, none where there is no file; a last line that a kill cut off is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def versions() -> dict[str, str]:
    """What a row was made with."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("jax", "jaxlib", "numpy", "optax")}}


def counts(model: Any, tokens: int) -> dict[str, float]:
    """Sizes, training FLOP and shape of the routing as ``bayesmoe.architecture.Family`` counts them; a dense model routes nothing."""
    covariates = model.family.run(model.n_dense, tokens, model.num_experts)
    names = ("top_k", "granularity", "shared_experts", "n_dense", "n_active", "n_total", "train_flop")
    return {name: round(float(covariates[name])) for name in names}


def trained(run: Any, state: str) -> dict[str, Any]:
    """The row of a run, trained in this process."""
    from sweep.language import Language
    from sweep.train import configuration, train

    row = train(run, Language(), Path(state) / f"{run.run_id}.npz")
    assert row is not None
    return {**configuration(run), **counts(run.model, run.tokens), **row, "versions": versions()}


def train_all(
    runs: Iterable[Any], path: Path, *, processes: int, state: Path = STATE, done: Callable[[dict[str, Any]], None] = print
) -> None:
    """Train what ``path`` lacks, in order, and append a line for each as soon as it is done."""
    known = {row["run_id"] for row in rows_of(path)}
    left = [run for run in runs if run.run_id not in known]
    # Children read it when they import JAX; the parent computes nothing.
    os.environ.update(ONE_THREAD)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(trained, run, str(state)) for run in left]):
            row = future.result()
            # A line that a kill cut off must not swallow this one.
            cut = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
            with path.open("a", encoding="utf-8") as file:
                file.write(("\n" if cut else "") + json.dumps(row) + "\n")
            done(row)


def said(row: dict[str, Any]) -> None:
    """One line about a row on standard output."""
    print(f"{row['run_id']}: loss {row['loss']:.4f}, {row['train_flop']:.3g} FLOP, {row['cpu_s']:.0f} CPU-s", flush=True)
    sys.stdout.flush()
