"""What a column of losses holds, by the words of its name: on which text, and which moment of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal, NamedTuple

from bayesmoe.runs.words import plain

_HELD_OUT = ("val", "validation", "valid", "eval", "evaluation", "heldout", "holdout", "dev", "test")
_TRAIN = {"train", "training"}
_LOSS = {"loss", "nll", "cross_entropy", "crossentropy", "log_perplexity", "log_ppl"}
_FINAL = {"final", "last", "end"}
_BEST = {"best", "min", "minimum", "lowest"}
_MEAN = {"mean", "avg", "average", "running", "smooth", "smoothed", "ema", "moving", "epoch"}
_NEUTRAL = {"lm", "ce", "language", "model", "main", "per", "token", "in", "nat", "nats", "bit", "bits", "log2", "base2", "the", "of", "step", "value"}  # fmt: skip
_ANOTHER_THING = {
    "aux", "auxiliary", "router", "routing", "balance", "balancing", "load", "lb", "lbl", "z", "zloss", "kl", "distill", "distillation", "mtp", "moe", "reg",
    "regularization", "grad", "gradient", "norm", "scale", "scaler", "weight", "weights", "coef", "coefficient", "time", "seconds", "patience", "spike", "spikes",
    "lr", "fn", "function", "type", "name", "acc", "accuracy", "std", "stderr", "se", "var", "max", "maximum", "worst", "delta", "diff", "gap", "ratio", "target", "threshold",
    "baseline", "ref", "reference", "teacher", "student", "draft", "init", "initial", "start", "first", "byte", "bytes", "char", "bpb", "bpc", "word", "sum", "count",
    "tokens", "steps", "ppl", "perplexity", "predicted", "pred", "fit", "excess", "reducible", "irreducible", "embedding", "embeddings", "image", "contrastive",
}  # fmt: skip
_TOGETHER = (("cross", "entropy"), ("log", "perplexity"), ("log", "ppl"), ("held", "out"), ("hold", "out"))
_GLUED = re.compile(r"(val|valid|eval|test|dev|train|ce|lm)(loss|nll|ce)")


class LossName(NamedTuple):
    """On which text a loss was measured and at which moment of a run; other words of the name, such as a corpus."""

    text: Literal["held-out", "training", ""]
    moment: Literal["final", "", "mean", "best"]
    others: tuple[str, ...]
    order: int


@cache
def is_another_loss(name: str) -> bool:
    """Whether a name is of a loss, but not of a language model's on its text: of a router, a teacher, an auxiliary term."""
    known = set(_words(name))
    return bool(known & _LOSS and known & _ANOTHER_THING)


@cache
def is_mean_over_text(name: str) -> bool:
    """Whether the mean that a name says may be one over a text, as any loss on held-out text is, and not one over a run."""
    return not set(_words(name)) & {"running", "smooth", "smoothed", "ema", "moving"}


@cache
def loss_name(name: str) -> LossName | None:
    """What the name of a column of losses says; None where it is none of a language model, or of training and held-out text at once."""
    words = _words(name)
    known = set(words)
    if not known & _LOSS or known & _ANOTHER_THING:
        return None
    held_out, training = [word for word in words if word in _HELD_OUT], bool(known & _TRAIN)
    if held_out and training:
        return None
    moment = "best" if known & _BEST else "mean" if known & _MEAN else "final" if known & _FINAL else ""
    every = {*_HELD_OUT, *_TRAIN, *_LOSS, *_FINAL, *_BEST, *_MEAN, *_NEUTRAL}
    others = tuple(word for word in words if word not in every)
    order = min((_HELD_OUT.index(word) for word in held_out), default=0)
    return LossName("held-out" if held_out else "training" if training else "", moment, others, order)


def _words(name: str) -> list[str]:
    words = []
    for word in plain(name).split("_"):
        glued = _GLUED.fullmatch(word)
        words += [glued[1], glued[2]] if glued else [word]
    for first, second in _TOGETHER:
        for place in range(len(words) - 1):
            if words[place : place + 2] == [first, second]:
                words[place : place + 2] = [first + second if first in ("held", "hold") else f"{first}_{second}"]
                break
    return words


def of_text(columns: Iterable[str], text: str, *moments: str, corpus: bool = False) -> list[str]:
    """Columns of losses on a text at these moments, the first moment first; with the name of a corpus, or without."""
    found = [(name, loss_name(name)) for name in columns]
    fit = [
        (moments.index(said.moment), said.order, "/" not in name, name)
        for name, said in found
        if said is not None and said.text == text and said.moment in moments and bool(said.others) == corpus
    ]
    # Of train/loss and train_loss the second is the mean over the whole run.
    return [name for *_, name in sorted(fit, key=lambda each: each[:3])]
