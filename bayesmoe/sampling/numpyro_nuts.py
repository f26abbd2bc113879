"""NumPyro's NUTS under its own driver: the reference for the compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS

from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.settings import SamplerSpec
from bayesmoe.sampling.start import Start

_STATS = {
    "diverging": "diverging",
    "energy": "energy",
    "accept_prob": "acceptance_rate",
    "num_steps": "n_steps",
    "potential_energy": "lp",
    "adapt_state.step_size": "step_size",
}


def numpyro_nuts(
    log_density: Callable[..., Any], arguments: tuple[Any, ...], start: Start, key: Any, settings: SamplerSpec
) -> Samples:
    """Draw with ``numpyro.infer.NUTS``: dense mass matrix, NumPyro's warm-up, one chain after the other.

    Parameters and return value as in :func:`bayesmoe.sampling.chains.sample`; ``settings.warmup`` is used in full.
    """
    warmup, chains = settings.warmup, len(start.positions)
    nuts = NUTS(
        potential_fn=lambda position: -log_density(position, *arguments),
        dense_mass=True,
        target_accept_prob=settings.target_accept,
    )
    how: dict[str, Any] = {"num_samples": settings.draws, "chain_method": "sequential", "progress_bar": False}
    run = MCMC(nuts, num_warmup=warmup, num_chains=chains, **how)
    positions = jnp.asarray(start.positions)
    run.run(key, init_params=positions if chains > 1 else positions[0], extra_fields=tuple(_STATS))
    fields = run.get_extra_fields(group_by_chain=True)
    stats = {ours: np.asarray(fields[name]) for name, ours in _STATS.items()}
    stats["lp"] = -stats["lp"]
    return Samples(np.asarray(jax.device_get(run.get_samples(group_by_chain=True))), stats, warmup)
