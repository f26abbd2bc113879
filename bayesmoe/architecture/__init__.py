"""Shapes of MoE transformers: families that scale, exact shapes, and public models."""

from bayesmoe.architecture.attention import Heads, Latent, Linear
from bayesmoe.architecture.family import (
    FLOP_RULES,
    Family,
    gated_ffn_parameters,
    num_layers,
    parameters_from_shape,
    train_flop,
    width_times_layers,
)
from bayesmoe.architecture.public import public_models, public_shape, read_shape
from bayesmoe.architecture.shape import Experts, Shape
from bayesmoe.architecture.sizes import LEAST_SIZE, SHAPE_RULES, shape_of_size

__all__ = [
    "FLOP_RULES",
    "LEAST_SIZE",
    "SHAPE_RULES",
    "Experts",
    "Family",
    "Heads",
    "Latent",
    "Linear",
    "Shape",
    "gated_ffn_parameters",
    "num_layers",
    "parameters_from_shape",
    "public_models",
    "public_shape",
    "read_shape",
    "shape_of_size",
    "train_flop",
    "width_times_layers",
]
