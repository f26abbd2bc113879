"""What is fitted of a training step, and how the slopes of its terms are made of it for a precision and a stack."""

from __future__ import annotations

import numpy as np

from bayesmoe.costs.precisions import TrainingPrecision
from bayesmoe.costs.training.step import GROUPS, TERMS, Software

PRIOR: dict[str, tuple[float, float]] = {
    "matmul": (1.3, 0.3),
    "matmul_width": (300.0, 0.7),
    "expert_width": (800.0, 0.7),
    "input_width": (200.0, 0.7),
    "rows": (200.0, 0.7),
    "attention": (2.5, 0.5),
    "head_width": (64.0, 0.7),
    "skipped_attention": (0.5, 0.7),
    "residual": (60.0, 0.5),
    "activation": (15.0, 0.5),
    "recurrent": (400.0, 0.7),
    "logits": (8.0, 0.7),
    "permutation": (25.0, 0.5),
    "router": (30.0, 0.7),
    "exchange": (1.0, 0.7),
    "exchange_between_nodes": (1.0, 0.7),
    "tensor_exchange": (8.0, 0.7),
    "gradients": (1.0, 1.0),
    "gathered_weights": (1.0, 1.0),
    "optimizer": (1.0, 0.3),
    "layers": (100e-6, 0.7),
    "moe_layers": (200e-6, 0.7),
    "local_experts": (20e-6, 0.7),
    "matmul_fp8": (1.25, 0.3),
    "matmul_fp4": (1.6, 0.3),
    "experts_fp8": (1.2, 0.2),
    "experts_fp4": (1.1, 0.2),
    "quantization": (1.5, 0.3),
    "partial_graph": (0.9, 0.2),
    "full_graph": (0.5, 0.4),
    "plain_dispatch": (1.2, 0.2),
    "overlap": (0.5, 0.5),
    "year": (1.06, 0.05),
    "year_of_experts": (1.2, 0.15),
    "recompute": (0.3, 0.3),
    "recompute_some": (0.05, 0.7),
    "bubble": (1.0, 0.3),
}
"""Median and log-sd of each coefficient before any point is seen.

Times of three quarters of the peak; widths at which half of that rate is lost; bytes read and written for each element, forward and backward;
communication at the links' rates; some ten kernels of ten microseconds a layer. Then factors: of narrow precisions, of a stack, of each year of its
age; and shares of the computation: a quarter to a third for full recomputation.
"""

NAMES = tuple(PRIOR)
"""Names of the coefficients."""

OVERHEADS = ("narrow_experts", "narrow_input", "few_rows", *GROUPS["routing"], *GROUPS["all_to_all"])
"""Terms that are particular to experts: software, not hardware, sets their pace, and it is young."""

_MADE_OF: dict[str, tuple[str, ...]] = {
    "matmul": ("matmul",),
    "narrow_matmul": ("matmul", "matmul_width"),
    "experts": ("matmul",),
    "narrow_experts": ("matmul", "expert_width"),
    "narrow_input": ("matmul", "input_width"),
    "few_rows": ("matmul", "rows"),
    "attention": ("attention",),
    "narrow_heads": ("attention", "head_width"),
    "skipped_attention": ("attention", "skipped_attention"),
    "expert_activation": ("activation",),
}
"""Coefficients whose product is a term's slope; where none is named, the one that is called as the term."""

_SWITCHED: dict[str, tuple[str, ...]] = {
    "matmul_fp8": (*GROUPS["matmul"], *GROUPS["experts"]),
    "matmul_fp4": (*GROUPS["matmul"], *GROUPS["experts"]),
    "experts_fp8": GROUPS["experts"],
    "experts_fp4": GROUPS["experts"],
    "quantization": ("residual", "activation", "permutation", "expert_activation"),
    "partial_graph": (*OVERHEADS, "moe_layers", "local_experts"),
    "full_graph": (*OVERHEADS, "moe_layers", "local_experts"),
    "plain_dispatch": OVERHEADS,
    "overlap": GROUPS["all_to_all"],
    "year": TERMS,
    "year_of_experts": OVERHEADS,
}
"""Factors on slopes, and the terms that they act on where their switch is on; those of a year act once a year of age."""


def log_design(software: Software, precision: TrainingPrecision | np.ndarray) -> np.ndarray:
    """Exponents of the slopes: ``ln slope_c = sum_j D_cj theta_j``; shape (..., term, coefficient).

    Parameters
    ----------
    software : Software
        Arrays of some shape.
    precision : str or array of str
        Of the matrices.
    """
    kind = np.asarray(precision)
    fp8, fp4 = kind == "fp8", kind == "fp4"
    switches = {
        "matmul_fp8": fp8,
        "matmul_fp4": fp4,
        "experts_fp8": fp8 | fp4,
        "experts_fp4": fp4,
        "quantization": fp8 | fp4,
        "partial_graph": software.partial_graph,
        "full_graph": software.full_graph,
        "plain_dispatch": software.plain_dispatch,
        "overlap": software.overlap,
        "year": software.age_years,
        "year_of_experts": software.age_years,
    }
    shape = np.broadcast_shapes(*(np.shape(switch) for switch in switches.values()))
    found = np.zeros((*shape, len(TERMS), len(NAMES)))
    found += _ALWAYS
    for name, switch in switches.items():
        found[..., NAMES.index(name)] += np.asarray(switch, dtype=float)[..., None] * _ACTS_ON[name]
    return found


def _always() -> np.ndarray:
    found = np.zeros((len(TERMS), len(NAMES)))
    for row, term in enumerate(TERMS):
        for name in _MADE_OF.get(term, (term,)):
            found[row, NAMES.index(name)] += 1.0
    return found


_ALWAYS = _always()
_ACTS_ON = {name: np.array([term in terms for term in TERMS], dtype=float) for name, terms in _SWITCHED.items()}
