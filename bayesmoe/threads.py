"""Work in threads: in the caller's precision, and ended by an interrupt."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

import jax
import jax.numpy as jnp

CORES = os.cpu_count() or 1


def threads_of(count: int) -> ThreadPoolExecutor:
    """Threads in the caller's precision: JAX keeps ``enable_x64`` by thread."""
    double = jnp.result_type(float) == jnp.float64
    return ThreadPoolExecutor(count, initializer=lambda: jax.enable_x64(double).__enter__())


def side_by_side[Item, Result](
    job: Callable[[Item, Callable[[Any], None]], Result], items: Sequence[Item], on_progress: Callable[[Any], None]
) -> list[Result]:
    """Results of ``job(item, on_progress)`` in the order of the items, as many at a time as there are cores.

    An interrupt, or the error of one job, ends the others where they next report progress, and is raised then.
    """
    ended = threading.Event()

    def report(progress: Any) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        on_progress(progress)

    with threads_of(min(len(items), CORES)) as threads:
        try:
            jobs = [threads.submit(job, item, report) for item in items]
            done = wait(jobs, return_when=FIRST_EXCEPTION).done
            for each in jobs:
                if each in done:
                    each.result()
            return [each.result() for each in jobs]
        finally:
            ended.set()
            threads.shutdown(cancel_futures=True)
