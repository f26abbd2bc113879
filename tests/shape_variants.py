"""Other ways to be sparse at the same size: latent experts, a dense model cut into experts, an ensemble."""

from __future__ import annotations

import dataclasses

from bayesmoe.architecture import Experts, Shape


def with_latent_experts(shape: Shape, latent_dim: int) -> Shape:
    """Routed experts that work in a narrower latent, behind shared projections (MoLAE, arXiv:2503.23100)."""
    return dataclasses.replace(shape, experts=dataclasses.replace(shape.experts, latent_dim=latent_dim))


def moefied(shape: Shape, num_experts: int, top_k: int) -> Shape:
    """A dense model whose feed-forward parts are cut into experts (MoEfication, arXiv:2110.01786)."""
    experts = Experts(num_experts=num_experts, top_k=top_k, d_expert=shape.d_ff // num_experts)
    return dataclasses.replace(shape, experts=experts)


def ensemble(shape: Shape, members: int) -> Shape:
    """An MoE model whose experts fall into parts, each a member of an ensemble over the shared rest (E3, arXiv:2110.03360)."""
    return dataclasses.replace(shape, members=members)
