"""Pricing of architectures under draws, beside its arithmetic floor.

The floor is the same number of multiplications, additions and exponentials as a price takes, on data that stay in the cache.
``python -m benchmarks.costs``
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

from bayesmoe.architecture import Family
from bayesmoe.costs.price import serving_prices
from bayesmoe.costs.serving.roofline import TERMS
from bayesmoe.costs.serving.served_model import ServedModel, served_family
from bayesmoe.costs.workload import ServingSpec

_BLOCK, _FEATURES = 50, 16


def architectures(count: int) -> ServedModel:
    """A grid of backbone sizes and expert counts of Yun's family."""
    experts = np.array([1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512])
    sizes = np.geomspace(1e8, 2e10, -(-count // len(experts)))
    grid = np.stack(np.meshgrid(sizes, experts, indexing="ij")).reshape(2, -1)[:, :count]
    found = served_family(grid[0], grid[1], Family(), mu=0.045, cache_share=0.25, moe_layer_share=0.5)
    return ServedModel(*(np.asarray(leaf, dtype=float) for leaf in found))


def floor(draws: int, models: int, gpus: int) -> Callable[[], Any]:
    """The arithmetic of prices alone."""
    multiplications = gpus * len(TERMS) + _FEATURES + 1

    @jax.jit
    def run(start: Any) -> Any:
        def block(_: Any, x: Any) -> Any:
            # Four chains: one alone would wait for itself.
            chains = [x, x + 0.1, x + 0.2, x + 0.3]
            for i in range(multiplications // 4):
                chains = [chain * (0.999 - 1e-6 * i) + 1e-9 * i for chain in chains]
            return jnp.exp(-0.25 * sum(chains))

        return jax.lax.fori_loop(0, models // _BLOCK, block, start)

    start = jnp.full((_BLOCK, draws), 0.5)
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
    parser.add_argument("--quick", action="store_true", help="A hundredth of the architectures.")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    spec = ServingSpec(accelerator="H100-SXM", max_gpus=8)
    for draws, models in ((4000, 100),) if given.quick else ((4000, 1000), (1000, 10_000), (4000, 10_000)):
        model = architectures(models)
        took = seconds(lambda model=model, draws=draws: jax.block_until_ready(serving_prices(model, spec, draws=draws)), 5)
        least = seconds(floor(draws, models, spec.max_gpus), 5)
        print(
            f"{draws:,} draws x {models:,} architectures on 1 to {spec.max_gpus} GPUs: {took:.2f} s warm, "
            f"{took / least:.1f} times the floor of {least:.2f} s"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
