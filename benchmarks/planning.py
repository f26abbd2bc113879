"""Plans under a whole posterior, beside a per-draw SciPy loop and an arithmetic floor.

4,000 draws by 20 expert counts on a grid of 512 sizes: plan and risk of the default problems, in a process of their own, warm. The peers solve
the same two problems draw by draw and count by count with ``scipy.optimize``, and evaluate no grid; they are timed on a few draws. The floor is as many
multiplications, exponentials and divisions in single precision as the grid's serving costs take, on data that stay in the cache.
``python -m benchmarks.planning``
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.optimize import brentq, minimize, minimize_scalar

from bayesmoe.cli.runtime import configure
from bayesmoe.decisions.risk import risk
from bayesmoe.fitting import fit_spec
from bayesmoe.inference.spec import read_fit_spec
from bayesmoe.inference.store import load_fit, save_fit
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.planner import plan
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.scenario import Scenario
from bayesmoe.planning.solve import SIZES
from bayesmoe.planning.surface import DesignSurface
from bayesmoe.resources import resource_folder
from benchmarks.costs import seconds

_COUNTS, _PEER_DRAWS, _REPEATS = 20, 3, 5
_GPUS, _MULTIPLICATIONS, _DIVISIONS = 8, 34, 2
"""Of each GPU count: products and sums of a step's terms, one exponential (experts hit), and the divisions of batch and price."""


def scenario_of(counts: int) -> Scenario:
    """The shipped scenario with that many expert counts."""
    shipped = read_scenario(resource_folder("models") / "scenarios" / "yun-2024.toml")
    choices = dataclasses.replace(shipped.choices, num_experts=tuple(range(4, 4 + counts)), baseline_num_experts=4)
    return dataclasses.replace(shipped, choices=choices)


def thinned(posterior: xr.DataTree, draws: int) -> xr.DataTree:
    """A fit with that many draws a chain."""
    found = posterior.copy()
    found["posterior"] = xr.DataTree(posterior["posterior"].to_dataset().isel(draw=np.arange(draws)))
    return found


def answered(posterior: xr.DataTree, counts: int) -> Callable[[], Any]:
    """Everything that ``bayesmoe plan`` computes for the default problems."""
    scenario = scenario_of(counts)
    return lambda: risk(plan(posterior, scenario))


Loss = Callable[[float, float], float]
Usd = Callable[[float, int, float], float]


def written_out(here: DesignSurface, draw: int) -> tuple[Loss, Usd]:
    """Loss and serving price of one draw as functions of ln size and count, in NumPy as one writes them for a loop."""
    p = {name: float(values[draw]) for name, values in here.parameters.items()}
    costs = jax.tree.map(lambda leaf: np.asarray(leaf)[draw], here.cost_draws)
    serving, mu = costs["serving"], float(costs["width_times_layers"][0])
    step = [float(slope[0]) for slope in serving.coefficients.step]
    prompt, output = float(serving.traffic.prompt_tokens[0]), float(serving.traffic.output_tokens[0])
    rate = float(serving.price_usd_per_gpu_hour[0]) / 3600.0 / float(serving.utilization[0]) * 1e6
    budget, share, gpus = float(here.budget), here.family.moe_share, np.arange(1.0, _GPUS + 1.0)

    def loss(x: float, count: float) -> float:
        size, experts = (
            np.exp(x),
            1.0 / (1.0 / (count - 1.0 + 1.0 / (1.0 / p["e_start"] - 1.0 / p["e_max"])) + 1.0 / p["e_max"]),
        )
        active = size * (1.0 - share + share * here.scenario.architecture.top_k)
        bracket = (
            p["A"] / size ** p["alpha"] + p["B"] / experts ** p["beta"] + p["C"] / (budget / 6.0 / active) ** p["gamma"]
        )
        return (bracket + p["F"]) * (size / p["N_c"]) ** (p["d"] * np.log(experts / p["e_c"]))

    def usd(x: float, number: int, count: float) -> float:
        size = np.exp(x)
        wide = mu * size ** (2.0 / 3.0)
        layers, total = 12.0 * wide**2 / size, size * (1.0 - share + share * count)
        active = size * (1.0 - share + share * here.scenario.architecture.top_k)
        request = 4.0 * wide * (prompt + output / 2.0)
        batch = np.minimum(np.floor((0.9 * gpus * 40e9 - 2.0 * total) / request), 1024.0)
        read = total - size * share * count * (1.0 - here.scenario.architecture.top_k / count) ** np.maximum(batch, 1.0)
        step_s = (
            step[0] * layers
            + step[1] * 0.5 * layers
            + step[2] * layers * np.log2(gpus)
            + step[3] * (2.0 * read + batch * request) / gpus / 1.555e12
            + step[4] * batch * (2.0 * active + 4.0 * wide * (prompt + output / 2.0)) / gpus / 312e12
            + step[5] * batch / output * (2.0 * prompt * active + 2.0 * wide * prompt**2) / gpus / 312e12
            + step[6] * 8.0 * batch * wide * (gpus - 1.0) / gpus / 300e9
        )
        served = batch >= 1.0
        price = float(serving.coefficients.slowdown[number]) * rate * gpus[served] * step_s[served] / batch[served]
        return float(price.min()) if len(price) else 1e9

    return loss, usd


