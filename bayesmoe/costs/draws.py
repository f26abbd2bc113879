"""Draws of what a fleet leaves uncertain: lengths, latency, prices, utilization; and its latency model and limits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT
from bayesmoe.costs.prices import price_of
from bayesmoe.costs.serving.calibration import coefficients, drawn_calibration, read_calibration, without_residual
from bayesmoe.costs.serving.latency import Latency
from bayesmoe.costs.serving.replica import Fleet
from bayesmoe.costs.serving.roofline import Coefficients, Roofline
from bayesmoe.costs.serving.table import read_latency_table
from bayesmoe.costs.serving.traffic import Traffic
from bayesmoe.costs.training_budget import Training, mfu_of
from bayesmoe.costs.uncertain import sample
from bayesmoe.costs.workload import Serving

MOST_CACHED = 0.99
"""Largest share of a prompt that a cache of prefixes holds."""


class ServingDraws(NamedTuple):
    """Draws of everything uncertain about serving K models; arrays of shape (S, 1) or (S, K).

    Attributes
    ----------
    traffic : Traffic
        Lengths.
    coefficients : Coefficients
        Latency.
    utilization, price_usd_per_gpu_hour : array
        rho and C0.
    max_tpot_s, max_ttft_s : array, optional
        Latency targets, the same in every draw: among the draws, fleets that differ in them alone share what is compiled.
    """

    traffic: Traffic
    coefficients: Coefficients
    utilization: Any
    price_usd_per_gpu_hour: Any
    max_tpot_s: Any = None
    max_ttft_s: Any = None


def latency_of(spec: Serving) -> Latency:
    """The latency model of a fleet: its table of measurements, or the roofline."""
    if spec.latency_table is not None:
        return read_latency_table(spec.latency_table)
    chip = accelerator_named(spec.accelerator)
    return Roofline(chip, spec.precision, spec.routing_evenness, spec.overlap_communication)


def fleet_of(spec: Serving) -> Fleet:
    """Memory, caps and targets of a fleet."""
    return Fleet(
        max_gpus=spec.max_gpus,
        memory_bytes=accelerator_named(spec.accelerator).memory_bytes,
        memory_fraction=spec.memory_fraction,
        bytes_per_weight=BYTES_PER_WEIGHT[spec.precision],
        max_batch=float(spec.max_batch),
        max_tpot_s=spec.max_tpot_s,
        max_ttft_s=spec.max_ttft_s,
        fleet_gpus=spec.fleet_gpus,
        # A table knows nothing of how its measurements were laid out.
        attention=spec.attention if spec.latency_table is None else "tensor",
        drafts=spec.drafts,
        prefill=spec.prefill,
    )


def serving_draws(spec: Serving, draws: int, models: int, rng: np.random.Generator) -> ServingDraws:
    """Draws of what serving K models depends on.

    Raises
    ------
    InputError
        The calibration cannot be read, or does not know the engine.
    """
    size = (draws, 1)
    lengths = Traffic(*(sample(number, size, rng) for number in (spec.prompt_tokens, spec.output_tokens, spec.kv_bytes)))
    if spec.latency_table is not None:
        off = without_residual(draws)
    else:
        calibration = read_calibration(spec.calibration)
        drawn = drawn_calibration(calibration, draws, rng, accelerator=spec.accelerator, engine=spec.engine)
        off = coefficients(drawn, models, rng)
    utilization, price = sample(spec.utilization, size, rng, most=1.0), sample(price_of(spec), size, rng)
    return ServingDraws(
        _traffic(spec, lengths, size, rng),
        off,
        utilization,
        price,
        *(None if target is None else np.full(size, target) for target in (spec.max_tpot_s, spec.max_ttft_s)),
    )


def _traffic(spec: Serving, lengths: Traffic, size: tuple[int, int], rng: np.random.Generator) -> Traffic:
    """Traffic with the spread of its lengths, what of it is cached, and what of its drafts is accepted.

    Lengths have the covariance of log-normal ones of that correlation: ``exp(r s_p s_n) - 1``, ``s^2 = ln(1 + cv^2)``.
    """
    of_logs = [math.sqrt(math.log1p(cv**2)) for cv in (spec.prompt_cv, spec.output_cv)]
    # Some token of each prompt is computed, or there would be no first one of the answer.
    shared = 0.0 if spec.cached_share is None else sample(spec.cached_share, size, rng, most=MOST_CACHED)
    chances = (sample(one, size, rng, most=1.0) for one in (spec.draft_acceptance, spec.draft_acceptance_decay))
    acceptance, decay = chances if any(spec.drafts) else (0.0, 1.0)
    found = lengths._replace(
        cached_share=shared,
        prompt_cv=spec.prompt_cv,
        output_cv=spec.output_cv,
        length_covariance=math.expm1(spec.length_correlation * math.prod(of_logs)),
        draft_tokens=float(spec.drafts[0]),
        acceptance=acceptance,
        acceptance_decay=decay,
    )
    return Traffic(*(np.broadcast_to(np.asarray(each, dtype=float), size) for each in found))


def training_draws(spec: Training, draws: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draws of ``price_usd_per_gpu_hour`` and, where every architecture has the same, of ``mfu``; shape (S, 1)."""
    mfu = mfu_of(spec)
    drawn = {} if mfu is None else {"mfu": sample(mfu, (draws, 1), rng, most=1.0)}
    return {**drawn, "price_usd_per_gpu_hour": sample(price_of(spec), (draws, 1), rng)}
