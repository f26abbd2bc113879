"""The same posterior written in PyMC: same coordinates, same priors, same degrees of centering.

``python -m benchmarks.in_pymc ARRAYS.npz OUT.nc`` samples it with nutpie and saves it: a whole process, as ``bayesmoe fit`` is one.
Nothing of ours is imported, so that the process pays for PyMC and nutpie alone.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

ABOVE_ONE = ("e_start",)
POSITIVE = ("loss_reference", "slope_size", "gain", "e_above")


def pymc_model(arrays: dict[str, np.ndarray]) -> Any:
    """Clark's law as a PyMC model on the real line; free variables have the names of ours.

    Parameters
    ----------
    arrays : dict of array
        From :func:`benchmarks.clark.arrays_of`.
    """
    import pymc as pm
    import pytensor.tensor as pt

    groups = arrays["membership"].shape[1]
    ln_size, ln_dense_size = np.log(arrays["size"]), np.log(arrays["dense_size"])
    ln_reference = float(np.log(arrays["reference_size"]))

    def on_support(name: str, real: Any) -> Any:
        if name in ABOVE_ONE:
            return 1.0 + pt.exp(real)
        return pt.exp(real) if name in POSITIVE else real

    def ln_effective(experts: Any, q: dict[str, Any]) -> Any:
        most = q["e_start"] + q["e_above"]
        room = pt.maximum(1.0 / q["e_start"] - 1.0 / most, 1e-9)
        return -pt.log(1.0 / (experts - 1.0 + 1.0 / room) + 1.0 / most)

    with pm.Model() as model:
        q: dict[str, Any] = {}
        for key in (key for key in arrays if key.startswith("prior:")):
            name = key.removeprefix("prior:")
            mean, sd, spread = arrays[key]
            if f"centering:{name}" not in arrays:
                q[name] = on_support(name, pm.Normal(name, mean, sd)) * pt.ones(groups)
                continue
            centered = arrays[f"centering:{name}"]
            population = pm.Normal(f"{name}_population", mean, sd)
            between = pt.exp(pm.Normal(f"{name}_spread", np.log(spread), arrays["spread_log_sd"]))
            base = pm.Normal(f"{name}_base", centered * population, between**centered, shape=groups)
            q[name] = on_support(name, population + between ** (1.0 - centered) * (base - centered * population))
        ln_start = pt.log(q["e_start"])
        ln_experts, span = ln_effective(arrays["reference_experts"], q), ln_effective(arrays["gain_experts"], q) - ln_start
        c = q["interaction"] * q["slope_size"] / span
        b = -q["gain"] / span - c * ln_reference
        a = -q["slope_size"] - c * ln_experts
        d = pt.log(q["loss_reference"]) - a * ln_reference - b * ln_experts - c * ln_reference * ln_experts
        run = {
            name: pt.dot(arrays["membership"], value)
            for name, value in {"a": a, "b": b, "c": c, "d": d, "e_start": q["e_start"], "e_above": q["e_above"]}.items()
        }
        experts = ln_effective(arrays["experts"], run)
        routed = pt.exp(run["a"] * ln_size + run["b"] * experts + run["c"] * ln_size * experts + run["d"])
        dense_size = ln_dense_size[:, None]
        dense = pt.exp(a * dense_size + b * ln_start + c * dense_size * ln_start + d).mean(axis=1)
        expected = pt.concatenate([routed, dense])
        scale = pt.exp(pm.Normal("noise_scale", np.log(arrays["noise_median"]), 1.0))
        df = pt.exp(pm.Normal("noise_df", np.log(arrays["noise_df_median"]), 0.8))
        pm.StudentT("loss", nu=df, mu=expected, sigma=scale * expected, observed=arrays["loss"])
    return model


def nutpie_draws(compiled: Any, *, draws: int, warmup: int, chains: int, seed: int, cores: int) -> Any:
    """Draws by nutpie's defaults."""
    import nutpie

    return nutpie.sample(
        compiled, draws=draws, tune=warmup, chains=chains, cores=cores, seed=seed, progress_bar=False, save_warmup=False
    )


def main() -> None:
    """Sample and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays")
    parser.add_argument("out")
    given = parser.parse_args()
    import nutpie

    compiled = nutpie.compile_pymc_model(pymc_model(dict(np.load(given.arrays))))
    nutpie_draws(compiled, draws=1000, warmup=1000, chains=4, seed=1, cores=2).to_netcdf(given.out, engine="netcdf4")


if __name__ == "__main__":
    main()