def constrained(here: DesignSurface, draw: int) -> list[tuple[float, float]]:
    """ln sizes of both problems in one draw, by count, with SciPy's constrained minimiser: what one writes first."""
    loss, usd = written_out(here, draw)
    counts, bounds = [float(one.num_experts) for one in here.candidates], [(np.log(1e6), np.log(1e13))]

    def minimum(count: float) -> float:
        found: Any = minimize(lambda x: loss(x[0], count), [np.log(2e9)], bounds=bounds, method="L-BFGS-B")
        return found.x[0]

    optima = [minimum(count) for count in counts]
    threshold, most = loss(optima[0], counts[0]), usd(optima[0], 0, counts[0])

    def solved(goal: Callable[[Any], float], slack: Callable[[Any], float], start: float) -> float:
        limit = {"type": "ineq", "fun": slack}
        found: Any = minimize(goal, [start - 0.1], bounds=bounds, method="SLSQP", constraints=limit)
        return found.x[0]

    return [
        (
            solved(lambda x, n=n, c=c: np.log(usd(x[0], n, c)), lambda x, c=c: 1e3 * (threshold - loss(x[0], c)), optima[n]),
            solved(lambda x, c=c: loss(x[0], c), lambda x, n=n, c=c: np.log(most / usd(x[0], n, c)), optima[n]),
        )
        for n, c in enumerate(counts)
    ]


def bracketed(here: DesignSurface, draw: int) -> list[tuple[float, float]]:
    """The same by someone who knows that loss has one minimum and that serving cost rises with size: two brackets a problem."""
    loss, usd = written_out(here, draw)
    counts, low = [float(one.num_experts) for one in here.candidates], float(np.log(1e6))

    def minimum(count: float) -> float:
        found: Any = minimize_scalar(loss, bounds=(np.log(1e7), np.log(1e12)), args=(count,), method="bounded")
        return float(found.x)

    def crossing(gap: Callable[[float], float], high: float) -> float:
        found: Any = brentq(gap, low, high, xtol=1e-6) if gap(low) * gap(high) < 0 else np.nan
        return float(found)

    optima = [minimum(count) for count in counts]
    threshold, most = loss(optima[0], counts[0]), usd(optima[0], 0, counts[0])
    found = []
    for n, (count, optimum) in enumerate(zip(counts, optima, strict=True)):
        smallest = crossing(lambda x, c=count: loss(x, c) - threshold, optimum)
        usd(smallest if np.isfinite(smallest) else optimum, n, count)
        dear = usd(optimum, n, count) > most
        found.append((smallest, crossing(lambda x, n=n, c=count: usd(x, n, c) - most, optimum) if dear else optimum))
    return found


