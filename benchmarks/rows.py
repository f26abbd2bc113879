"""Cost of a gradient of the log density against the number of runs and groups, beside an arithmetic floor.

The floor is the gradient of a sum over runs of ``log1p(exp(x_i))``: one power and one logarithm a run, the least that a power law
with Student noise needs. ``python -m benchmarks.rows``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayesmoe.inference.fit_law import arrange
from bayesmoe.inference.log_density import LogDensity
from bayesmoe.inference.priors import coordinates_of
from bayesmoe.inference.spec import FitSpec, law_of
from bayesmoe.runs import as_run_table
from bayesmoe.specs import from_mapping

RUNS, GROUPS = (100, 1_000, 10_000, 100_000), (1, 8, 64)
_SECONDS = 2.0


def table(runs: int, groups: int) -> pd.DataFrame:
    """Runs over four decades of size and eight expert counts; the losses are any."""
    rng = np.random.default_rng(0)
    n_dense = 10.0 ** rng.uniform(7, 10, runs)
    return pd.DataFrame(
        {
            "n_dense": n_dense,
            "tokens": 20.0 * n_dense * 10.0 ** rng.uniform(-0.5, 0.5, runs),
            "num_experts": 2 ** (np.arange(runs) % 8),
            "top_k": 1,
            "loss": rng.uniform(2.0, 3.5, runs),
            "group": [f"g{i % groups}" for i in range(runs)],
        }
    )


def seconds_a_gradient(density: Callable[..., Any], position: Any, arguments: tuple[Any, ...]) -> float:
    """Best of repeated loops of gradients inside one compiled program, as a sampler takes them."""
    gradient = jax.grad(lambda v, data: density(v, *data))

    def loop(v: Any, data: Any, steps: Any) -> Any:
        # Moving is what keeps the compiler from taking the gradient once.
        return jax.lax.fori_loop(0, steps, lambda _, v: v + 1e-12 * gradient(v, data), v)

    run = jax.jit(loop)
    steps, best, begin = 1, np.inf, time.perf_counter()
    jax.block_until_ready(run(position, arguments, steps))
    while time.perf_counter() - begin < _SECONDS or not np.isfinite(best):
        at = time.perf_counter()
        jax.block_until_ready(run(position, arguments, steps))
        took = time.perf_counter() - at
        if took < 0.02:
            steps *= 2
        else:
            best = min(best, took / steps)
    return best


def law_cost(name: str, runs: int, groups: int) -> float:
    """Seconds a gradient of that law's hierarchical density."""
    mapping: dict[str, Any] = {"name": "rows", "data": {"file": "rows.csv"}, "law": {"name": name}}
    if groups > 1:
        mapping["groups"] = {"column": "group"}
    spec = from_mapping(mapping, FitSpec)
    law = law_of(spec.law)
    frame, structure, data = arrange(as_run_table(table(runs, groups)), law, coordinates_of(law, spec.law.priors), spec)
    density = LogDensity(structure)
    loss = jnp.asarray(frame["loss"].to_numpy(float))
    dimension = sum(int(np.prod(shape)) for shape in density.shapes(data, loss).values())
    return seconds_a_gradient(density, jnp.zeros(dimension), (data, loss))


def floor_cost(runs: int) -> float:
    """Seconds a gradient of one power and one logarithm a run."""
    x = jnp.linspace(-1.0, 1.0, runs)
    return seconds_a_gradient(lambda v, x: jnp.log1p(jnp.exp(v[0] + v[1] * x)).sum(), jnp.zeros(2), (x,))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--law", default="clark")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(f"law {given.law}: microseconds a gradient (times the floor)")
    print("     runs    floor" + "".join(f"{groups:>7} group(s)  " for groups in GROUPS), flush=True)
    before: dict[int, float] = {}
    for runs in RUNS:
        floor = floor_cost(runs)
        costs = {groups: law_cost(given.law, runs, groups) for groups in GROUPS}
        print(
            f"{runs:9,} {1e6 * floor:8.1f} "
            + "".join(f"{1e6 * cost:10.1f} ({cost / floor:4.1f}) " for cost in costs.values()),
            flush=True,
        )
        if before:
            growth = ", ".join(f"{costs[groups] / before[groups]:.1f}" for groups in GROUPS)
            print(f"          ten times the runs cost {growth} times as much", flush=True)
        before = costs


if __name__ == "__main__":
    main()
