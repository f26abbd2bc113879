"""A law before it has seen a run: draws of its prior around a typical run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.architecture import Family
from bayesmoe.laws.base import Coordinates, Law, PaperParameters, Reference

TYPICAL = {"n_dense": 3e8, "tokens": 1e10, "num_experts": 16.0, "top_k": 2.0}
"""Run around which priors are looked at; a fit takes the reference of its own runs."""

TYPICAL_FAMILY = Family(moe_share=0.5, top_k=TYPICAL["top_k"])


def typical_reference(law: Law) -> Reference | None:
    """Reference run of a table of typical runs, some of them dense; None where the law reads a column of its own."""
    run = TYPICAL_FAMILY.run(TYPICAL["n_dense"], TYPICAL["tokens"], TYPICAL["num_experts"])
    if any(name not in run for name in law.covariates):
        return None
    dense = {"num_experts": 1.0} if "num_experts" in law.covariates else {}
    return Reference({name: float(run[name]) for name in law.covariates} | dense, TYPICAL["num_experts"])


def prior_draws(law: Law, reference: Reference, draws: int, seed: int = 0) -> PaperParameters:
    """The paper's own parameters under draws of the law's default priors, in the paper's symbols and units; arrays of shape (draws,)."""
    z = np.random.default_rng(seed).standard_normal((draws, len(law.coordinates)))
    coordinates = {c.name: c.to_support(jnp.asarray(c.mean + c.sd * z[:, i])) for i, c in enumerate(law.coordinates)}
    if not coordinates:
        return {}

    def one(coordinates: Coordinates) -> PaperParameters:
        return law.to_paper(coordinates, reference)

    return jax.jit(jax.vmap(one))(coordinates)
