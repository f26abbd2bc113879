"""What a fit does when its chains have not settled: a bounded number of further attempts, each of them on record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.kernels import MOST_STEPS
from bayesmoe.sampling.settings import SamplerSpec

RHAT, LEAST_ESS = 1.01, 400.0
"""What an attempt must reach, as the gate asks: the largest R-hat and the smallest effective sample size."""

STUCK_RHAT = 1.5
"""R-hat from which chains count as in different places, not as slow."""

_RHAT_OF_FEW = 1.05
_LONG_SHARE = 0.5
_MOST_TARGET = 0.995


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
        Why another attempt is worth making; empty when none is.
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
    run: Callable[[SamplerSpec, tuple[Attempt, ...]], Samples], asked: SamplerSpec
) -> tuple[Samples, tuple[Attempt, ...]]:
    """Sample, and sample again while something is wrong and retries are left.

    Chains that disagree, or too few effective draws: twice the warm-up and twice the draws. Divergences: two thirds of the way from
    the target acceptance to one. Every attempt starts at new places, and the last one is the fit; no chain is ever left out.
    An attempt that was interrupted is the last, and so is one whose trajectories are as long as they may be: the posterior has a
    cliff that no step size fits, and more of the same would take hours.

    Parameters
    ----------
    run : callable
        ``run(settings, before)`` samples once more, after the attempts ``before``.
    asked : SamplerSpec
        First settings, and ``retries``.

    Returns
    -------
    Samples
        Of the last attempt.
    tuple of Attempt
        All attempts, in order.
    """
    settings: SamplerSpec = asked
    made: tuple[Attempt, ...] = ()
    while True:
        samples = run(settings, made)
        made = (*made, _judged(samples, settings))
        cut = float(np.mean(samples.stats["n_steps"])) > _LONG_SHARE * MOST_STEPS
        if not made[-1].problem or samples.interrupted or cut or len(made) > asked.retries:
            return samples, made
        settings = _harder(settings, made[-1])


def _judged(samples: Samples, settings: SamplerSpec) -> Attempt:
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
    # Fewer draws than this were asked for by someone who knows that they will not do.
    many = samples.position.shape[0] * samples.position.shape[1] >= 2 * LEAST_ESS
    if several and not rhat <= (RHAT if many else _RHAT_OF_FEW):
        problems.append(f"R-hat {rhat:.3g}")
    if many and not least >= LEAST_ESS:
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
    if not last.rhat <= RHAT or not last.ess >= LEAST_ESS:
        changes = {"warmup": 2 * settings.warmup, "draws": 2 * settings.draws}
    if last.divergences:
        changes["target_accept"] = min(_MOST_TARGET, 1.0 - (1.0 - settings.target_accept) / 3.0)
    return dataclasses.replace(settings, **changes)
