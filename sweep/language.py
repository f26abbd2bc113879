"""A synthetic language: Zipf-distributed facts, a topic that governs a whole document, a name that is recalled at a distance.

A document has ``length`` tokens: its topic z, a name n, then words. Before each word a marker stands with probability q, and after a
marker comes the name n again, however far back it was given; what follows goes on as if neither had been there. A word follows from
its context by a fixed random table: of every fourth word (by rank) the successors depend on that word b alone, on (z, b), on the two
last words (a, b), or on (z, a, b). Topics, names and successors in the tables are Zipf-distributed, so contexts are, too: the more of
them a model has seen often enough and has room for, the lower its loss, over many decades. Whatever a word depends on stands in the
document, so the entropy is a finite sum, computed exactly by ``entropy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

MARKER = 0
"""Token after which the document's name comes."""

DEPTHS = ("word", "topic and word", "two words", "topic and two words")
"""What the successors of a word depend on, by its rank modulo four."""


def zipf(size: int, exponent: float, shift: float) -> np.ndarray:
    """``p_r`` proportional to ``(r + shift)^-exponent``, of ranks 1 to ``size``."""
    weights = (np.arange(1, size + 1) + shift) ** -exponent
    return weights / weights.sum()


def entropy_of(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of distributions along the last axis, nats."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    return -(probabilities * logs).sum(axis=-1)


@dataclass(frozen=True)
class Language:
    """The language of the sweep.

    Parameters
    ----------
    words, topics : int
        Distinct words and topics; with the marker they make the vocabulary.
    length : int
        Tokens of a document.
    successors : tuple of float
        Probabilities of the successors of a context, most frequent first.
    recall : float
        q, probability of a marker before a word.
    exponent, shift : float
        Zipf's law of words, names and topics.
    seed : int
        Of the tables.
    """

    words: int = 192
    topics: int = 63
    length: int = 64
    successors: tuple[float, ...] = (0.85, 0.1, 0.05)
    recall: float = 0.06
    exponent: float = 1.0
    shift: float = 1.0
    seed: int = 26

    @property
    def vocabulary(self) -> int:
        """Tokens: the marker, topics, words."""
        return 1 + self.topics + self.words

    @cached_property
    def word_probabilities(self) -> np.ndarray:
        """Of words as names and as entries of the tables, shape (words,)."""
        return zipf(self.words, self.exponent, self.shift)

    @cached_property
    def topic_probabilities(self) -> np.ndarray:
        """Shape (topics,)."""
        return zipf(self.topics, self.exponent, self.shift)

    @cached_property
    def table(self) -> np.ndarray:
        """Successors by topic, second last and last word, shape (topics, words + 1, words, B); index ``words`` is the start of a document."""
        rng = np.random.Generator(np.random.Philox(self.seed))
        shape = (self.topics, self.words + 1, self.words, len(self.successors))
        full = rng.choice(self.words, size=shape, p=self.word_probabilities).astype(
            np.uint8 if self.words <= 256 else np.uint16
        )
        depth = np.arange(self.words) % len(DEPTHS)
        for at, axes in enumerate(((0, 1), (1,), (0,), ())):
            here = depth == at
            part = full[:, :, here]
            for axis in axes:
                part = np.broadcast_to(part.take([0], axis=axis), part.shape)
            full[:, :, here] = part
        return full

    def documents(self, count: int, seed: tuple[int, ...]) -> np.ndarray:
        """Fresh documents, shape (count, length), int32; the same seed gives the same ones."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, *seed))))
        first_word = 1 + self.topics
        cuts = np.cumsum(self.word_probabilities)[:-1]
        out = np.empty((count, self.length), dtype=np.int32)
        topic = np.searchsorted(np.cumsum(self.topic_probabilities)[:-1], rng.random(count), side="right")
        name = np.searchsorted(cuts, rng.random(count), side="right")
        out[:, 0], out[:, 1] = 1 + topic, first_word + name
        a = np.full(count, self.words)
        b = np.searchsorted(cuts, rng.random(count), side="right")
        out[:, 2] = first_word + b
        choice_cuts = np.cumsum(self.successors)[:-1]
        after_marker = np.zeros(count, dtype=bool)
        for at in range(3, self.length):
            marked = ~after_marker & (rng.random(count) < self.recall)
            word = ~after_marker & ~marked
            choice = np.searchsorted(choice_cuts, rng.random(count), side="right")
            after = self.table[topic, a, b, choice].astype(np.int64)
            out[:, at] = np.where(marked, MARKER, first_word + np.where(after_marker, name, after))
            a, b = np.where(word, b, a), np.where(word, after, b)
            after_marker = marked
        return out

    @cached_property
    def surprise(self) -> np.ndarray:
        """``-ln p`` of each entry of the table in its context, nats, same shape; a word that stands there twice has both probabilities."""
        same = self.table[..., :, None] == self.table[..., None, :]
        return -np.log(same @ np.asarray(self.successors)).astype(np.float32)

    def entropy(self) -> float:
        """Entropy of a document over its tokens, nats per token: the loss of a model that knows the language.

        ``H = (H(z) + 2 H(n) + sum_t P(t follows no marker) [h(q) + (1 - q) E H(context)]) / length``: position by position, the probability of
        each pair of last words and of standing behind a marker, for every topic.
        """
        header = entropy_of(self.topic_probabilities) + 2.0 * entropy_of(self.word_probabilities)
        marker = entropy_of(np.array([self.recall, 1.0 - self.recall]))
        body = sum(share * self._body(topic, marker) for topic, share in enumerate(self.topic_probabilities))
        return float((header + body) / self.length)

    def _body(self, topic: int, marker: float) -> float:
        """Summed entropy of what follows the first word, in a document of a topic."""
        pairs, choices = (self.words + 1) * self.words, len(self.successors)
        then = (
            np.tile(np.arange(self.words), self.words + 1)[:, None] * self.words + self.table[topic].reshape(pairs, choices)
        ).ravel()
        starts = np.arange(0, pairs * choices + 1, choices)
        move = csr_array((np.tile(self.successors, pairs), then, starts), shape=(pairs, pairs)).T
        of_context = self.surprise[topic].reshape(pairs, choices) @ np.asarray(self.successors)
        free, marked = np.zeros(pairs), np.zeros(pairs)
        free[self.words * self.words :] = self.word_probabilities
        total = 0.0
        for _ in range(3, self.length):
            total += free.sum() * marker + (1.0 - self.recall) * float(free @ of_context)
            free, marked = (1.0 - self.recall) * (move @ free) + marked, self.recall * free
        return total

    def surprises(self, documents: np.ndarray) -> np.ndarray:
        """``-ln p`` of every token of documents under the language itself, nats, shape (count, length)."""
        first_word = 1 + self.topics
        topic, name = documents[:, 0] - 1, documents[:, 1] - first_word
        out = np.empty(documents.shape)
        out[:, 0], out[:, 1] = -np.log(self.topic_probabilities[topic]), -np.log(self.word_probabilities[name])
        a, b = np.full(len(documents), self.words), documents[:, 2] - first_word
        out[:, 2] = -np.log(self.word_probabilities[b])
        after_marker = np.zeros(len(documents), dtype=bool)
        for at in range(3, self.length):
            token = documents[:, at]
            marked, word = ~after_marker & (token == MARKER), ~after_marker & (token != MARKER)
            after = np.where(word, token - first_word, 0)
            p = ((self.table[topic, a, b] == after[:, None]) * np.asarray(self.successors)).sum(axis=1)
            known = np.where(marked, self.recall, (1.0 - self.recall) * np.where(word, p, 1.0))
            out[:, at] = np.where(after_marker, 0.0, -np.log(known))
            a, b = np.where(word, b, a), np.where(word, after, b)
            after_marker = marked
        return out
