"""Settings of the sampler."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bayesmoe.specs import spec


@spec
class SamplerSpec:
    """Settings of the sampler; the same seed gives the same draws.

    Attributes
    ----------
    method : str
        ``mcmc``, or an approximation that takes seconds: ``laplace`` or ``pathfinder``, which return ``chains * draws`` draws.
    kernel : str
        Transition kernel. ``hmc`` and ``nuts`` are compiled; ``numpyro`` is that library's NUTS, for reference.
    chains, warmup, draws : int
        Number of chains; maximum warm-up transitions (warm-up ends early when converged) and draws, per chain.
    target_accept : float
        Target acceptance rate of the step-size adaptation.
    retries : int
        Further attempts on large R-hat, divergences or small effective sample size; see :mod:`bayesmoe.sampling.retries`.
    pointwise : str
        Whether to store the log-likelihood of each run and draw; ``auto`` stores it while it is small.
    seed : int
        Seed of the random numbers.

    Examples
    --------
    >>> bm.SamplerSpec(draws=2000, seed=1).method
    'mcmc'
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
