"""Tian et al. 2025: learning rate, batch and compute allocation of MoE models, and the dense allocation beside it."""

from __future__ import annotations

import math

from bayesmoe.hyperparameters.base import HyperparameterLaw, PowerLaw

_PAPER = "Tian et al. 2025, arXiv:2507.17702"
_ALLOCATION_RUNS = {"train_flop": (1e18, 3e20)}
_MEANING = "flop_per_token (M) leaves embeddings out and includes the backward pass, so that train_flop = M tokens."


def _allocation(flop_per_token: float, to_power: float, tokens: float, tokens_to_power: float) -> tuple[PowerLaw, ...]:
    return (
        PowerLaw("flop_per_token", math.log(flop_per_token), {"train_flop": to_power}),
        PowerLaw("tokens", math.log(tokens), {"train_flop": tokens_to_power}),
    )


TIAN = HyperparameterLaw(
    name="tian",
    source=f"{_PAPER}, Eq. 3",
    provenance="primary",
    laws=(
        PowerLaw("learning_rate", math.log(1.1576), {"train_flop": -0.1529}),
        PowerLaw("batch_tokens", math.log(0.0694), {"train_flop": 0.3644}),
    ),
    fitted_range={"train_flop": (3e17, 3e20)},
    notes=(
        "Fitted on 64 routed experts, 4 active and 1 shared, under a WSD schedule; the dense counterparts are not printed.",
        "The batch grid was 2^18 to 2^21 tokens and the learning-rate grid 2^-11 to 2^-9: beyond them the law extrapolates.",
        "The paper's own configurations use 1.8 (batch) and 1.9 to 3.5 (lr) times the compute they list.",
    ),
)
"""``lr = 1.1576 C^-0.1529`` and ``batch = 0.0694 C^0.3644`` tokens."""

TIAN_DENSE = HyperparameterLaw(
    name="tian-dense",
    source=f"{_PAPER}, Table 1, dense row",
    provenance="primary",
    laws=_allocation(0.0655, 0.5422, 15.2582, 0.4578),
    fitted_range=_ALLOCATION_RUNS,
    notes=(_MEANING,),
)
"""``M = 0.0655 C^0.5422`` and ``D = 15.2582 C^0.4578``."""

TIAN_MOE = HyperparameterLaw(
    name="tian-moe",
    source=f"{_PAPER}, Table 1, MoE row",
    provenance="primary",
    laws=_allocation(0.1915, 0.5095, 5.2232, 0.4905),
    fitted_range=_ALLOCATION_RUNS,
    notes=(_MEANING, "Holds at an activation ratio of 7.8% and the paper's granularity 2 d_model/d_expert = 2."),
)
"""``M = 0.1915 C^0.5095`` and ``D = 5.2232 C^0.4905``."""
