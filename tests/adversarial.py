"""Tables of simulated runs that a gate must not pass without a word, each wrong in a way of its own, and two with nothing wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
from seeds import seeded

NOISE = 0.004
SIZES, TOKENS, EXPERTS = np.geomspace(3e7, 1e9, 6), np.geomspace(2e9, 6e10, 4), np.array([1.0, 4.0, 16.0, 64.0])


def losses(n_dense, tokens, num_experts):
    """Loss in nats per token of a law with a gain of experts that fades a little with size, without noise."""
    gain = np.minimum(num_experts, 128.0) ** -(0.09 - 0.008 * np.log(n_dense / 1e8))
    return 1.7 + 420.0 * gain / n_dense**0.33 + 420.0 / tokens**0.29


def table(n_dense, tokens, num_experts, *, factor=1.0, effective_tokens=None, seed=0):
    """Runs with noise; ``factor`` multiplies the losses."""
    rng = np.random.default_rng(seeded(seed))
    loss = losses(n_dense, tokens if effective_tokens is None else effective_tokens, num_experts) * factor
    runs = {"n_dense": n_dense, "tokens": tokens, "num_experts": num_experts, "top_k": np.ones_like(n_dense)}
    runs["n_active"], runs["n_total"] = n_dense, n_dense * (1 + 2 / 3 * (num_experts - 1))
    frame = pd.DataFrame(runs)
    return frame.assign(
        loss=loss * np.exp(NOISE * rng.standard_normal(len(frame))), run_id=[f"r{i}" for i in range(len(frame))]
    )


def grid(sizes=SIZES, tokens=TOKENS, experts=EXPERTS):
    """Every combination, as three flat arrays."""
    return tuple(each.ravel() for each in np.meshgrid(sizes, tokens, experts, indexing="ij"))


def two_levels(seed=0):
    """Dense models and eight experts, nothing between or beyond."""
    return table(*grid(experts=np.array([1.0, 8.0])), seed=seed)


def pooled_tokenizers(seed=0):
    """Half of the runs under a tokenizer with losses 7% lower."""
    design = grid()
    other = np.random.default_rng(seeded(seed + 50)).random(len(design[0])) < 0.5
    return table(*design, factor=np.where(other, 0.93, 1.0), seed=seed)


def confounded(seed=0):
    """Experts that rise with size."""
    n_dense, tokens, _ = grid(experts=np.array([1.0]))
    return table(n_dense, tokens, 2.0 ** np.searchsorted(SIZES, n_dense), seed=seed)


def step(seed=0):
    """Losses 2.5% higher where experts are many and models large."""
    n_dense, _, experts = design = grid()
    return table(*design, factor=np.where((experts >= 16) & (n_dense >= 4e8), 1.025, 1.0), seed=seed)


def multi_epoch(seed=0):
    """Tokens beyond 12B are repeated ones, and worth nothing."""
    design = grid()
    return table(*design, effective_tokens=np.minimum(design[1], 12e9), seed=seed)


def twenty(seed=0):
    """Twenty runs, of two token budgets."""
    return table(*grid(tokens=np.array([5e9, 2e10])), seed=seed).sample(20, random_state=seed).sort_index()


def space_filling(seed=0):
    """Three hundred runs with sizes and tokens anywhere in their ranges."""
    rng = np.random.default_rng(seeded(seed + 70))
    n_dense, tokens = (np.exp(rng.uniform(np.log(each[0]), np.log(each[-1]), 300)) for each in (SIZES, TOKENS))
    return table(n_dense, tokens, rng.choice(EXPERTS, 300), seed=seed)


def two_corpora(seed=0):
    """Half of the runs on a corpus with losses 1.5% lower, and a column that says so."""
    frame = sound(seed)
    web = np.random.default_rng(seeded(seed + 90)).random(len(frame)) < 0.5
    return frame.assign(loss=frame["loss"] * np.where(web, 0.985, 1.0), corpus=np.where(web, "web", "books"))


def sound(seed=0):
    """The grid with nothing wrong."""
    return table(*grid(), seed=seed)