def floor(draws: int, configurations: int) -> Callable[[], Any]:
    """The arithmetic of serving costs alone."""
    block = 8192

    @jax.jit
    def run(start: Any) -> Any:
        def one(_: Any, x: Any) -> Any:
            # Four chains: one alone would wait for itself.
            chains = [x, x + 0.1, x + 0.2, x + 0.3]
            for i in range(_MULTIPLICATIONS // 4):
                chains = [chain * (0.999 - 1e-6 * i) + 1e-9 * i for chain in chains]
            found = jnp.exp(-0.25 * sum(chains))
            for _ in range(_DIVISIONS):
                found = 1.0 / (1.0 + found)
            return found

        return jax.lax.fori_loop(0, draws * configurations * _GPUS // block, one, start)

    start = jnp.full(block, 0.5, dtype=jnp.float32)
    return lambda: jax.block_until_ready(run(start))


def measured(path: Path, counts: int) -> dict[str, float]:
    """Seconds and peak memory of plan and risk, in this process."""
    posterior = load_fit(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    took = seconds(answered(posterior, counts), _REPEATS)
    return {"seconds": took, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "before_gb": before}


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="400 draws and 2 counts.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    configure()
    counts, draws = (2, 400) if given.quick else (_COUNTS, 4000)
    if given.measure is not None:
        print(json.dumps(measured(given.measure, counts)))
        return
    spec = read_fit_spec(resource_folder("models") / "simulated-yun-grid.toml")
    sampler = dataclasses.replace(spec.sampler, draws=draws // spec.sampler.chains, retries=0)
    posterior = fit_spec(dataclasses.replace(spec, sampler=sampler))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.nc"
        save_fit(posterior, path)
        command = [
            sys.executable,
            "-m",
            "benchmarks.planning",
            "--measure",
            str(path),
            *(["--quick"] if given.quick else []),
        ]
        # The first time fills the compile cache.
        subprocess.run(command, check=True, capture_output=True)
        own = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    size = counts * SIZES
    print(
        f"{draws:,} draws x {size:,} configurations: plan and risk of both default problems in {own['seconds']:.2f} s warm, "
        f"peak memory {own['peak_gb']:.2f} GB, of which {own['before_gb']:.2f} GB before planning"
    )
    (here,) = surfaces(posterior, scenario_of(counts)).values()
    ours = plan(posterior, scenario_of(counts))["n_dense"].transpose("sample", "num_experts", "problem").values
    for peer, how in (
        (constrained, "constrained minimiser (SLSQP)"),
        (bracketed, "minimize_scalar and brentq, brackets by hand"),
    ):
        begin = time.perf_counter()
        known = np.exp(np.array([peer(here, draw) for draw in range(_PEER_DRAWS)]))
        loop = (time.perf_counter() - begin) / _PEER_DRAWS * draws
        apart = np.nanmedian(np.abs(known / ours[:_PEER_DRAWS] - 1.0))
        print(
            f"per-draw SciPy loop, {how}: {loop:.0f} s for as many draws, {loop / own['seconds']:.0f} times as long; "
            f"sizes agree within {apart:.0e} (median)"
        )
    least = seconds(floor(draws, size), _REPEATS)
    print(f"arithmetic floor {least:.2f} s: the plan takes {own['seconds'] / least:.1f} times that")
    for part in (4, 2, 1):
        fewer = thinned(posterior, draws // part // spec.sampler.chains)
        print(f"  {draws // part:>6,} draws x {size:,} configurations: {seconds(answered(fewer, counts), 3):.2f} s")
    for part in (4, 2, 1):
        some = max(counts // part, 1)
        print(f"  {draws:>6,} draws x {some * SIZES:,} configurations: {seconds(answered(posterior, some), 3):.2f} s")


if __name__ == "__main__":
    main()
