"""Laws to test over, runs of one family, and parameters drawn from a prior."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.laws import (
    Law,
    Reference,
    all_laws,
)

FAMILY = Family(moe_share=0.6, top_k=4.0, granularity=4.0, shared_experts=1.0)
LAWS = [pytest.param(kind(), id=kind.name) for kind in all_laws]
LOSS_LAWS = [pytest.param(kind(), id=kind.name) for kind in all_laws if kind.response == "loss"]
REFERENCE_EXPERTS = [pytest.param((1.0, 24.0), id="dense-reference"), pytest.param((48.0, 48.0), id="routed-reference")]


def run_of(size: Any, tokens: Any, experts: Any) -> dict[str, Any]:
    """Covariates of a run of one family, of every name that some law reads."""
    return FAMILY.run(size, tokens, experts)


def reference_of(law: Law, experts: tuple[float, float] = (1.0, 24.0)) -> Reference:
    """A reference run of 3e8 backbone parameters and 1e10 tokens."""
    run = run_of(3e8, 1e10, experts[0])
    return Reference({name: float(run[name]) for name in law.covariates}, experts[1])


def medians(law: Law) -> dict[str, float]:
    """Prior medians of a law's coordinates."""
    return {c.name: float(c.to_support(c.mean)) for c in law.coordinates}


def prior_draws(law: Law, draws: int, seed: int = 0) -> dict[str, Any]:
    """Paper parameters of prior draws, shape (draws,) each."""
    z = np.random.default_rng(seed).standard_normal((draws, len(law.coordinates)))
    q = {c.name: c.to_support(c.mean + c.sd * z[:, i]) for i, c in enumerate(law.coordinates)}
    reference = reference_of(law)
    return jax.vmap(lambda values: law.to_paper(values, reference))(q)
