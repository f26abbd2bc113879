"""Ludziejewski et al. 2025: learning rate from active parameters and experts."""

from __future__ import annotations

from bayesmoe.hyperparameters.base import HyperparameterLaw, PowerLaw

LUDZIEJEWSKI = HyperparameterLaw(
    name="ludziejewski",
    source="Ludziejewski et al. 2025, arXiv:2502.05172, Eq. 8",
    provenance="primary",
    laws=(PowerLaw("learning_rate", 8.39, {"n_active": -0.81, "num_experts": -0.25}),),
    fitted_range={"n_active": (0.0, 2.7e9), "num_experts": (1.0, 32.0)},
    notes=(
        "n_active leaves embeddings OUT here, although the paper's loss law counts both embedding matrices.",
        "Top-1 routing and a constant learning rate with a linear decay over the last 20%; tokens do not enter.",
        "The largest n_active of the runs is printed with embeddings; the smallest is not printed.",
    ),
)
"""``ln lr = 8.39 - 0.81 ln N - 0.25 ln E``, natural logarithms."""
