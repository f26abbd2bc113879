"""Other ways to be sparse at the same size: latent experts, a dense model cut into experts, an ensemble."""

from __future__ import annotations

import dataclasses

from bayesmoe.architecture.shape import Experts, Shape
from bayesmoe.errors import InputError


def with_latent_experts(shape: Shape, latent_dim: int) -> Shape:
    """Routed experts that work in a narrower latent, behind shared projections.

    ``3 E d d_e`` becomes ``3 E m d_e + 2 d m`` a layer.

    Parameters
    ----------
    shape : Shape
        An MoE model.
    latent_dim : int
        m, smaller than d.

    Raises
    ------
    InputError
        The model is dense, or the latent is no narrower than the model.

    References
    ----------
    MoLAE, arXiv:2503.23100.
    """
    if shape.experts is None:
        raise InputError("needs a model with experts", value=shape.name)
    if not 1 <= latent_dim < shape.d_model:
        raise InputError(f"must be from 1 to below d_model ({shape.d_model})", column="latent_dim", value=latent_dim)
    return dataclasses.replace(shape, experts=dataclasses.replace(shape.experts, latent_dim=latent_dim))


def moefied(shape: Shape, num_experts: int, top_k: int) -> Shape:
    """A dense model whose feed-forward parts are cut into experts, at equal total size but for routers.

    ``d_e = d_ff / E``.

    Parameters
    ----------
    shape : Shape
        A dense model.
    num_experts, top_k : int
        E, which must divide ``d_ff``, and K.

    Raises
    ------
    InputError
        The model has experts already, or its width cannot be cut so.

    References
    ----------
    MoEfication, arXiv:2110.01786.
    """
    if shape.experts is not None or shape.d_ff is None:
        raise InputError("has experts already", value=shape.name)
    if num_experts < 2 or not 1 <= top_k <= num_experts:
        raise InputError(
            "must be at least 2, and top_k from 1 to that", column="num_experts", value=f"{num_experts}, top_k {top_k}"
        )
    if shape.d_ff % num_experts:
        raise InputError(f"must divide d_ff ({shape.d_ff})", column="num_experts", value=num_experts)
    experts = Experts(num_experts=num_experts, top_k=top_k, d_expert=shape.d_ff // num_experts)
    return dataclasses.replace(shape, experts=experts)


def ensemble(shape: Shape, members: int) -> Shape:
    """An MoE model whose experts fall into M parts, each a member of an ensemble over the shared rest.

    Parameters stay; from the first MoE layer on a token is computed M times, with K experts of each part.

    Raises
    ------
    InputError
        The experts cannot be shared out so.

    References
    ----------
    E3 (efficient ensembles of experts), arXiv:2110.03360.
    """
    experts = 0 if shape.experts is None else shape.experts.num_experts
    if members < 1 or shape.experts is None or experts % members or members * shape.experts.top_k > experts:
        raise InputError(
            "must divide the experts and leave top_k to each member",
            column="members",
            value=members,
            hint=f"{shape.name} has {experts} experts",
        )
    return dataclasses.replace(shape, members=members)
