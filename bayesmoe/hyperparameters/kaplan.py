"""Kaplan et al. 2020: critical batch from the loss."""

from __future__ import annotations

import math

from bayesmoe.hyperparameters.base import HyperparameterLaw, PowerLaw

KAPLAN = HyperparameterLaw(
    name="kaplan",
    source="Kaplan et al. 2020, arXiv:2001.08361, from two secondary sources that agree",
    provenance="secondary",
    laws=(PowerLaw("batch_tokens", math.log(2e8), {"loss": -1.0 / 0.21}),),
    fitted_range={},
    notes=(
        "The CRITICAL batch, at which training takes twice the least compute; not the batch with the best loss.",
        "loss is nats per token on WebText2: another corpus or tokenizer shifts it, and the exponent is steep.",
    ),
)
"""``Bcrit = 2e8 / L^(1/0.21)`` tokens."""
