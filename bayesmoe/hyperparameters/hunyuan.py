"""Hunyuan-Large 2024: active parameters and tokens from the least training compute, and the compute rule they need."""

from __future__ import annotations

import math
from typing import Any

from bayesmoe.hyperparameters.base import HyperparameterLaw, PowerLaw

_FLOP_PER_ACTIVE_PARAMETER = 9.59
_FLOP_PER_TOKEN = 2.3e8

HUNYUAN = HyperparameterLaw(
    name="hunyuan",
    source="Hunyuan-Large 2024, arXiv:2411.02265, from two secondary sources that agree",
    provenance="secondary",
    laws=(
        PowerLaw("n_active", math.log(5.9e-3), {"train_flop": 0.5305}),
        PowerLaw("tokens", math.log(3.2), {"train_flop": 0.50}),
    ),
    fitted_range={},
    notes=(
        "train_flop is the least compute, at a batch far below the critical one: get it from least_train_flop.",
        "The exponents sum to 1.03, so size, tokens and the compute rule agree only near 3e24 FLOP: at 1e22 they use 86% of "
        "the budget.",
    ),
)
"""``N_a = 5.9e-3 Cmin^0.5305`` and ``D = 3.2 Cmin^0.50``."""


def training_flop(n_active: Any, tokens: Any) -> Any:
    """Training compute in FLOP by the paper's own rule (arXiv:2411.02265): ``C = (9.59 N_a + 2.3e8) D``."""
    return (_FLOP_PER_ACTIVE_PARAMETER * n_active + _FLOP_PER_TOKEN) * tokens


def least_train_flop(train_flop: Any, batch_tokens: Any, critical_batch_tokens: Any) -> Any:
    """Compute that the same loss would need at a very small batch (arXiv:2411.02265): ``Cmin = C / (1 + B/Bcrit)``, FLOP, B in tokens."""
    return train_flop / (1.0 + batch_tokens / critical_batch_tokens)
