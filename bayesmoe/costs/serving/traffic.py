"""What is asked of a server: lengths of requests, what of them is cached, and how many tokens are drafted ahead."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise

MOST_DRAFTED = 8
"""Most tokens that are drafted ahead of a step."""


class Traffic(NamedTuple):
    """What is asked of a server, and how it is served.

    Attributes
    ----------
    prompt_tokens, output_tokens : array
        Means p and n of a request.
    bytes_per_cache_element : array
        Bytes of one cached element.
    cached_share : array
        h, share of a prompt, from its start on, that a cache of prefixes holds already.
    prompt_cv, output_cv : array
        Standard deviations of the lengths over their means.
    length_covariance : array
        ``E[p n] / (E[p] E[n]) - 1`` of a request's lengths.
    draft_tokens : array
        d, tokens that are drafted ahead of each step, at most :data:`MOST_DRAFTED`.
    acceptance, acceptance_decay : array
        Chance a_1 that the first drafted token is accepted, and factor by which it falls with each: ``a_j = a_1 g^(j - 1)``.
    apart : array
        1 where other workers compute the prompts, 0 where the steps that decode do.
    """

    prompt_tokens: Any
    output_tokens: Any
    bytes_per_cache_element: Any = 2.0
    cached_share: Any = 0.0
    prompt_cv: Any = 0.0
    output_cv: Any = 0.0
    length_covariance: Any = 0.0
    draft_tokens: Any = 0.0
    acceptance: Any = 0.0
    acceptance_decay: Any = 1.0
    apart: Any = 0.0

    @property
    def context_tokens(self) -> Elementwise:
        """``E[n (p + n/2)] / E[n]``: mean context of the requests that decode at one time, of which long answers are more."""
        return self.prompt_tokens * (1.0 + self.length_covariance) + 0.5 * self.output_tokens * (1.0 + self.output_cv**2)

    @property
    def fresh_tokens(self) -> Elementwise:
        """``p (1 - h)``: tokens of a prompt that are computed."""
        return self.prompt_tokens * (1.0 - self.cached_share)

    @property
    def joining_tokens(self) -> Elementwise:
        """Those of them that the steps compute which decode."""
        return self.fresh_tokens * (1.0 - self.apart)

    @property
    def tokens_per_step(self) -> Elementwise:
        """``A = 1 + sum_{j <= d} a_1 ... a_j``: tokens that a request gets of one step."""
        total, chance = jnp.ones_like(jnp.asarray(self.draft_tokens) * self.acceptance), 1.0
        for drafted in range(MOST_DRAFTED):
            chance = chance * self.acceptance * self.acceptance_decay**drafted
            total = total + jnp.where(drafted < self.draft_tokens, chance, 0.0)
        return total

    def passes(self, num_layers: Elementwise) -> Elementwise:
        """``1 + d + d/L``: how many tokens of a request go through the L layers in a step, those drafted through one layer more."""
        return 1.0 + self.draft_tokens + self.draft_tokens / num_layers
