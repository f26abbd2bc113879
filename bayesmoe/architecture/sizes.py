"""From a size to a shape: layers and widths of a family, in whole numbers that accelerators like."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bayesmoe.architecture.attention import Heads
from bayesmoe.architecture.family import num_layers, width_times_layers
from bayesmoe.architecture.shape import Experts, Shape
from bayesmoe.errors import InputError

ShapeRule = Literal["yun", "ling"]
SHAPE_RULES: tuple[ShapeRule, ...] = ("yun", "ling")
"""Rules of :func:`shape_of_size`: Yun 2024, Table 1; Tian 2025's Ling models."""

_VOCAB = 32_000
_MULTIPLE, _SMALL_MULTIPLE, _SMALL = 64, 8, 1e6
"""What widths are multiples of and heads are wide, from so many parameters of the backbone on and below."""

LEAST_SIZE = 1e4
"""Smallest backbone that has a shape, parameters."""

_LAYERS_EACH_WAY = 6


def shape_of_size(
    n_dense: float,
    num_experts: int = 1,
    *,
    rule: ShapeRule = "yun",
    top_k: int = 2,
    granularity: float = 1.0,
    shared_experts: int = 0,
    mu: float = 0.045,
    parallel: int = 1,
) -> Shape:
    """The shape of a family whose backbone comes near a size (within 1% above 1e8), in proportions near the family's.

    ``n_dense = 12 d^2 L`` with ``d L = mu n_dense^(2/3)``: four matrices of attention and a gated part of ``d_ff = 8/3 d``. Whole layers
    around that depth; for each the multiple of 64 of d that ``parallel`` GPUs can share, and the multiple of 64 of ``d_ff``, nearest to the size; below 1e6
    parameters multiples of 8. By ``yun`` one layer in two has E experts of width ``d_ff / G``; by ``ling`` every layer but the first does.

    Parameters
    ----------
    n_dense, mu : float
        Backbone parameters, at least 1e4; 0.038 to 0.056 over Yun's Table 1 and Llama.
    num_experts, top_k, shared_experts : int
        E (1 for a dense model), K, and experts that are always on.
    rule : {"yun", "ling"}
        The family.
    granularity : float
        G; width of the dense part over that of an expert.
    parallel : int
        Divides the number of heads, so that so many GPUs share them evenly.

    Raises
    ------
    InputError
        The size is too small for a transformer, or top_k exceeds the experts.

    References
    ----------
    Yun et al. 2024, arXiv:2404.02852, Table 1 and appendix C; Tian et al. 2025, arXiv:2507.17702.
    """
    _require_allowed(n_dense, num_experts, top_k, granularity, shared_experts, mu)
    if rule not in SHAPE_RULES:
        raise InputError("is not a known rule", column="rule", value=rule, hint=f"known: {', '.join(SHAPE_RULES)}")
    unit = _MULTIPLE if n_dense >= _SMALL else _SMALL_MULTIPLE
    layers, width, d_ff = _nearest_backbone(n_dense, mu, even=rule == "yun", unit=unit, parallel=parallel)
    experts = None
    if num_experts > 1:
        d_expert = _rounded(d_ff / granularity, unit)
        experts = Experts(num_experts=num_experts, top_k=top_k, d_expert=d_expert, d_shared=shared_experts * d_expert)
    return Shape(
        name=f"{rule} {n_dense:.3g} x {num_experts}",
        source="arXiv:2404.02852, Table 1" if rule == "yun" else "arXiv:2507.17702",
        num_layers=layers,
        d_model=width,
        vocab=_VOCAB,
        attention=Heads(num_heads=width // unit, head_dim=unit),
        d_ff=d_ff,
        experts=experts,
        num_dense_layers=1 if rule == "ling" and experts is not None else 0,
        moe_every=2 if rule == "yun" and experts is not None else 1,
    )


def _require_allowed(
    n_dense: float, num_experts: int, top_k: int, granularity: float, shared_experts: int, mu: float
) -> None:
    allowed = {
        "n_dense": (n_dense, LEAST_SIZE <= n_dense < np.inf, f"must be finite and at least {LEAST_SIZE:g} parameters"),
        "num_experts": (num_experts, num_experts >= 1, "must be at least 1"),
        "top_k": (
            top_k,
            top_k >= 1 and (num_experts == 1 or top_k <= num_experts),
            f"must be from 1 to num_experts ({num_experts})",
        ),
        "granularity": (granularity, 0 < granularity < np.inf, "must be positive"),
        "shared_experts": (shared_experts, shared_experts >= 0, "must not be negative"),
        "mu": (mu, 0 < mu < np.inf, "must be positive"),
    }
    for column, (value, holds, requirement) in allowed.items():
        if not holds:
            raise InputError(requirement, column=column, value=value)


def _nearest_backbone(n_dense: float, mu: float, *, even: bool, unit: int, parallel: int) -> tuple[int, int, int]:
    """Layers, width and ``d_ff`` nearest to a size, around the family's depth; ``even`` numbers of layers only."""
    depth = float(num_layers(n_dense, mu))
    aspect = float(width_times_layers(n_dense, mu)) / depth**2
    candidates = []
    for layers in range(max(2, round(depth) - _LAYERS_EACH_WAY), round(depth) + _LAYERS_EACH_WAY + 1):
        if even and layers % 2:
            continue
        width = _rounded(np.sqrt(n_dense / (12.0 * layers)), unit * parallel)
        d_ff = _rounded((n_dense / layers - 4.0 * width**2) / (3.0 * width), unit)
        error = abs(np.log(layers * (4.0 * width**2 + 3.0 * width * d_ff) / n_dense))
        # Proportions count a little, so that a size met exactly by an odd shape does not win.
        distortion = abs(np.log(width / layers / aspect)) + abs(np.log(d_ff / (8.0 / 3.0 * width)))
        candidates.append((error + 0.02 * distortion, layers, width, d_ff))
    return min(candidates)[1:]


def _rounded(width: float, multiple: int) -> int:
    return max(multiple, multiple * round(width / multiple))
