"""The language: its entropy, and that what a word depends on is what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sweep.language import DEPTHS, MARKER, Language

SMALL = Language(words=24, topics=5, length=24, seed=3)

TOO_FAR = 4.0
"""Standard errors: a true entropy is rejected once in 16,000 seeds."""


def long_sample(language: Language, entropy: float, documents: int = 20_000) -> float:
    """Standard errors between an entropy and the mean surprise of fresh documents."""
    per_document = language.surprises(language.documents(documents, (9, 9))).mean(axis=1)
    return float(abs(per_document.mean() - entropy) / (per_document.std(ddof=1) / documents**0.5))


def test_entropy_is_that_of_a_long_sample() -> None:
    assert long_sample(SMALL, SMALL.entropy()) < TOO_FAR


@pytest.mark.parametrize(
    "wrong",
    [{"recall": 0.10}, {"successors": (0.83, 0.11, 0.06)}, {"exponent": 1.2}],
    ids=["recall", "successors", "exponent"],
)
def test_another_language_has_another_entropy(wrong: dict) -> None:
    assert long_sample(SMALL, dataclasses.replace(SMALL, **wrong).entropy()) > TOO_FAR


def test_an_entropy_without_the_name_is_found_out() -> None:
    of_name = -(SMALL.word_probabilities * np.log(SMALL.word_probabilities)).sum() / SMALL.length
    assert long_sample(SMALL, SMALL.entropy() - of_name) > TOO_FAR


@pytest.mark.slow
def test_entropy_of_the_language_of_the_runs_is_that_of_a_long_sample() -> None:
    language = Language()
    assert long_sample(language, language.entropy(), 50_000) < TOO_FAR


def test_documents_come_from_their_seed() -> None:
    first, again, other = (SMALL.documents(50, seed) for seed in ((1, 0), (1, 0), (1, 1)))
    assert (first == again).all()
    assert (first != other).any()


def test_tokens_have_their_places() -> None:
    documents = SMALL.documents(2_000, (4,))
    topics, words = documents[:, 0], documents[:, 1:]
    assert ((topics >= 1) & (topics <= SMALL.topics)).all()
    assert ((words == MARKER) | (words > SMALL.topics)).all()
    assert words.max() < SMALL.vocabulary


def test_after_a_marker_comes_the_name() -> None:
    documents = SMALL.documents(500, (4,))
    rows, columns = np.nonzero(documents[:, :-1] == MARKER)
    assert len(rows) > 100
    assert (documents[rows, columns + 1] == documents[rows, 1]).all()


@pytest.mark.parametrize("depth", range(len(DEPTHS)), ids=DEPTHS)
def test_successors_depend_on_what_is_said(depth: int) -> None:
    here = SMALL.table[:, :, np.arange(SMALL.words) % len(DEPTHS) == depth]
    by_topic, by_second_last = (bool((here != here.take([0], axis=axis)).any()) for axis in (0, 1))
    assert (by_topic, by_second_last) == (depth in (1, 3), depth in (2, 3))


def test_words_are_zipf_distributed() -> None:
    words = SMALL.documents(20_000, (5,))[:, 2] - 1 - SMALL.topics
    seen = np.bincount(words, minlength=SMALL.words) / len(words)
    error = np.sqrt(SMALL.word_probabilities / len(words))
    assert (abs(seen - SMALL.word_probabilities) < TOO_FAR * error).all()


def test_the_language_knows_what_cannot_follow() -> None:
    documents = SMALL.documents(1, (6,))
    possible = set(SMALL.table[documents[0, 0] - 1, SMALL.words, documents[0, 2] - 1 - SMALL.topics].tolist())
    documents[0, 3] = 1 + SMALL.topics + next(word for word in range(SMALL.words) if word not in possible)
    with np.errstate(divide="ignore"):
        assert np.isinf(SMALL.surprises(documents)[0, 3])
