"""Bounded retries of a fit that has not converged; every attempt is recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.kernels import MAX_STEPS
from bayesmoe.sampling.settings import SamplerSpec

RHAT, MIN_ESS = 1.01, 400.0
"""Convergence thresholds of an attempt, as in the gate: maximum R-hat, minimum effective sample size."""

STUCK_RHAT = 1.5
"""R-hat above which chains count as stuck in different modes rather than slow."""

_RHAT_OF_FEW = 1.05
_LONG_SHARE = 0.5
_MAX_TARGET = 0.995


@dataclass(frozen=True)
class Attempt:
    """One run of the sampler.

    Attributes
    ----------
    warmup, draws : int
        Transitions per chain.
    target_accept : float
        Target acceptance of the step size.
    rhat, ess : float
        Largest R-hat; smallest bulk or tail effective sample size, over the unconstrained coordinates.
    divergences : int
        Divergent transitions.
    gap_nats : float
        Mean log density of the best chain above that of the worst.
    problem : str
        Why the attempt is rejected; empty when it is accepted.
    """

    warmup: int
    draws: int
    target_accept: float
    rhat: float
    ess: float
    divergences: int
    gap_nats: float
    problem: str


def sample_with_retries(
    run: Callable[[SamplerSpec, tuple[Attempt, ...]], Samples], first: SamplerSpec
) -> tuple[Samples, tuple[Attempt, ...]]:
    """Sample, and retry with harder settings until the chains converge or no retry is left.

    Large R-hat or small effective sample size: double warm-up and draws. Divergences: move the target acceptance rate two thirds of
    the way to one. Every attempt starts at new positions, and the last one is the fit; no chain is ever dropped. An interrupted
    attempt is the last, and so is one whose trajectories are near the maximum length: the step size has collapsed, and a retry would
    take hours.

    ``run(settings, before)`` samples, given the earlier attempts; returned are the last attempt's samples, and all attempts in order.
    """
    settings = first
    made: tuple[Attempt, ...] = ()
    while True:
        samples = run(settings, made)
        made = (*made, _assess(samples, settings))
        collapsed = float(np.mean(samples.stats["n_steps"])) > _LONG_SHARE * MAX_STEPS
        if not made[-1].problem or samples.interrupted or collapsed or len(made) > first.retries:
            return samples, made
        settings = _harder(settings, made[-1])


def _assess(samples: Samples, settings: SamplerSpec) -> Attempt:
    from arviz_stats.base import array_stats

    axes: dict[str, Any] = {"chain_axis": 0, "draw_axis": 1}
    finite = np.isfinite(samples.position).all()
    several = samples.position.shape[0] > 1
    rhat = float(np.max(array_stats.rhat(samples.position, **axes))) if several and finite else float("nan")
    tail = {"method": "tail", "prob": (0.05, 0.95)}
    ess = [array_stats.ess(samples.position, **kind, **axes) for kind in ({"method": "bulk"}, tail)] if finite else [np.nan]
    least = float(np.min(ess))
    divergences = int(samples.stats["diverging"].sum())
    by_chain = samples.stats["lp"].mean(axis=1)
    problems = []
    # A run with fewer draws is a deliberate sketch: its thresholds are wider.
    many = samples.position.shape[0] * samples.position.shape[1] >= 2 * MIN_ESS
    if several and not rhat <= (RHAT if many else _RHAT_OF_FEW):
        problems.append(f"R-hat {rhat:.3g}")
    if many and not least >= MIN_ESS:
        problems.append(f"effective sample size {least:.0f}")
    if divergences:
        problems.append(f"{divergences} divergences")
    return Attempt(
        samples.warmup,
        samples.position.shape[1],
        settings.target_accept,
        rhat,
        least,
        divergences,
        float(by_chain.max() - by_chain.min()),
        ", ".join(problems),
    )


def _harder(settings: SamplerSpec, last: Attempt) -> SamplerSpec:
    changes: dict[str, Any] = {}
    if not last.rhat <= RHAT or not last.ess >= MIN_ESS:
        changes = {"warmup": 2 * settings.warmup, "draws": 2 * settings.draws}
    if last.divergences:
        changes["target_accept"] = min(_MAX_TARGET, 1.0 - (1.0 - settings.target_accept) / 3.0)
    return dataclasses.replace(settings, **changes)
