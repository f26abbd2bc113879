"""Words in the names of columns, as trackers and people write them."""

from __future__ import annotations

import re
from functools import cache

SETTINGS = ("config", "params")
RESULTS = ("summary", "metrics")
"""First parts of column names under which trackers keep what was set and what was measured."""

PERPLEXITY = ("perplexity", "ppl")
BITS_PER_BYTE = ("bits_per_byte", "bits_per_char", "bpb", "bpc")
"""Words in a name that say another unit than nats per token."""


@cache
def plain(name: str) -> str:
    """A column name in small letters and underscores, without the part that a tracker puts before it."""
    part, dot, rest = name.replace("/", ".").partition(".")
    inner = rest if dot and part in (*SETTINGS, *RESULTS) else name
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", inner)
    return re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")
