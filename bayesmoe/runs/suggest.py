"""Which column of a file may be one that is missing: by the words of its name and by its values."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import NamedTuple

import pandas as pd

from bayesmoe.runs.words import plain
from bayesmoe.tables import numbers_of

_NAMED, _SPELLED_ALIKE, _SAID, _MOST = 3, 0.8, 12, 1e3


class _Meaning(NamedTuple):
    """What a column of ours may be called, what it is not when it is called so, and which values it may hold."""

    words: frozenset[str]
    others: frozenset[str]
    holds: Callable[[pd.Series], bool]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _counts(values: pd.Series) -> bool:
    return bool(((values % 1 == 0) & (values >= 0) & (values <= 1e5)).all()) and values.max() > 1


_NO_RESULT = _words(
    "aux router balance balancing load z grad gradient norm scale scaler weight weights coef coefficient time seconds step steps tokens params "
    "patience spike spikes lr fn function type name acc accuracy"
)
_MEANINGS = {
    "loss": _Meaning(
        _words("loss losses bits nats ce xent xe nll crossentropy entropy bpb bpc bpt ppl perplexity perp"),
        _NO_RESULT,
        lambda values: bool((values > 0).all()) and values.nunique() > 1 and values.median() < _MOST,
    ),
    "leverage": _Meaning(_words("leverage leverages el"), _NO_RESULT, lambda values: bool((values > 0).all())),
    "num_experts": _Meaning(
        _words("expert experts nexperts moe numexperts"),
        _words("base baseline reference per top active activated shared dim width ffn hidden size intermediate capacity parallel parallelism group groups layer layers freq"),
        _counts,
    ),
    "tokens": _Meaning(
        _words("token tokens toks"), _words("val valid validation eval test per vocab step batch id"), lambda values: bool((values > 0).all())
    ),
    "n_total": _Meaning(
        _words("param params parameters parameter weights size sizes nparams"),
        _words("batch embedding embeddings emb vocab hidden hash step file context window"),
        lambda values: bool((values > 0).all()),
    ),
}  # fmt: skip


def candidates(ours: str, frame: pd.DataFrame, unread: Collection[str]) -> list[str]:
    """Columns that may be one of ours, the most alike first; none where nothing fits."""
    meaning = _MEANINGS.get(ours)
    found: list[tuple[float, str]] = []
    for name in map(str, frame.columns):
        if name not in unread:
            continue
        own = plain(name)
        parts = set(own.split("_"))
        alike = difflib.SequenceMatcher(None, own, ours).ratio()
        if meaning is not None and parts & meaning.others:
            continue
        named = meaning is not None and bool(parts & meaning.words)
        if (named or alike >= _SPELLED_ALIKE) and _fits(meaning, frame[name]):
            found.append(
                (-alike - named - (0.5 if parts & {"val", "valid", "validation", "eval", "test", "heldout"} else 0.0), name)
            )
    return [name for _, name in sorted(found)]


def _fits(meaning: _Meaning | None, column: pd.Series) -> bool:
    values = numbers_of(column).dropna()
    return meaning is None or (len(values) >= len(column) / 2 and meaning.holds(values))


def which(ours: str, frame: pd.DataFrame, unread: Collection[str]) -> str:
    """A hint that names the columns which may be ours, or says that none does."""
    likely = candidates(ours, frame, unread)[:_NAMED]
    if likely:
        return f"did you mean {' or '.join(map(repr, likely))}?"
    rest = sorted(map(str, unread))
    listed = ", ".join(rest[:_SAID]) + (f" and {len(rest) - _SAID} more" if len(rest) > _SAID else "")
    return f"none looks like it: {listed}" if rest else "no column is left"
