"""One sampler on Clark's posterior, over several seeds, in a process of its own; prints a line of JSON a seed.

``python -m benchmarks.contenders bayesmoe|nutpie|numpyro --seeds 5``
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

CHAINS, WARMUP, DRAWS, CORES = 4, 1000, 1000, 2


def judged(
    name: str, seed: int, draws: np.ndarray, *, warmup_s: float, sampling_s: float, gradients: float
) -> dict[str, Any]:
    """One line: effective sizes and seconds, compilation left out.

    Parameters
    ----------
    draws : array, shape (chain, draw, dimension)
        All free variables.
    """
    from arviz_stats.base import array_stats

    axes: dict[str, Any] = {"chain_axis": 0, "draw_axis": 1}
    ess = float(np.min(array_stats.ess(draws, method="bulk", **axes)))
    return {
        "contender": name,
        "seed": seed,
        "rhat": float(np.max(array_stats.rhat(draws, **axes))),
        "bulk_ess": ess,
        "warmup_s": warmup_s,
        "sampling_s": sampling_s,
        "gradients_per_draw": gradients,
        "ess_per_s": ess / sampling_s,
        "ess_per_s_with_warmup": ess / (sampling_s + warmup_s),
    }


def bayesmoe(seeds: int, kernel: Literal["hmc", "nuts"] = "hmc") -> Iterator[dict[str, Any]]:
    """The shipped spec's sampler; the climbs to the mode count as warm-up."""
    import jax

    jax.config.update("jax_enable_x64", True)

    from bayesmoe.sampling.chains import Progress, sample
    from bayesmoe.sampling.settings import SamplerSpec
    from bayesmoe.sampling.start import CLIMBS, overdispersed_starts
    from benchmarks.clark import clark_posterior

    density, data, loss = clark_posterior()
    arguments = (data, loss)
    held = density.unbounded(*arguments)
    for seed in range(seeds + 1):
        places = density.prior(jax.random.key(seed), CLIMBS, *arguments)
        at: dict[str, float] = {"begin": time.perf_counter()}

        def clock(progress: Progress, at: dict[str, float] = at) -> None:
            at[progress.stage] = time.perf_counter()

        start = overdispersed_starts(density, arguments, places, chains=CHAINS, held=held, seed=seed)
        settings = SamplerSpec(warmup=WARMUP, draws=DRAWS, target_accept=0.9, kernel=kernel)
        found = sample(density, arguments, start, jax.random.key(seed), settings, on_progress=clock)
        # The first seed compiles.
        if seed:
            yield judged(
                f"bayesmoe {kernel}",
                seed,
                found.position,
                warmup_s=at["warm-up"] - at["begin"],
                sampling_s=at["sampling"] - at["warm-up"],
                gradients=float(found.stats["n_steps"].mean()),
            )


def require_same_density(model: Any, posterior: Any) -> None:
    """Raise where a PyMC model's log density is not ours up to a constant, at twenty points about one unit from the center."""
    import jax
    from jax.flatten_util import ravel_pytree

    rng = np.random.default_rng(0)
    theirs = model.compile_logp()
    center = model.initial_point()
    free = {variable.name: name for name, variable in zip(center, model.value_vars, strict=True)}
    points = [{name: value + rng.normal(size=value.shape) for name, value in center.items()} for _ in range(20)]
    ours = jax.jit(posterior.density)
    differences = [
        float(theirs(point))
        - float(ours(ravel_pytree({free[n]: v for n, v in point.items()})[0], posterior.data, posterior.loss))
        for point in points
    ]
    if np.ptp(differences) > 1e-6:
        raise AssertionError(f"the PyMC model is another posterior: log densities differ by {np.ptp(differences):g}")


def nutpie(seeds: int) -> Iterator[dict[str, Any]]:
    """nutpie on the same coordinates; a second run of one draw tells its warm-up from its sampling."""
    import jax
    import nutpie as sampler

    jax.config.update("jax_enable_x64", True)
    from benchmarks.clark import arrays_of, clark_posterior
    from benchmarks.in_pymc import nutpie_draws, pymc_model

    posterior = clark_posterior()
    model = pymc_model(arrays_of(posterior))
    require_same_density(model, posterior)
    compiled = sampler.compile_pymc_model(model)

    def run(seed: int, draws: int) -> tuple[float, Any]:
        begin = time.perf_counter()
        trace = nutpie_draws(compiled, draws=draws, warmup=WARMUP, chains=CHAINS, seed=seed, cores=CORES)
        return time.perf_counter() - begin, trace

    run(0, 1)
    for seed in range(1, seeds + 1):
        (short, _), (whole, trace) = run(seed, 1), run(seed, DRAWS)
        free = [np.asarray(value) for value in trace.posterior.data_vars.values()]
        draws = np.concatenate([value.reshape(*value.shape[:2], -1) for value in free], axis=2)
        gradients = float(trace.sample_stats["n_steps"].mean())
        yield judged("nutpie", seed, draws, warmup_s=short, sampling_s=whole - short, gradients=gradients)


def numpyro(seeds: int) -> Iterator[dict[str, Any]]:
    """NumPyro's NUTS on the law as usually written: diagonal mass, four chains in parallel on four CPU devices."""
    import numpyro as library

    library.set_host_device_count(CHAINS)
    library.enable_x64()
    import jax
    from numpyro.infer import MCMC, NUTS

    from benchmarks.as_written import clark_as_usually_written
    from benchmarks.clark import arrays_of, clark_posterior

    arrays = arrays_of(clark_posterior())
    run = MCMC(
        NUTS(clark_as_usually_written),
        num_warmup=WARMUP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="parallel",
        progress_bar=False,
    )
    for seed in range(seeds + 1):
        begin = time.perf_counter()
        run.warmup(jax.random.key(seed), arrays, extra_fields=("num_steps",))
        jax.block_until_ready(run.post_warmup_state)
        middle = time.perf_counter()
        run.run(jax.random.key(seed), arrays, extra_fields=("num_steps",))
        samples = jax.block_until_ready(run.get_samples(group_by_chain=True))
        end = time.perf_counter()
        draws = np.concatenate([np.asarray(v).reshape(CHAINS, DRAWS, -1) for v in samples.values()], axis=2)
        # The first seed compiles.
        if seed:
            gradients = float(np.mean(run.get_extra_fields()["num_steps"]))
            found = {"warmup_s": middle - begin, "sampling_s": end - middle, "gradients": gradients}
            yield judged("numpyro as usually written", seed, draws, **found)


CONTENDERS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {"bayesmoe": bayesmoe, "nutpie": nutpie, "numpyro": numpyro}


def main() -> None:
    """Print a line of JSON a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    for line in CONTENDERS[given.contender](given.seeds):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
