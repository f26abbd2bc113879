"""Settings of the sampler."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bayesmoe.specs import spec


@spec
class SamplerSpec:
    """How the posterior is drawn; the same seed gives the same draws.

    Attributes
    ----------
    method : str
        Markov chains, or one of two approximations that take seconds and read only ``chains`` and ``draws``, whose product is
        the number of draws they give.
    kernel : str
        Transitions of the chains. ``hmc`` and ``nuts`` are compiled; ``numpyro`` is that library's own NUTS, for reference.
    chains, warmup, draws : int
        Chains, and transitions per chain: most of warm-up, which ends when it has learned enough, and of sampling.
    target_accept : float
        Target acceptance of the step size.
    retries : int
        Further attempts when chains disagree, diverge or are worth too few draws; see :mod:`bayesmoe.sampling.retries`.
    pointwise : str
        Whether each run's log-likelihood is kept for every draw; ``auto`` keeps it while it is small.
    seed : int
        Seed.
    """

    method: Literal["mcmc", "laplace", "pathfinder"] = "mcmc"
    kernel: Literal["hmc", "nuts", "numpyro"] = "hmc"
    chains: Annotated[int, Field(ge=1, le=64)] = 4
    warmup: Annotated[int, Field(ge=100)] = 1000
    draws: Annotated[int, Field(ge=1)] = 1000
    target_accept: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    retries: Annotated[int, Field(ge=0, le=5)] = 2
    pointwise: Literal["auto", "always", "never"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
