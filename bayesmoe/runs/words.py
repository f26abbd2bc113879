"""Words in the names of columns, as trackers and people write them."""

from __future__ import annotations

import re
from functools import cache

SETTINGS = ("config", "params")
RESULTS = ("summary", "metrics")
"""First parts of column names under which trackers keep what was set and what was measured."""

VALIDATION = (
    "val_loss", "validation_loss", "valid_loss", "eval_loss", "final_val_loss", "final_eval_loss", "loss_val", "loss_eval", "heldout_loss",
    "test_loss", "eval_ce_loss", "val_ce_loss", "eval_lm_loss", "val_lm_loss", "lm_loss_validation", "val_nll", "eval_nll",
)  # fmt: skip
TRAINING = ("train_loss", "training_loss", "loss_train", "train_lm_loss", "train_ce_loss", "final_train_loss")
"""Losses on held-out text and on training text, as trackers name them."""

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
