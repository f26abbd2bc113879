"""Whole processes: seconds from start to end and the most memory held."""

from __future__ import annotations

import os
import subprocess
import time
from typing import NamedTuple


class Cost(NamedTuple):
    """Wall-clock seconds and peak resident memory in GB of a process."""

    seconds: float
    peak_gb: float


def process_cost(command: list[str], environment: dict[str, str]) -> Cost:
    """Run a command to its end; its output is shown only when it fails."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output}")
    return Cost(time.perf_counter() - begin, usage.ru_maxrss / 1e6)
