"""Limited data in a plan: what repeats are worth where the runs do not say it, and which tokens of a run are distinct."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from bayesmoe.laws import Law
from bayesmoe.laws.repetition import PART, Repeated, repeated
from bayesmoe.planning.scenario import LimitsSpec, Scenario
from bayesmoe.runs.epochs import UNIQUE


def with_repetition(law: Law, parameters: dict[str, Any], scenario: Scenario, draws: int) -> tuple[Law, dict[str, Any]]:
    """A law and its parameters, of shape (draws,), in a scenario whose data may repeat.

    Where the scenario lets tokens repeat and the fit's law, whose runs have one epoch, says nothing of that, what repeats are worth is drawn from its
    prior.
    """
    limits = scenario.limits
    may_repeat = limits.unique_tokens is not None and limits.max_epochs > 1.0
    if not may_repeat or "tokens" not in law.covariates or isinstance(law, Repeated):
        return law, parameters
    rng = np.random.default_rng((scenario.seed, 3))
    drawn = {one.name: one.to_support(jnp.asarray(one.mean + one.sd * rng.standard_normal(draws))) for one in PART}
    return repeated(law), parameters | drawn


def distinct(tokens: Any, limits: LimitsSpec) -> dict[str, Any]:
    """Distinct tokens of a run on limited data, as a covariate: at most those that there are."""
    return {} if limits.unique_tokens is None else {UNIQUE: jnp.minimum(limits.unique_tokens, tokens)}
