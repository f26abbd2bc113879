"""What the sweep trains: sizes, tokens, experts and seeds, in the order in which they are worth having."""

from __future__ import annotations

from sweep.model import Model
from sweep.train import Run
from sweep.tune import learning_rate

LAYERS = 2
CELLS = {
    24: (2**17, 2**18, 2**19, 2**20, 2**21, 2**22, 2**23),
    30: (2**18, 2**19, 2**20, 2**21, 2**22),
    36: (2**18, 2**19, 2**20, 2**21, 2**22),
    48: (2**19, 2**20, 2**21, 2**22),
    60: (2**20, 2**21),
    72: (2**20, 2**21),
}
"""Tokens by width: from 1e10 FLOP and eight tokens a parameter, on both sides of the frontier."""

EXPERTS = (1, 4, 16, 64)
BETWEEN = (8, 32)
"""Counts in between, at every other number of tokens."""

REPLICATED = {24: (2**18, 2**20, 2**21), 30: (2**19, 2**21), 36: (2**18, 2**20), 48: (2**19, 2**20), 60: (2**20,)}
"""Tokens by width that are trained with further seeds."""
SEEDS = (1, 2)

LEAST_FLOP, MOST_FLOP = 1e10, 5e12

SMALL = ((24, 2**17, 1), (24, 2**17, 4), (24, 2**17, 16), (24, 2**18, 1), (24, 2**18, 4), (30, 2**18, 1))
"""Width, tokens and experts of ``--small``."""


def run(d_model: int, tokens: int, num_experts: int, seed: int = 0) -> Run:
    """A run at the learning rate of the rule."""
    return Run(Model(d_model, LAYERS, num_experts), tokens, learning_rate(d_model, tokens), seed)


def cost(of: Run) -> float:
    """Training FLOP, 6 n_active tokens."""
    return 6.0 * of.model.n_dense * of.tokens


def design() -> list[Run]:
    """All runs: the grid by FLOP, then replicates, then the expert counts in between."""
    grid = [run(d, tokens, e) for d, lengths in CELLS.items() for tokens in lengths for e in EXPERTS]
    again = [
        run(d, tokens, e, seed) for seed in SEEDS for d, lengths in REPLICATED.items() for tokens in lengths for e in EXPERTS
    ]
    between = [run(d, tokens, e) for d, lengths in CELLS.items() for tokens in lengths[1::2] for e in BETWEEN]
    return [each for part in (grid, again, between) for each in sorted(part, key=cost)]


def small() -> list[Run]:
    """Six runs of the design that take about a minute."""
    return [run(*each) for each in SMALL]
