"""Jobs side by side: their order, their precision, and how they end."""

from __future__ import annotations

import threading
import time

import jax
import jax.numpy as jnp
import pytest

from bayesmoe.threads import side_by_side

PATIENCE = 30.0


def quiet(progress: object) -> None:
    """Show nothing."""


def test_results_come_in_the_order_of_the_items() -> None:
    def job(item, show):
        time.sleep(0.02 * (3 - item))
        return item

    assert side_by_side(job, [0, 1, 2], quiet) == [0, 1, 2]


@pytest.mark.parametrize("double", [False, True])
def test_a_job_has_the_callers_precision(double) -> None:
    with jax.enable_x64(double):
        found = side_by_side(lambda item, show: jnp.zeros(1).dtype, [0, 1], quiet)
    assert found == [jnp.dtype("float64" if double else "float32")] * 2


def endless(show) -> None:
    """Report progress until somebody ends it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(0.01)
        show("on and on")


def test_one_jobs_error_ends_the_others(monkeypatch) -> None:
    monkeypatch.setattr("bayesmoe.threads.CORES", 2)
    begun = threading.Event()

    def job(item, show):
        if item == "wrong":
            assert begun.wait(PATIENCE)
            raise ValueError("no such law")
        begun.set()
        endless(show)

    started = time.monotonic()
    with pytest.raises(ValueError, match="no such law"):
        side_by_side(job, ["long", "wrong", "never begun"], quiet)
    assert time.monotonic() - started < PATIENCE


def test_an_interrupt_ends_every_job(monkeypatch) -> None:
    ended, begun = [], threading.Barrier(3)

    def interrupted(jobs, return_when):
        begun.wait(PATIENCE)
        raise KeyboardInterrupt

    def job(item, show):
        begun.wait(PATIENCE)
        try:
            endless(show)
        except KeyboardInterrupt:
            ended.append(item)
            raise

    monkeypatch.setattr("bayesmoe.threads.CORES", 2)
    monkeypatch.setattr("bayesmoe.threads.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        side_by_side(job, [0, 1], quiet)
    assert sorted(ended) == [0, 1]
