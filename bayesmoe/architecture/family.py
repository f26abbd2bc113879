"""Shape of an MoE transformer: total, active and backbone parameters, training FLOP, layers and width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FLOP_RULES = ("6 n_active tokens", "6 n_dense tokens")
"""Rules for training FLOP: parameters used per token, or Yun's paper mode with the dense backbone."""

_BLOCK_PARAMETERS = 12.0
"""Parameters of one transformer layer over d_model^2: four for attention, eight for the feed-forward part."""


@dataclass(frozen=True)
class Family:
    """A family of MoE transformers that share everything but backbone size and expert count.

    ``n_total / n_dense = 1 - c + c (E + s) / G`` and ``n_active / n_dense = 1 - c + c (K + s) / G`` for ``E > 1``; both are
    1 for a dense model. With Yun's c = 1/3, G = 1, s = 0 and K = 2 these are ``1 + (E - 1)/3`` and 4/3.

    Parameters
    ----------
    moe_share : float
        c, share of the backbone parameters that sits in the feed-forward parts replaced by experts.
    top_k : float
        K, routed experts per token.
    granularity : float
        G, width of the dense feed-forward part over the width of one expert.
    shared_experts : float
        s, always-on experts, in widths of one routed expert.

    References
    ----------
    Yun et al. 2024, arXiv:2404.02852, section 3.1 (c = 1/3: one FFN in two, FFNs two thirds of the parameters).
    """

    moe_share: float = 1.0 / 3.0
    top_k: float = 2.0
    granularity: float = 1.0
    shared_experts: float = 0.0

    def total_ratio(self, num_experts: Any) -> Any:
        """n_total / n_dense for expert counts E (1 = dense)."""
        return 1.0 + self.moe_share * (num_experts > 1) * ((num_experts + self.shared_experts) / self.granularity - 1.0)

    def active_ratio(self, num_experts: Any) -> Any:
        """n_active / n_dense for expert counts E (1 = dense)."""
        return 1.0 + self.moe_share * (num_experts > 1) * ((self.top_k + self.shared_experts) / self.granularity - 1.0)

    def routed_ratio(self, num_experts: Any) -> Any:
        """Parameters in routed experts over n_dense, for expert counts E (0 for dense)."""
        return self.moe_share * (num_experts > 1) * num_experts / self.granularity

    def run(self, n_dense: Any, tokens: Any, num_experts: Any) -> dict[str, Any]:
        """Covariates of a run of this family, under the run table's column names; training FLOP are ``6 n_active tokens``."""
        top_k = 1.0 + (num_experts > 1) * (self.top_k - 1.0)
        shared = (num_experts > 1) * self.shared_experts
        return {
            "n_dense": n_dense,
            "n_active": n_dense * self.active_ratio(num_experts),
            "n_total": n_dense * self.total_ratio(num_experts),
            "tokens": tokens,
            "num_experts": num_experts,
            "top_k": top_k,
            "granularity": 1.0 + (num_experts > 1) * (self.granularity - 1.0),
            "shared_experts": shared,
            "activation_ratio": (top_k + shared) / (num_experts + shared),
            "train_flop": self.train_flop_per_token(n_dense, num_experts) * tokens,
            "num_layers": num_layers(n_dense),
            "d_model": width_times_layers(n_dense) / num_layers(n_dense),
        }

    def train_flop_per_token(self, n_dense: Any, num_experts: Any, rule: str = FLOP_RULES[0]) -> Any:
        """Training FLOP per token: ``6 n_active`` or ``6 n_dense`` as ``rule`` says."""
        return train_flop(n_dense) * (self.active_ratio(num_experts) if rule == FLOP_RULES[0] else 1.0)


def train_flop(parameters: Any, tokens: Any = 1.0) -> Any:
    """Training FLOP of a forward and a backward pass over tokens: ``6 N tokens``, N the parameters that a token uses."""
    return 6.0 * parameters * tokens


def width_times_layers(n_dense: Any, mu: Any = 0.045) -> Any:
    """``d_model * num_layers = mu n_dense^(2/3)``, the size of one token's keys (Yun 2024, appendix C).

    Parameters
    ----------
    n_dense : array
        Backbone parameters.
    mu : array
        0.038 to 0.056 over Yun's Table 1 and Llama.
    """
    return mu * n_dense ** (2.0 / 3.0)


def num_layers(n_dense: Any, mu: Any = 0.045) -> Any:
    """Layers of the backbone with that ``mu`` and ``12 d_model^2`` parameters a layer; not rounded."""
    aspect = (mu * _BLOCK_PARAMETERS ** (2.0 / 3.0)) ** -3.0
    return (width_times_layers(n_dense, mu) / aspect) ** 0.5


def gated_ffn_parameters(d_model: Any, width: Any) -> Any:
    """Parameters of a gated feed-forward part: three matrices of ``d_model`` by ``width``."""
    return 3.0 * d_model * width


def parameters_from_shape(
    *,
    d_model: Any,
    num_layers: Any,
    d_ff: Any,
    num_moe_layers: Any,
    num_experts: Any,
    top_k: Any,
    d_expert: Any,
    d_shared: Any,
) -> dict[str, Any]:
    """Backbone, active and total parameters of a gated transformer, without embeddings, norms and routers.

    ``n_dense = layers (4 d^2 + 3 d d_ff)``, attention that of plain multi-head attention; each MoE layer swaps ``3 d d_ff`` for ``3 d (E d_expert + d_shared)`` in the
    total and for ``3 d (K d_expert + d_shared)`` in the active count.

    Parameters
    ----------
    d_model, num_layers, d_ff, num_moe_layers, num_experts, top_k, d_expert, d_shared : array
        Widths, layers, experts; ``d_shared`` is the summed width of the always-on experts.
    """
    backbone = num_layers * (4.0 * d_model**2 + gated_ffn_parameters(d_model, d_ff))
    routed = num_experts > 1
    swap = num_moe_layers * routed
    active = backbone + swap * gated_ffn_parameters(d_model, top_k * d_expert + d_shared - d_ff)
    total = backbone + swap * gated_ffn_parameters(d_model, num_experts * d_expert + d_shared - d_ff)
    return {"n_dense": backbone, "n_active": active, "n_total": total}
