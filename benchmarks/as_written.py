"""Clark's law as it is usually written for NumPyro: the paper's parameters, no centering of covariates, one level per router."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist


def clark_as_usually_written(arrays: dict[str, Any]) -> None:
    """``log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d`` with a, b, c, d, e_start and e_max of each router.

    Weakly informative normal priors around zero or the order of magnitude, half-normal spreads, noise on log10 L; a dense run
    has the mean of the routers' dense losses.

    Parameters
    ----------
    arrays : dict of array
        From :func:`benchmarks.clark.arrays_of`.
    """
    groups = arrays["membership"].shape[1]
    q = {}
    for name, mean, sd in (("a", -0.1, 0.1), ("b", -0.1, 0.2), ("c", 0.0, 0.05), ("d", 1.0, 1.0)):
        population = numpyro.sample(f"{name}_population", dist.Normal(mean, sd))
        spread = numpyro.sample(f"{name}_spread", dist.HalfNormal(sd / 2))
        with numpyro.plate("routers", groups):
            q[name] = numpyro.sample(name, dist.Normal(population, spread))
    with numpyro.plate("routers", groups):
        start = numpyro.sample("e_start", dist.TruncatedNormal(2.0, 2.0, low=1.0))
        most = numpyro.sample("e_max", dist.LogNormal(jnp.log(300.0), 1.0))

    def loss(router: Any, size: Any, experts: Any) -> Any:
        a, b, c, d, start, most = router
        effective = jnp.log10(1.0 / (1.0 / (experts - 1.0 + 1.0 / (1.0 / start - 1.0 / most)) + 1.0 / most))
        x = jnp.log10(size)
        return a * x + b * effective + c * x * effective + d

    every = (q["a"], q["b"], q["c"], q["d"], start, most)
    router = arrays["membership"].argmax(axis=1)
    routed = loss(tuple(value[router] for value in every), arrays["size"], arrays["experts"])
    dense = loss(tuple(value[:, None] for value in every), arrays["dense_size"][None], 1.0).mean(axis=0)
    noise = numpyro.sample("noise", dist.HalfNormal(0.05))
    df = numpyro.sample("noise_df", dist.Gamma(2.0, 0.1))
    numpyro.sample("loss", dist.StudentT(df, jnp.concatenate([routed, dense]), noise), obs=jnp.log10(arrays["loss"]))
