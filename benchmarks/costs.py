"""Costs of architectures under draws, beside their arithmetic floor.

The floor is the same number of multiplications, additions and exponentials as the roofline takes on every layout of a replica, on data that stay
in the cache. ``python -m benchmarks.costs``
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.architecture import shape_of_size
from bayesmoe.costs.cost import cost
from bayesmoe.costs.serving.layouts import layouts
from bayesmoe.costs.serving.step import TERMS
from bayesmoe.costs.training_budget import Training
from bayesmoe.costs.workload import Serving

_EXPERTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def floor(draws: int, models: int, laid_out: int) -> Callable[[], Any]:
    """The arithmetic of the roofline alone."""
    multiplications = laid_out * len(TERMS) + 1

    @jax.jit
    def run(start: Any) -> Any:
        def model(_: Any, x: Any) -> Any:
            # Four chains: one alone would wait for itself.
            chains = [x, x + 0.1, x + 0.2, x + 0.3]
            for i in range(multiplications // 4):
                chains = [chain * (0.999 - 1e-6 * i) + 1e-9 * i for chain in chains]
            return jnp.exp(-0.25 * sum(chains))

        return jax.lax.fori_loop(0, models, model, start)

    start = jnp.full(draws, 0.5)
    return lambda: jax.block_until_ready(run(start))


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Best time of a warm call."""
    run()
    took = []
    for _ in range(repeats):
        at = time.perf_counter()
        run()
        took.append(time.perf_counter() - at)
    return min(took)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="A tenth of the architectures.")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    draws, models = 4000, 10 if given.quick else 100
    sizes = np.geomspace(1e8, 2e10, models // len(_EXPERTS)).tolist()
    shapes = [shape_of_size(size, experts, top_k=min(2, experts)) for size in sizes for experts in _EXPERTS]
    training, serving = Training(budget_flop=1e22), Serving(accelerator="H100-SXM", max_gpus=8)
    took = seconds(lambda: cost(shapes, training, serving, draws=draws), 3)
    least = seconds(floor(draws, models, len(layouts(serving.max_gpus, serving.attention))), 5)
    print(
        f"{draws:,} draws x {models:,} architectures on 1 to {serving.max_gpus} GPUs: {took:.2f} s warm, "
        f"{took / least:.1f} times the floor of {least:.3f} s; "
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    )


if __name__ == "__main__":
    main()
