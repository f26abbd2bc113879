"""Limited data in a plan: what repeats are worth where the runs do not say it, and up to which tokens the loss falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from bayesmoe.laws import Law
from bayesmoe.laws.repetition import PART, Repeated, repeated
from bayesmoe.planning.scenario import LimitsSpec, Scenario
from bayesmoe.runs.epochs import UNIQUE

if TYPE_CHECKING:
    from bayesmoe.planning.surface import DesignSurface

_PASSES = 9
"""Numbers of passes at which a loss that may rise with repeats is looked at."""


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


def last_that_pays(here: DesignSurface, ln_size: Any, most: Any) -> Any:
    """ln tokens up to which more of them lower the loss, of the shape of ``most``, ln of the most considered.

    Of a model many times too large for its data the loss may rise again with repeats; then it is the best of nine numbers of passes.
    """
    limits = here.scenario.limits
    if limits.unique_tokens is None or not isinstance(here.law, Repeated):
        return most
    passes = np.geomspace(1.0, max(limits.max_epochs, 1.0), _PASSES)
    looked_at = [jnp.full_like(most, np.log(limits.unique_tokens * each)) for each in passes]
    losses = jnp.stack([here.loss(ln_size, jnp.exp(each)) for each in looked_at])
    best = jnp.take_along_axis(jnp.stack(looked_at), jnp.argmin(losses, axis=0)[None], axis=0)[0]
    return jnp.where(losses.min(axis=0) < here.loss(ln_size, jnp.exp(most)), best, most)
