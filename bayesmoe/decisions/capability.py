"""A caution that no loss knows: reasoning of a sparse model that saw few tokens for each of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmoe.units import percent, significant

if TYPE_CHECKING:
    from bayesmoe.decisions.outcome import Design

TURNING_POINT = 20.0
"""Training tokens per total parameter near which reasoning of mixtures of experts was best: with fewer, and so with more parameters on the same
tokens, it saturates or falls while loss and memorization still improve (Nakamura et al. 2025, arXiv:2508.18672)."""

SOURCE = "arXiv:2508.18672"


def capability_caution(design: Design) -> str:
    """What to be careful about, as a clause; empty for a dense model, and from :data:`TURNING_POINT` tokens per total parameter on."""
    if design.num_experts == 1 or design.tokens_per_total_parameter >= TURNING_POINT:
        return ""
    return (
        f"it sees {significant(design.tokens_per_total_parameter, 2)} tokens per total parameter, of which {percent(design.n_active / design.n_total)} are active: "
        f"below about {TURNING_POINT:g}, reasoning saturated or fell with sparsity while the loss still improved ({SOURCE}), so look at more than the loss, or "
        f"ask for constraints = ['tokens_per_total_parameter >= {TURNING_POINT:g}']"
    )
