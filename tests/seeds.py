"""Base seed of simulated tables, made-up draws and samplers in tests: zero unless ``BAYESMOE_TEST_SEED`` says otherwise."""

from __future__ import annotations

import os

BASE = int(os.environ.get("BAYESMOE_TEST_SEED", "0"))


def seeded(number: int) -> int:
    """A test's seed under the base seed; the number itself under base seed zero."""
    return number + 1_000_000 * BASE
