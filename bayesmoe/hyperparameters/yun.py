"""Yun et al. 2024: the loss-optimal dense model of a budget, along the line through the two published points."""

from __future__ import annotations

import math

from bayesmoe.hyperparameters.base import HyperparameterLaw, PowerLaw

# Rounding the exponent to three digits moves N by 1.2%, so the line keeps its points and not its printed coefficients.
_POINTS = ((2.12e21, 3.36e9), (5.96e21, 6.14e9))
_FLOP_PER_PARAMETER_TOKEN = 6.0


def _line() -> tuple[float, float]:
    (flop, n_dense), (more_flop, more_dense) = _POINTS
    a = math.log(more_dense / n_dense) / math.log(more_flop / flop)
    return math.log(n_dense) - a * math.log(flop / _FLOP_PER_PARAMETER_TOKEN), a


_LN_G, _A = _line()
_CENTRE = {"train_flop": _FLOP_PER_PARAMETER_TOKEN}

YUN = HyperparameterLaw(
    name="yun",
    source="Yun et al. 2024, arXiv:2404.02852, Eq. 3 through the two points of section 5.2",
    provenance="primary",
    laws=(
        PowerLaw("n_dense", _LN_G, {"train_flop": _A}, center=_CENTRE),
        PowerLaw("tokens", -_LN_G, {"train_flop": 1.0 - _A}, center=_CENTRE),
    ),
    fitted_range={
        "train_flop": (_FLOP_PER_PARAMETER_TOKEN * 81_395_712 * 2.5e9, _FLOP_PER_PARAMETER_TOKEN * 679_477_248 * 20e9)
    },
    notes=(
        "train_flop counts 6 n_dense tokens, the dense backbone's parameters without embeddings, whatever the experts add.",
        "Both published points are themselves extrapolations, 5 to 10 times beyond the runs in n_dense and in tokens.",
        "The range of the runs takes the smallest model at the fewest tokens and the largest at the most.",
    ),
)
"""``N = G (C/6)^a`` and ``D = G^-1 (C/6)^(1-a)``; the intercept of the first is ln G."""
