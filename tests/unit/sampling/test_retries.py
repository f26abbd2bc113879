"""Retries: bounded, on record, and never a way to lose a chain."""

from __future__ import annotations

import numpy as np

from bayesmoe.sampling.chains import Samples
from bayesmoe.sampling.retries import sample_with_retries
from bayesmoe.sampling.settings import SamplerSpec


def samples(
    *,
    shift: float = 0.0,
    divergences: int = 0,
    lp_gap: float = 0.0,
    draws: int = 500,
    interrupted: bool = False,
    steps: int = 8,
):
    """Independent draws of four chains; one of them moved, some transitions divergent."""
    position = np.random.default_rng(0).standard_normal((4, draws, 2))
    position[3] += shift
    diverging = np.zeros((4, draws), dtype=bool)
    diverging.flat[:divergences] = True
    lp = np.zeros((4, draws))
    lp[3] -= lp_gap
    return Samples(position, {"diverging": diverging, "lp": lp, "n_steps": np.full((4, draws), steps)}, 300, interrupted)


def settled(*made: Samples, retries: int = 2):
    """Attempts when the sampler returns these, and the settings each was made with."""
    settings = []

    def run(now: SamplerSpec, before):
        settings.append(now)
        return made[len(before)]

    found, attempts = sample_with_retries(run, SamplerSpec(retries=retries))
    return found, attempts, settings


def test_a_fit_that_settles_is_made_once() -> None:
    found, attempts, _ = settled(good := samples())
    assert found is good
    assert [attempt.problem for attempt in attempts] == [""]


def test_a_stuck_chain_is_tried_again_with_more_and_stays_on_record() -> None:
    found, attempts, settings = settled(samples(shift=20.0, lp_gap=50.0), good := samples())
    assert found is good
    assert attempts[0].rhat > 1.5
    assert attempts[0].gap_nats == 50.0
    assert "R-hat" in attempts[0].problem
    assert (settings[1].warmup, settings[1].draws) == (2 * settings[0].warmup, 2 * settings[0].draws)
    assert settings[1].target_accept == settings[0].target_accept


def test_divergences_ask_for_smaller_steps() -> None:
    _, attempts, settings = settled(samples(divergences=3), samples())
    assert attempts[0].problem == "3 divergences"
    assert settings[0].target_accept < settings[1].target_accept < 1.0
    assert settings[1].draws == settings[0].draws


def test_retries_are_bounded_and_the_last_attempt_is_the_fit() -> None:
    bad = [samples(shift=20.0) for _ in range(4)]
    found, attempts, _ = settled(*bad, retries=2)
    assert len(attempts) == 3
    assert found is bad[2]
    assert found.position.shape[0] == 4
    assert len(settled(*bad, retries=0)[1]) == 1


def test_an_interrupted_attempt_is_the_last() -> None:
    assert len(settled(samples(shift=20.0, interrupted=True))[1]) == 1


def test_trajectories_as_long_as_they_may_be_are_not_tried_again() -> None:
    assert len(settled(samples(shift=20.0, steps=1023))[1]) == 1
    assert len(settled(samples(shift=20.0, steps=100), samples())[1]) == 2
